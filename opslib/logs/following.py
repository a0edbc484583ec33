"""Log lines as they come: printed, or in a box where somebody looks on."""

import signal
from time import monotonic

from opslib.core import (
    Connection,
    Findings,
    Frame,
    OpsError,
    Question,
    Refused,
    UsageError,
    Window,
    check,
    count,
    poll,
    unread,
    window,
)
from opslib.core.checks.checks import keep
from opslib.core.reads import log_levels, log_lines
from opslib.core.reads.logs import groups, search
from opslib.core.waiting import Came, Onlooker, handling
from opslib.logs.judged import WARNINGS


class _Lines:
    """What came since the last look. Late lines too: each look goes back a minute."""

    def __init__(self, ops: Connection, source: str, pattern: str, minutes: float) -> None:
        self._ops, self._source, self._pattern = ops, source, pattern
        self._begin = window(ops, minutes).start
        self._seen, self.kept = set[str](), list[Frame]()

    def __call__(self) -> list[Came]:
        within = Window(self._begin, self._ops.now())
        events = search(self._ops, self._source, self._pattern, within)
        new = events[~events["event_id"].isin(self._seen)]
        self._seen.update(new["event_id"])
        self.kept.append(new)
        self._begin = max(self._begin, window(self._ops, 1).start)
        return [_came(event) for event in new.itertuples()]


def _came(event: object) -> Came:
    time, source, message = (getattr(event, name) for name in ("time", "source", "message"))
    said = log_levels.read(message)
    level = "error" if said.trouble else "warning" if said.level in WARNINGS else ""
    return Came(f"{time:%H:%M:%S} {source}: {log_lines.brief(message)}", level)


@check("What do the logs say now?")
def check_following(
    ops: Connection, source: str, pattern: str = "", seconds: float = 30, minutes: float = 1
) -> Findings:
    """Print lines as they come for some seconds, beginning with those of the last minutes; each
    once. Interrupting the kernel ends it early. Evidence: none; the lines are printed.
    """
    where = ", ".join(groups(ops, source).values())
    lines, started = _Lines(ops, source, pattern, minutes), monotonic()

    def look() -> None:
        for line in lines():
            print(line.text, flush=True)

    try:
        poll(look, lambda _: False, seconds, pause_seconds=2)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    took = min(seconds, round(monotonic() - started))
    seen = f"{count(sum(map(len, lines.kept)), 'line')} in {took:g} s"
    return _told(source, where, seen, minutes)


async def watch(
    ops: Connection, source: str, pattern: str = "", seconds: float = 30, minutes: float = 1
) -> Findings:
    """Where somebody looks on, the lines in a box: to stop, to pause, by level and words.

    Elsewhere what `check_following` does, and in its words.
    """
    if (somebody := ops.kept(Onlooker)) is None:
        # In a cell that awaits, Ctrl-C ends what is awaited: what only runs would go on.
        with handling(signal.default_int_handler, signal.SIGINT):
            return check_following(ops, source, pattern, seconds, minutes)
    where = ", ".join(groups(ops, source).values())
    try:
        seen = await somebody.watches(_Lines(ops, source, pattern, minutes), seconds)
    except (UsageError, Refused):
        raise
    except OpsError as exc:
        return keep(ops, Findings(unread(f"following {source}", exc)))
    return keep(ops, _told(source, where, seen, minutes))


def _told(source: str, where: str, seen: str, minutes: float) -> Findings:
    asked = Question(f"following {source}", "it could be read", f"FilterLogEvents {where}")
    return Findings(asked.ok(f"{seen} and the {minutes:g} minutes before"))
