"""The alarms and dashboards of an estate's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opslib.lab.estates import data
from opslib.lab.places import Place
from opslib.lab.resources import monitors
from opslib.lab.resources.placeholders import filled, text


def seed(place: Place, about: data.Data) -> None:
    named = {text(place, name): alarm for name, alarm in about.alarms.items()}
    alarms = [_alarm(place, name, alarm) for name, alarm in named.items()]
    boards = {
        place.facts["dashboards"][key]: monitors.arranged(_widget(place, each) for each in widgets)
        for key, widgets in about.dashboards.items()
        if key in place.facts.get("dashboards", {})
    }
    if alarms or boards:
        monitors.put(place, alarms, boards)


def _alarm(place: Place, name: str, alarm: data.Alarm) -> dict[str, Any]:
    percentile = alarm.statistic.startswith("p")
    statistic = {"ExtendedStatistic" if percentile else "Statistic": alarm.statistic}
    dimensions, above = filled(place, alarm.dimensions), filled(place, alarm.above)
    words = text(place, alarm.text)
    return monitors.alarm(name, words, alarm.metric, dimensions, above, **statistic)


def _widget(place: Place, widget: Mapping[str, Any]) -> dict[str, Any]:
    """A widget as CloudWatch keeps it. `line`: a threshold, or that and what it is called."""
    given = filled(place, widget)
    size = {key: given.pop(key) for key in ("width", "height") if key in given}
    if "text" in given:
        return {**monitors.text(given["text"]), **size}
    properties: dict[str, Any] = {}
    for key, value in given.items():
        if key == "line":
            line = value if isinstance(value, list) else [value]
            properties["annotations"] = monitors.line(*line)
        else:
            properties[key] = value
    title, shown = properties.pop("title"), properties.pop("metrics")
    return {**monitors.metrics(place, title, shown, **properties), **size}
