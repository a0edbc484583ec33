"""Alarms and dashboards, as CloudWatch is asked for them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opslib.lab.forms import data
from opslib.lab.places import Place, plain
from opslib.lab.resources.placeholders import filled, text
from opslib.lab.resources.queues import every

_FUNCTIONS, _QUEUES = "{every function}", "{every queue}"
_WIDTH, _HEIGHT, _GRID = 12, 6, 24  # of a widget and of the whole, in CloudWatch's units


def seed(place: Place, about: data.Data) -> None:
    named = {text(place, name): alarm for name, alarm in about.alarms.items()}
    alarms = [_alarm(place, name, alarm) for name, alarm in named.items()]
    boards = {
        place.facts["dashboards"][key]: arranged(_widget(place, each) for each in widgets)
        for key, widgets in about.dashboards.items()
        if key in place.facts.get("dashboards", {})
    }
    if alarms or boards:
        put(place, alarms, boards)


def _alarm(place: Place, name: str, alarm: data.Alarm) -> dict[str, Any]:
    percentile = alarm.statistic.startswith("p")
    statistic = {"ExtendedStatistic" if percentile else "Statistic": alarm.statistic}
    dimensions, above = filled(place, alarm.dimensions), filled(place, alarm.above)
    words = text(place, alarm.text)
    return alarm_request(name, words, alarm.metric, dimensions, above, **statistic)


def _widget(place: Place, widget: Mapping[str, Any]) -> dict[str, Any]:
    """A widget as CloudWatch keeps it. `line`: a threshold, or that and what it is called."""
    given = filled(place, widget)
    size = {key: given.pop(key) for key in ("width", "height") if key in given}
    if "text" in given:
        return {**text_widget(given["text"]), **size}
    properties: dict[str, Any] = {}
    for key, value in given.items():
        if key == "line":
            line = value if isinstance(value, list) else [value]
            properties["annotations"] = threshold(*line)
        else:
            properties[key] = value
    title = properties.pop("title")
    shown = [row for each in properties.pop("metrics") for row in _rows(place, each)]
    return {**metrics_widget(place, title, shown, **properties), **size}


def _rows(place: Place, row: Any) -> list[Any]:
    """A row of metrics, or one for `{every function}` and `{every queue}` that it names."""
    if _FUNCTIONS in row:
        found = [facts["name"] for facts in place.facts["functions"].values()]
        return [[name if part == _FUNCTIONS else part for part in row] for name in found]
    if _QUEUES in row:
        return [[name if part == _QUEUES else part for part in row] for name in every(place)]
    return [row]


def put(
    place: Place,
    alarms: Iterable[Mapping[str, Any]],
    dashboards: Mapping[str, list[dict[str, Any]]],
) -> None:
    """The topic that alarms tell, the alarms, and dashboards as {name: widgets}."""
    cloudwatch, sns = place.client("cloudwatch"), place.client("sns")
    topic = sns.create_topic(Name=f"{place.called}-alerts")["TopicArn"]
    sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint=f"on-call@{plain(place.target.system)}.example"
    )
    for alarm in alarms:
        cloudwatch.put_metric_alarm(**alarm, AlarmActions=[topic])
    for name, widgets in dashboards.items():
        cloudwatch.put_dashboard(DashboardName=name, DashboardBody=json.dumps({"widgets": widgets}))


def alarm_request(
    name: str,
    text: str,
    metric: tuple[str, str],
    dimensions: Mapping[str, str],
    threshold: float,
    **statistic: str,
) -> dict[str, Any]:
    """PutMetricAlarm's request: above the threshold in one period of 5 minutes. `metric`.

    Namespace and name.
    """
    return {
        "AlarmName": name,
        "AlarmDescription": text,
        "Namespace": metric[0],
        "MetricName": metric[1],
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": True,
        **statistic,
    }


def metrics_widget(place: Place, title: str, shown: list[Any], **properties: Any) -> dict[str, Any]:
    """A widget of metrics; `shown` as a dashboard's source has them."""
    given = {
        "title": title,
        "view": "timeSeries",
        "stacked": False,
        "region": place.region,
        "period": 300,
    }
    return {"type": "metric", "properties": {**given, "metrics": shown, **properties}}


def text_widget(markdown: str) -> dict[str, Any]:
    return {"type": "text", "properties": {"markdown": markdown}}


def threshold(value: float, label: str = "alarm") -> dict[str, Any]:
    """A threshold in a widget: its `annotations`."""
    return {"horizontal": [{"label": label, "value": value, "fill": "above"}]}


def arranged(widgets: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Side by side, two in a row; what says its own width and height keeps them."""
    placed, x, y, height = [], 0, 0, 0
    for widget in widgets:
        size = {"width": _WIDTH, "height": _HEIGHT} | {
            k: widget[k] for k in ("width", "height") if k in widget
        }
        if x + size["width"] > _GRID:
            x, y, height = 0, y + height, 0
        placed.append(
            {"type": widget["type"], "x": x, "y": y, **size, "properties": widget["properties"]}
        )
        x, height = x + size["width"], max(height, size["height"])
    return placed
