"""Requests to a function as Lambda's REPORT lines tell of them, and what makes the slow ones slow.

Lambda's own Duration leaves the initialisation of a new environment out, and a caller waits for that too: how long a
request took is here both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.core.connections.connection import Connection
from opslib.core.reads import logs
from opslib.core.reads.concerns import route
from opslib.core.tables import UTC_TIME, frame
from opslib.core.times import Window

if TYPE_CHECKING:
    import pandas as pd

SERIES = {
    "time": UTC_TIME,
    "requests": "int64",
    "starts": "int64",
    "p50_ms": "float64",
    "p95_ms": "float64",
}
SLOW = {
    "time": UTC_TIME,
    "request": "str",
    "total_ms": "float64",
    "init_ms": "float64",
    "duration_ms": "float64",
    "route": "str",
}
_REPORTS = 'filter @type = "REPORT" | fields @duration + coalesce(@initDuration, 0) as total'
_COUNTED = "count(*) as requests, count(@initDuration) as starts, pct(total, 50) as p50_ms, pct(total, 95) as p95_ms"
_ASKED = 300  # slow requests of which the route is looked up

# The rules. Of requests, a share; a handful of requests proves nothing.
FEWEST = 5  # slow requests, at least
_SLOW_SHARE = 0.05  # more of them slow than this: the p95 is
STARTS_SHARE = (
    0.05  # more begin with an initialisation; AWS's own experience is less than one in a hundred
)
_MOSTLY = 0.5  # of the slow ones, slow for want of a running environment
TIMEOUTS, _TIMEOUT_SHARE = 3, 0.01  # at least so many, and so much of all requests
_STRETCHES = 3  # of equal length from slow to the limit: each has to hold requests that ended, if the tail is to be one
_CUT, _HANG = (
    0.5,
    0.2,
)  # ended in the upper half for each that timed out: a tail that is cut; a hang


@dataclass(frozen=True)
class Requests:
    """The requests of a window. Times in ms. `slow`: those over `slow_ms` that ended, with SLOW's columns."""

    count: int
    starts: int
    p50_ms: float
    p95_ms: float
    longest_ms: float
    slow_ms: float
    limit_ms: float
    timeouts: int
    slow: pd.DataFrame
    series: pd.DataFrame

    @property
    def are_slow(self) -> bool:
        return self.p95_ms > self.slow_ms and len(self.slow) + self.timeouts >= FEWEST

    @property
    def time_out(self) -> bool:
        return self.timeouts >= TIMEOUTS and self.timeouts >= _TIMEOUT_SHARE * self.count

    @property
    def slow_by_start(self) -> int:
        """Slow requests that would not have been without their initialisation."""
        return int(((self.slow["init_ms"] > 0) & (self.slow["duration_ms"] <= self.slow_ms)).sum())

    @property
    def start_cold(self) -> bool:
        often = self.starts > STARTS_SHARE * self.count
        enough = (
            self.slow_by_start >= FEWEST
            and len(self.slow) + self.timeouts > _SLOW_SHARE * self.count
        )
        return often and enough and self.slow_by_start > _MOSTLY * (len(self.slow) + self.timeouts)

    @property
    def shape(self) -> str:
        """What the durations say of the time-outs: `cut`, `hang`, or empty when they do not tell."""
        return shape(list(self.slow["duration_ms"]), self.timeouts, self.slow_ms, self.limit_ms)


def shape(ended: Sequence[float], timeouts: int, slow_ms: float, limit_ms: float) -> str:
    """`ended`: how long the slow requests took that did end.

    A tail that is cut runs up to the limit: some in every stretch, and many near the end. A hang leaves nothing between.
    """
    if not timeouts or limit_ms <= slow_ms:
        return ""
    width = (limit_ms - slow_ms) / _STRETCHES
    stretches = {
        min(_STRETCHES - 1, int((each - slow_ms) / width)) for each in ended if each > slow_ms
    }
    near = sum(each >= (slow_ms + limit_ms) / 2 for each in ended)
    if len(stretches) == _STRETCHES and near >= _CUT * timeouts:
        return "cut"
    return "hang" if near <= _HANG * timeouts else ""


def read(
    ops: Connection, function: str, within: Window, slow_ms: float, limit_ms: float
) -> Requests:
    """The requests of a window (Logs Insights). `limit_ms`: the function's time-out."""
    ask = partial(logs.query, ops, function, within=within)
    slow_text = f"{_REPORTS} | filter total > {slow_ms:g} | display @timestamp, @requestId, total, @initDuration, @duration"
    whole, series, slow, stopped = ops.gather(
        lambda: ask(f"{_REPORTS} | stats {_COUNTED}, max(total) as longest_ms"),
        lambda: ask(f"{_REPORTS} | stats {_COUNTED} by bin(5m)"),
        lambda: ask(f"{slow_text} | sort total desc"),
        lambda: ask("filter @message like /Task timed out after/ | stats count(*) as stopped"),
    )
    first = whole.iloc[0] if len(whole) else {}
    ended = _ended(slow, limit_ms)
    p50, p95, longest = (_number(first.get(key)) for key in ("p50_ms", "p95_ms", "longest_ms"))
    return Requests(
        count=int(first.get("requests", 0)),
        starts=int(first.get("starts", 0)),
        p50_ms=p50,
        p95_ms=p95,
        longest_ms=longest,
        slow_ms=slow_ms,
        limit_ms=limit_ms,
        timeouts=int(stopped["stopped"].iloc[0]) if len(stopped) else 0,
        slow=frame(_routed(ops, function, within, ended), SLOW),
        series=_series(series),
    )


def _series(found: pd.DataFrame) -> pd.DataFrame:
    rows = found.rename(columns={"bin(5m)": "time"}).to_dict("records")
    return frame(sorted(rows, key=lambda row: row["time"]), SERIES)


def _ended(found: pd.DataFrame, limit_ms: float) -> list[dict[str, Any]]:
    """Slow requests but those that were stopped: a REPORT at the limit is that of a time-out."""
    names = {
        "@timestamp": "time",
        "@requestId": "request",
        "total": "total_ms",
        "@initDuration": "init_ms",
        "@duration": "duration_ms",
    }
    rows = [{names[k]: v for k, v in row.items() if k in names} for row in found.to_dict("records")]
    return [
        row | {"init_ms": _number(row.get("init_ms"))}
        for row in rows
        if row["duration_ms"] < limit_ms
    ]


def _number(value: Any) -> float:
    return float(value) if value is not None and value == value else 0.0


def _routed(
    ops: Connection, function: str, within: Window, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """With the route of the slowest: what the app's own line of that request says."""
    asked = [row["request"] for row in rows[:_ASKED]]
    known: dict[str, str] = {}
    if asked:
        listed = ", ".join(f'"{id}"' for id in asked)
        text = f"filter request_id in [{listed}] and ispresent(path) | fields request_id, method, path | display request_id, method, path"
        answer = logs.query(ops, function, text, within)
        known = {row["request_id"]: route(row) for row in answer.to_dict("records")}
    return [row | {"route": known.get(row["request"], "")} for row in rows]
