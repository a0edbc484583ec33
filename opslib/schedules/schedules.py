"""Schedules as parameters/schedules/*.yaml say them: what is run, where, when, and who is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from opslib.catalogue import runbooks
from opslib.catalogue.parameters import typed
from opslib.core import Json, UsageError, paths, require_known, strict_yaml, targets
from opslib.core.strict_yaml import Document
from opslib.schedules import calendar
from opslib.schedules.calendar import When

LATE_MINUTES, TIMEOUT_MINUTES = 60, 30


@dataclass(frozen=True)
class Schedule:
    """A procedure or entry (`runs`) that is run on targets again and again."""

    name: str
    runs: str
    targets: tuple[str, ...]
    when: When
    parameters: Json = field(default_factory=dict)
    late_minutes: int = LATE_MINUTES
    timeout_minutes: int = TIMEOUT_MINUTES
    channels: Json = field(default_factory=dict, repr=False)  # those to tell, by name


def read() -> tuple[list[Schedule], list[str]]:
    """Every schedule that can be read; and what is wrong, a line each with file and line.

    One that is wrong keeps no other from being run.
    """
    found: dict[str, Schedule] = {}
    wrong: list[str] = []
    for path in sorted((paths.parameters() / "schedules").glob("*.yaml")):
        try:
            document = strict_yaml.read(path)
        except UsageError as exc:
            wrong.append(str(exc))
            continue
        if problems := strict_yaml.wrong(document, "schedule"):
            wrong += problems
            continue
        for number, said in enumerate(document.data["schedules"]):
            place = ["schedules", number]
            if problems := [*_problems(document, number, said)]:
                wrong += problems
            elif said["name"] in found:
                wrong.append(document.said(place, f"another is called {said['name']!r}, too"))
            else:
                found[said["name"]] = _schedule(document.data.get("channels", {}), said)
    return list(found.values()), wrong


def _schedule(channels: Json, said: Json) -> Schedule:
    minutes = {key: said[key] for key in ("late_minutes", "timeout_minutes") if key in said}
    return Schedule(
        said["name"],
        said["run"],
        tuple(targets.matching(said["targets"])),
        _when(said["when"]),
        said.get("parameters", {}),
        **minutes,
        channels={name: channels[name] for name in said.get("notify", ())},
    )


def _when(said: Json) -> When:
    if "cron" in said:
        return calendar.cron(said["cron"])
    return calendar.daily(at=said["daily"], days=said.get("days", ()))


def _problems(document: Document, number: int, said: Json) -> Iterator[str]:
    """What a schedule names that is not there, or says that cannot be."""
    channels = document.data.get("channels", {})
    tries: dict[str, Callable[[], object]] = {
        "run": partial(runbooks.find, said["run"]),
        "parameters": partial(_parameters, said),
        "targets": partial(targets.matching, said["targets"]),
        "when": partial(_when, said["when"]),
        "notify": partial(_channels, said.get("notify", ()), channels),
    }
    for key, tried in tries.items():
        try:
            tried()
        except UsageError as exc:
            if key == "parameters" and "parameters" not in said:
                continue  # `run` says it
            yield document.said(["schedules", number, key], str(exc).rstrip("."))


def _parameters(said: Json) -> None:
    procedure, _, _ = runbooks.find(said["run"])
    typed(procedure.parameters, said.get("parameters", {}), procedure.name)


def _channels(named: list[str], known: Json) -> None:
    for name in named:
        require_known("channel", name, known)
