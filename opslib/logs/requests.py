"""Requests as a system's own lines tell of them: one path that is slow or refused, one user's many.

Against an hour of the day before: an average over all of them hides one of them.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from opslib.core import Connection, Findings, Question, Window, check, count, logs

_HOUR, _EARLIER = timedelta(hours=1), timedelta(hours=22)  # ago: of much the same rhythm
_FEW, _MANY = 50, 300  # requests: of fewer nothing is said
_TIMES, _LEAST_MS = 2, 100  # slower
_SHARE, _OFTEN = 0.2, 4  # of a path's requests that are refused; times what was refused before
_OF_ONE = 0.3
_NONE = (0, 0.0)
_ASKED = (
    (
        "path",
        "filter ispresent({path}) | stats count(*) as n, pct({milliseconds}, 50) as ms by {path}",
    ),
    ("path", "filter {status} >= 400 | stats count(*) as n by {path}"),
    ("user", 'filter {user} != "" | stats count(*) as n by {user} | sort n desc | limit 1'),
)


@check("Is one path slow or refused, or does one user ask for most?")
def check_requests(ops: Connection) -> Findings:
    """The last hour against one of the day before, by the fields that `logs.requests` names."""
    fields = ops.target["logs"]["requests"]
    hours = [Window(end - _HOUR, end) for end in (ops.now(), ops.now() - _EARLIER)]
    reads = [
        partial(_read, ops, text.format_map(fields), fields[of], hour)
        for hour in hours
        for of, text in _ASKED
    ]
    now, refused, users, earlier, refused_earlier, users_earlier = ops.gather(*reads)
    asked = Question("requests", "each path as before, no user has most of them", "Logs Insights")
    all_now, all_earlier = (sum(n for n, _ in of.values()) for of in (now, earlier))
    found = Findings(
        asked.warn(f"{path}: {seen}", next="logs/query")
        for path, (n, ms) in now.items()
        for seen in _of_a_path(
            n,
            ms,
            *earlier.get(path, (0, 0)),
            refused.get(path, _NONE)[0],
            refused_earlier.get(path, _NONE)[0],
        )
    )
    for user, (n, _) in users.items():
        share, most = n / max(all_now, 1), max((n for n, _ in users_earlier.values()), default=0)
        if all_now >= _MANY and share >= _OF_ONE and share > _TIMES * most / max(all_earlier, 1):
            seen = f"{n:,} of {all_now:,} are of one {fields['user']}, {user}; "
            seen += f"before {most:,} of {all_earlier:,}"
            found.append(asked.warn(seen, next="logs/query"))
    return found or Findings(
        [asked.ok(f"{count(all_now, 'request')} in an hour, {all_earlier:,} before")]
    )


def _read(ops: Connection, text: str, of: str, hour: Window) -> dict[str, tuple[int, float]]:
    """How many, and their median in ms, by path or user."""
    rows = logs.query(ops, logs.ALL, text, hour).to_dict("records")
    return {str(row[of]): (int(row["n"]), float(row.get("ms", 0))) for row in rows}


def _of_a_path(
    n: int, ms: float, n_before: int, before: float, refused: int, refused_before: int
) -> Iterator[str]:
    if min(n, n_before) < _FEW:
        return
    if ms > _TIMES * before and ms > before + _LEAST_MS:
        yield f"{ms:,.0f} ms (median of {count(n, 'request')}), before {before:,.0f}"
    if refused >= _SHARE * n and refused / n > _OFTEN * refused_before / n_before:
        seen = f"{refused:,} of {count(n, 'request')} were answered with 4xx or 5xx, "
        yield seen + f"before {refused_before:,} of {n_before:,}"
