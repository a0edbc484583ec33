"""Requests to a function as Lambda's REPORT lines tell of them, and what makes the slow ones slow.

Lambda's own Duration leaves the initialisation of a new environment out, and a caller waits for
that too: how long a request took is here both together.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from opslib.core import Connection, Frame, Window, dtypes, frame, logs
from opslib.core.reads.concerns import route

SERIES = dtypes("""
    time     utc
    requests int64
    starts   int64
    p50_ms   float64
    p95_ms   float64
""")
SLOW = dtypes("""
    time        utc
    request     str
    total_ms    float64
    init_ms     float64
    duration_ms float64
    route       str
""")
_REPORTS = (
    'filter @type = "REPORT" | fields @timestamp as time, @requestId as request, '
    "@duration as duration_ms, coalesce(@initDuration, 0) as init_ms, "
    "@duration + coalesce(@initDuration, 0) as total_ms"
)
_COUNTED = (
    "count(*) as ended, count(@initDuration) as starts, "
    "pct(total_ms, 50) as p50_ms, pct(total_ms, 95) as p95_ms"
)
_TOTALS = ("ended", "starts", "p50_ms", "p95_ms", "longest_ms")
_ASKED = 300  # slow requests of which the route is looked up

# The rules. Of requests, a share; a handful of requests proves nothing.
FEWEST = 5  # slow requests, at least
_SLOW_SHARE = 0.05  # more of them slow than this: the p95 is
# More begin with an initialisation; AWS's own experience is less than one in a hundred.
STARTS_SHARE = 0.05
_MOSTLY = 0.5  # of the slow ones, slow for want of a running environment
TIMEOUTS, _TIMEOUT_SHARE = 3, 0.01  # at least so many, and so much of all requests
# How many ended in the upper half for each that timed out: a tail that is cut; a hang.
_CUT, _HANG = 0.5, 0.2


class Requests(NamedTuple):
    """The requests of a window. Times in ms.

    `slow`: those over `slow_ms` that ended, with SLOW's columns.
    """

    ended: int
    starts: int
    p50_ms: float
    p95_ms: float
    longest_ms: float
    slow_ms: float
    limit_ms: float
    timeouts: int
    slow: Frame
    series: Frame

    @property
    def all_slow(self) -> int:
        """Those that ended, and those that were stopped."""
        return len(self.slow) + self.timeouts

    @property
    def are_slow(self) -> bool:
        return self.p95_ms > self.slow_ms and self.all_slow >= FEWEST

    @property
    def time_out(self) -> bool:
        return self.timeouts >= TIMEOUTS and self.timeouts >= _TIMEOUT_SHARE * self.ended

    @property
    def slow_by_start(self) -> int:
        """Slow requests that would not have been without their initialisation."""
        return int(((self.slow["init_ms"] > 0) & (self.slow["duration_ms"] <= self.slow_ms)).sum())

    @property
    def start_cold(self) -> bool:
        return (
            self.starts > STARTS_SHARE * self.ended
            and self.all_slow > _SLOW_SHARE * self.ended
            and self.slow_by_start >= FEWEST
            and self.slow_by_start > _MOSTLY * self.all_slow
        )

    @property
    def shape(self) -> str:
        """What the durations say of the time-outs.

        `cut`, a tail that runs up to the limit: many end in the upper half. `hang`: nothing ends
        there. Empty when they do not tell.
        """
        if not self.timeouts or self.limit_ms <= self.slow_ms:
            return ""
        near = (self.slow["duration_ms"] >= (self.slow_ms + self.limit_ms) / 2).sum()
        if near >= _CUT * self.timeouts:
            return "cut"
        return "hang" if near <= _HANG * self.timeouts else ""


def read_requests(
    ops: Connection, function: str, within: Window, slow_ms: float, limit_ms: float
) -> Requests:
    """The requests of a window (Logs Insights). `limit_ms`: the function's time-out."""
    ask = partial(logs.query, ops, function, within=within)
    whole, series, slow, stopped = ops.each(
        ask,
        (
            f"{_REPORTS} | stats {_COUNTED}, max(total_ms) as longest_ms",
            f"{_REPORTS} | stats {_COUNTED} by bin(5m)",
            f"{_REPORTS} | filter total_ms > {slow_ms:g} | sort total_ms desc "
            "| display time, request, duration_ms, init_ms, total_ms",
            "filter @message like /Task timed out after/ | stats count(*) as stopped",
        ),
    ).values()
    totals = next(iter(whole.fillna(0).to_dict("records")), dict.fromkeys(_TOTALS, 0))
    series = series.rename(columns={"bin(5m)": "time", "ended": "requests"}).to_dict("records")
    return Requests(
        **totals,
        slow_ms=slow_ms,
        limit_ms=limit_ms,
        timeouts=int(stopped["stopped"].iloc[0]) if len(stopped) else 0,
        slow=_routed(ask, frame(slow.to_dict("records"), SLOW), limit_ms),
        series=frame(sorted(series, key=lambda row: row["time"]), SERIES),
    )


def _routed(ask: Callable[[str], Frame], slow: Frame, limit_ms: float) -> Frame:
    """Slow requests but those that were stopped: a REPORT at the limit is that of a time-out.

    With the route of the slowest: what the app's own line of that request says.
    """
    ended = slow[slow["duration_ms"] < limit_ms]
    asked = ", ".join(f'"{id}"' for id in ended["request"].head(_ASKED))
    known = {}
    if asked:
        fields = "request_id, method, path"
        text = f"filter request_id in [{asked}] and ispresent(path) | fields {fields}"
        found = ask(f"{text} | display {fields}").to_dict("records")
        known = {row["request_id"]: route(row) for row in found}
    return ended.assign(route=[known.get(id, "") for id in ended["request"]])
