"""A function's versions compared: how many requests each served, and how many of them failed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.core.connections.connection import Connection
from opslib.core.reads import logs
from opslib.core.tables import UTC_TIME, frame
from opslib.core.times import Window

if TYPE_CHECKING:
    import pandas as pd

TRAFFIC = {
    "version": "str",
    "live": "bool",
    "requests": "int64",
    "errors": "int64",
    "errors_per_100": "float64",
    "early_per_100": "float64",
    "first": UTC_TIME,
    "last": UTC_TIME,
}
_EARLY = timedelta(minutes=30)  # an error that a version brought shows from its first half hour
_BY_VERSION = (
    r"parse @logStream /\[(?<version>[^\]]+)\]/ | stats count(*) as lines by version, bin(5m)"
)


def traffic(ops: Connection, function: str, live: str, within: Window) -> pd.DataFrame:
    """Requests and lines of trouble by version, the live one first, then by last use. Columns: TRAFFIC.

    Counted by Logs Insights: a Lambda's log streams are named by version, `2026/11/22/[3]…`, and each request ends with
    a REPORT. `early_per_100` is of the first half hour that a version served within the window.
    """
    served, failed = ops.gather(
        lambda: logs.query(
            ops, function, f"filter @message like /^REPORT RequestId/ | {_BY_VERSION}", within
        ),
        lambda: logs.query(
            ops, function, f"filter @message like /{trouble(ops)}/ | {_BY_VERSION}", within
        ),
    )
    rows = (
        [_row(version, live, lines, failed) for version, lines in served.groupby("version")]
        if len(served)
        else []
    )
    return frame(sorted(rows, key=lambda row: (row["live"], row["last"]), reverse=True), TRAFFIC)


def trouble(ops: Connection) -> str:
    """The target's `logs.error_pattern` (`?ERROR ?"Task timed out"`) as a regular expression."""
    terms = re.findall(r'\?(?:"([^"]*)"|(\S+))', logs.error_pattern(ops))
    return "|".join(
        re.escape(quoted or plain).replace("/", r"\/").replace(r"\ ", " ")
        for quoted, plain in terms
    )


def _row(version: Any, live: str, served: pd.DataFrame, failed: pd.DataFrame) -> dict[str, Any]:
    mine = failed[failed["version"] == version] if len(failed) else failed
    first, last = served["bin(5m)"].min(), served["bin(5m)"].max()
    requests, errors = int(served["lines"].sum()), int(mine["lines"].sum()) if len(mine) else 0
    early = served[served["bin(5m)"] < first + _EARLY]["lines"].sum()
    early_errors = mine[mine["bin(5m)"] < first + _EARLY]["lines"].sum() if len(mine) else 0
    return {
        "version": str(version).removesuffix(".0"),
        "live": str(version).removesuffix(".0") == live,
        "requests": requests,
        "errors": errors,
        "errors_per_100": round(100 * errors / requests, 2),
        "early_per_100": round(100 * early_errors / early, 2),
        "first": first,
        "last": last,
    }
