"""A function's versions compared: how many requests each served, and how many of them failed."""

import re
from datetime import timedelta
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.reads import logs
from opslib.core.reads.functions import live_version
from opslib.core.tables import Frame, dtypes, frame
from opslib.core.times import Window

TRAFFIC = dtypes("""
    version        str
    live           bool
    requests       int64
    errors         int64
    errors_per_100 float64
    early_per_100  float64
    first          utc
    last           utc
""")
# A version is worse than the one before it: over twice the errors, up to ten in 100 requests, and
# one in 100 more.
_FACTOR, _FEW, _MARGIN = 2.0, 10.0, 1.0
_EARLY = timedelta(minutes=30)  # an error that a version brought shows from its first half hour
_BIN = "bin(5m)"
_TERM = re.compile(r'\?(?:"([^"]*)"|(\S+))')
_LEVELS = r'"level": ?(?:"(?:error|fatal|critical)"|[56]0\b)'
_BY_VERSION = (
    r"parse @logStream /\[(?<version>[^\]]+)\]/ | filter ispresent(version)"  # not of other writers
    rf" | stats count(*) as lines by version, {_BIN}"
)


def live_and_before(ops: Connection, function: str, within: Window) -> tuple[Frame, Any, Any]:
    """The traffic, and of it the rows of the live version and of the one that served before it.

    None where it served no request.
    """
    found = traffic(ops, function, live_version(ops, function), within)
    rows = found.itertuples()
    now = next(rows, None)
    return found, now if now and now.live else None, next(rows, None)


def most_errors(before: Any) -> float:
    """Of 100 requests, how many may fail of a version that is no worse than the one before it.

    Twice as many only of few: that a third failed before excuses nothing.
    """
    had = before.errors_per_100
    return float(max(min(_FACTOR * had, _FEW), had + _MARGIN))


def traffic(ops: Connection, function: str, live: str, within: Window) -> Frame:
    """Requests and lines of trouble by version, the live one first, then by last use.

    Columns: TRAFFIC. Counted by Logs Insights: a Lambda's log streams are named by version,
    `2026/11/22/[3]…`, and each request ends with a REPORT. `early_per_100` is of the first half
    hour that a version served within the window.
    """
    served, failed = ops.each(
        lambda lines: logs.query(
            ops, function, f"filter @message like /{lines}/ | {_BY_VERSION}", within
        ),
        ("^REPORT RequestId", trouble(ops)),
    ).values()
    rows = []
    for version, of in served.groupby("version") if len(served) else ():
        name, first = str(version).removesuffix(".0"), of[_BIN].min()
        wrong = failed[failed["version"] == version] if len(failed) else of.head(0)
        early, early_errors = (
            found.loc[found[_BIN] < first + _EARLY, "lines"].sum() for found in (of, wrong)
        )
        requests, errors = of["lines"].sum(), wrong["lines"].sum()
        rows.append(
            {
                "version": name,
                "live": name == live,
                "requests": requests,
                "errors": errors,
                "errors_per_100": round(100 * errors / requests, 2),
                "early_per_100": round(100 * early_errors / early, 2),
                "first": first,
                "last": of[_BIN].max(),
            }
        )
    return frame(sorted(rows, key=lambda row: (row["live"], row["last"]), reverse=True), TRAFFIC)


def trouble(ops: Connection) -> str:
    """What means trouble in a line, as a regular expression: usual words, and the target's own."""
    terms = _TERM.findall(logs.error_pattern(ops)) or _TERM.findall(logs.USUAL)
    words = (re.escape(quoted or plain).replace("/", r"\/") for quoted, plain in terms)
    return "|".join([*words, _LEVELS]).replace(r"\ ", " ")
