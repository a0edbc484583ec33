"""Verbs about what is asked and measured: requests, lines, metrics, what the address answers."""

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from opslib.lab.forms.values import Duration
from opslib.lab.resources.databases import rds
from opslib.lab.traffic import journals, lines, troubles
from opslib.lab.verbs.verbs import Stage, Verb, verb


@verb("trouble", "logs", "metrics")
class Trouble(troubles.Change, Verb):
    """What becomes of requests since a while. `lasts`:
    until somebody repairs what the drill did.
    """

    since: Duration = timedelta(minutes=50)
    lasts: bool = False

    def apply(self, stage: Stage) -> None:
        given = {each.name: getattr(self, each.name) for each in fields(troubles.Change)}
        lasts = (lambda place: stage.lasts()) if self.lasts else None
        since = stage.ago(self.since)
        troubles.put(stage.place, stage.drill, troubles.Trouble(since, lasts=lasts, **given))
        stage.retell(stage.ago(self.since))

    def undo(self, stage: Stage) -> None:
        troubles.take(stage.place, stage.drill)
        stage.retell(stage.ago(self.since))


@verb("overlay", "metrics")
class Overlay(Verb):
    """A metric is something else since a while.

    metric:      its name, of the database; else `namespace` and `dimensions` say of what
    value:       what it is; `from_value` and `climb`: it came there from another within that time
    bursts:      (10, 3): only in the first 3 of each 10 minutes, and 0 in the others
    wobble:      (7, 0.1): and 0.1 more for each of the minute's seconds modulo 7
    lasts:       until somebody repairs what the drill did; then it is `after`, or as it was
    """

    metric: str
    value: float
    unit: str = "Count"
    namespace: str = "AWS/RDS"
    dimensions: Mapping[str, str] = field(default_factory=dict)
    since: Duration = timedelta(minutes=50)
    from_value: float | None = None
    climb: Duration = timedelta(0)
    bursts: tuple[int, int] = (1, 1)
    wobble: tuple[int, float] = (1, 0.0)
    lasts: bool = False
    after: float | None = None

    def apply(self, stage: Stage) -> None:
        named = self.dimensions or self.namespace != "AWS/RDS"  # of an account: without any
        of = [stage.filled(self.dimensions)] if named else rds.dimensions(stage.place)
        since = stage.ago(self.since)
        about = self.namespace, self.metric
        over: list[float] = []  # when it was
        fn = self._fn(since, over)
        stage.kept = (
            over,
            [stage.place.metrics.overlay(*about, each, since, None, fn, self.unit) for each in of],
        )

    def _fn(self, since: datetime, over: list[float]) -> Callable[[float], float]:
        def value(minute: float) -> float:
            if over and self.after is not None and minute >= over[0]:
                return self.after
            if self.from_value is not None and self.climb:
                share = (minute - since.timestamp()) / self.climb.total_seconds()
                share = min(1.0, max(0.0, share))
                return float(round(self.from_value + (self.value - self.from_value) * share))
            if minute // 60 % self.bursts[0] >= self.bursts[1]:
                return 0.0
            return self.value + minute % self.wobble[0] * self.wobble[1]

        return value

    def tick(self, stage: Stage) -> None:
        over, overlays = stage.kept
        if self.lasts and not over and not stage.lasts():
            over.append(stage.place.now().timestamp())
            if self.after is None:
                for overlay in overlays:
                    overlay.end = min(overlay.end, over[0])

    def undo(self, stage: Stage) -> None:
        for overlay in stage.kept[1] if stage.kept else ():
            overlay.remove()


@verb("lines", "logs")
class Lines(Verb):
    """Invocations of a function that its log tells of.

    ago:      when each was
    entries:  the lines of each: members of a JSON line, with `level`, or plain text; `after_s` is
              when in the invocation
    """

    function: str
    ago: list[Duration]
    entries: list[str | Mapping[str, Any]]
    took_ms: float = 200.0

    def apply(self, stage: Stage) -> None:
        for ago in self.ago:
            when = stage.ago(ago)
            told = [_entry(when, stage.filled(each)) for each in self.entries]
            journals.tell(stage.place, self.function, when, told, self.took_ms)


def _entry(when: datetime, entry: Any) -> journals.Told:
    if isinstance(entry, str):
        return when, entry
    members = dict(entry)
    when += timedelta(seconds=members.pop("after_s", 0))
    return when, lines.entry(members.pop("level", "INFO"), when, **members)


@verb("answers", "api")
class Answers(Verb):
    """What the API's address answers, before any request reaches the app."""

    kind: Literal["unreachable", "slow", "html", "404"]
    seconds: float = 0.0

    def apply(self, stage: Stage) -> None:
        stage.place.faults["api"] = {"kind": self.kind, "seconds": self.seconds}

    def undo(self, stage: Stage) -> None:
        stage.place.faults.pop("api", None)


@verb("fault")
class Fault(Verb):
    """Something that the application's own code looks for in `place.faults`."""

    name: str
    value: Any = True
    seen_in: frozenset[str] = frozenset()  # what it touches

    def touched(self) -> frozenset[str]:
        return self.seen_in

    def apply(self, stage: Stage) -> None:
        stage.place.faults[self.name] = self.value

    def undo(self, stage: Stage) -> None:
        stage.place.faults.pop(self.name, None)
