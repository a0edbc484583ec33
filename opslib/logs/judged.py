"""Log lines with three answers: trouble, well, or not understood; and what could not be read."""

import re
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from functools import partial
from statistics import mode

from opslib.core import (
    Connection,
    Finding,
    Frame,
    NotFound,
    Question,
    Window,
    clock,
    count,
    log_lines,
    logs,
    unread,
)
from opslib.core.reads.log_levels import PLATFORM, read
from opslib.logs import silences

LINES = {**logs.EVENTS, "level": "str", "answer": "str"}
WARNINGS = ("WARN", "WARNING", "WRN")  # levels
TROUBLE, WELL, UNCLEAR = "trouble", "well", "not understood"
_ANSWERS = {True: TROUBLE, False: WELL, None: UNCLEAR}
_SOURCE = "FilterLogEvents"
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_ENDED = re.compile(r'REPORT RequestId: |\{.*"type":\s*"platform\.report"')
_WHOLE = 2_500  # lines
_QUARTER = timedelta(minutes=15)
# So many of a source's requests failing is no ordinary day, however few they are.
_SHARES = ((2, 0.5), (4, 0.25), (12, 0.1))
_IN_A_QUARTER = ((4, 0.5), (12, 0.25))  # at night a handful of requests is a quarter hour
_MORE, _SELDOM = 5, 0.2  # times what a pattern of trouble may have; of that rate, before
# What a line warns of whatever its level: it goes on, and not as it should.
_WARNED = re.compile(
    r"(?i)\bretrying\b|circuit[ -]?breaker\W+(?:is \W?)?open|falling back|using fallback"
    r"|serving stale|degraded mode|giving up"
)
_WARNING_WORDS = "?WARN ?Warn ?warn ?WRN ?etrying ?ircuit ?alling ?allback ?stale ?egraded ?iving"
_HOUR = timedelta(hours=1)
_TIMES, _SHARE = 3, 0.01  # of all patterns together: so often what one may have, and of requests


def read_lines(ops: Connection, source: str, within: Window) -> Frame:
    """The lines of a window, a traceback as one, each with its answer. Columns: LINES.

    The newest 2,500 of a log group are read wholly; of what is older in a group that has
    more, what has a word of trouble in it. `attrs`: those of `logs.search`.
    """
    import pandas as pd

    events = logs.search(ops, source, "", within, limit=_WHOLE)
    whole_since = events.attrs["whole_since"]

    def older(name: str) -> Frame:
        before = Window(within.start, whole_since[name].to_pydatetime())
        return logs.search(ops, name, " ".join(logs.CANDIDATES.split()), before)

    parts = list(ops.each(older, whole_since).values())
    pattern = logs.own_pattern(ops)  # of the target's file
    named = set(logs.search(ops, source, pattern, within)["event_id"]) if pattern else set()
    found = pd.concat([events, *parts]).drop_duplicates("event_id")
    found = log_lines.joined(found.sort_values(["time", "event_id"], ignore_index=True))
    said = list(map(read, found["message"]))
    found["level"] = [each.level for each in said]
    found["answer"] = [_ANSWERS[each.trouble] for each in said]
    found = found.astype(LINES)  # also when there is none
    own = found["event_id"].isin(named) & (found["answer"] == UNCLEAR)
    found.loc[own, "answer"] = TROUBLE
    _once_a_request(found)
    found.attrs = events.attrs | {"cut": any(part.attrs["cut"] for part in parts)}
    return found


def _once_a_request(lines: Frame) -> None:
    """A request that ended in trouble has said so already where another line of it does."""
    ill = lines["answer"] == TROUBLE
    ended = lines["message"].str.match(PLATFORM) | lines["message"].str.match(_ENDED)
    told = set(lines.loc[ill & ~ended, "message"].str.findall(_ID).explode().dropna())
    again = [
        bool(told.intersection(_ID.findall(text))) for text in lines.loc[ill & ended, "message"]
    ]
    lines.loc[lines.index[ill & ended][again], "answer"] = WELL


def troubles(lines: Frame) -> Frame:
    """Those that are trouble. Columns: LINES."""
    found = lines[lines["answer"] == TROUBLE].reset_index(drop=True)
    found.attrs.update(lines.attrs)
    return found


def told_of_unclear(lines: Frame) -> str:
    """How many lines were not understood, and the most frequent of them; empty when none is."""
    unclear = lines[lines["answer"] == UNCLEAR]
    if unclear.empty:
        return ""
    shown = unclear["message"].head(2_000)
    pattern = max((named := log_lines.patterns(shown)), key=named.count)
    return f"{len(unclear):,} of {count(len(lines), 'line')} say neither, as {pattern!r}"


def of_the_whole(
    ops: Connection,
    lines: Frame,
    within: Window,
    follows: str = "logs/errors",
    told: Collection[str] = (),
) -> list[Finding]:
    """The sum of all trouble, its share of each source's requests, new warnings, silences.

    `told`: ids of lines of which there is a finding already.
    """
    ill, most = troubles(lines), logs.tolerated(ops)
    ill = ill[~ill["event_id"].isin(told)]
    requests = lines[lines["message"].str.match(_ENDED)]
    in_an_hour = log_lines.most_in_an_hour(ill["time"]) if len(ill) else 0
    served = log_lines.most_in_an_hour(requests["time"]) if len(requests) else 0
    asked = Question(
        f"trouble {'beside that' if told else 'in all'}",
        f"at most {_TIMES * most} in an hour, or 1 % of requests",
        _SOURCE,
    )
    seen = f"{count(len(ill), 'line')} of trouble of {count(len(lines), 'line')}"
    seen += f", at most {in_an_hour} in an hour" if len(ill) else ""
    seen += f", beside {count(len(requests), 'request')}" if len(requests) else ""
    unclear = told_of_unclear(lines)
    seen += f". {unclear}" if unclear else ""
    well = in_an_hour <= _TIMES * most or (served > 0 and in_an_hour <= _SHARE * served)
    found = [asked.judged(well, seen, otherwise="warn", next=follows)]
    whole_since = lines.attrs["whole_since"]
    whole = ill[[row.time >= whole_since.get(row.source, row.time) for row in ill.itertuples()]]
    judge = partial(_share, whole, requests, follows)
    found += filter(None, map(judge, sorted(set(ill["source"]))))
    found += _new_warnings(ops, lines, within, _MORE * most)
    return [*found, *silences.told(ops, lines, within)]


def _new_warnings(ops: Connection, lines: Frame, within: Window, most: int) -> Iterator[Finding]:
    """Patterns of warnings that began: many write others all day, and mean nothing by them.

    What is seldom is told of the lines that were read wholly, not from less than an hour, and not
    of what came at that hour of the day before, too.
    """
    warned = lines["level"].isin(WARNINGS) | lines["message"].str.contains(_WARNED)
    warnings = lines[warned & (lines["answer"] != TROUBLE)]
    for source, of in warnings.groupby("source"):
        known = max(within.start, lines.attrs["whole_since"].get(source, within.start))
        of = of[of["time"] >= known]
        for pattern, same in of.groupby(log_lines.patterns(of["message"])):
            if not (begun := log_lines.burst(same["time"], most)):
                continue
            hours, before = (begun - known) / _HOUR, int((same["time"] < begun).sum())
            seldom = _SELDOM * log_lines.most_in_an_hour(same["time"])
            if hours < 1 or before > seldom * hours:
                continue
            if _a_day_before(ops, source, list(same["message"]), begun) > seldom:
                continue
            asked = Question(
                pattern, f"at most {most} in an hour of what was seldom", _SOURCE, begun
            )
            last = clock(same["time"].iloc[-1], within.end)
            seen = f"it began: {count(len(same) - before, 'line')} from {clock(begun, within.end)} "
            seen += f"to {last}, {before} in the {count(round(hours), 'hour')} before ({source})"
            yield asked.warn(seen, next="logs/search")


def _a_day_before(ops: Connection, source: str, alike: list[str], begun: datetime) -> int:
    """How many lines like these came within an hour of that time on the day before."""
    at = begun - timedelta(days=1)
    earlier = logs.search(ops, source, _WARNING_WORDS, Window(at - _HOUR, at + _HOUR))
    named = log_lines.patterns([*alike, *earlier["message"]])
    own = set(named[: len(alike)])
    return sum(each in own for each in named[len(alike) :])


def _share(ill: Frame, requests: Frame, follows: str, source: str) -> Finding | None:
    """A finding where a source fails much of what it is asked, in all or in a quarter hour."""
    mine = ill[ill["source"] == source]
    served = requests.loc[requests["source"] == source, "time"]
    asked = Question(f"share of trouble in {source}", "at most 1 in 10 requests", _SOURCE)
    quarters, beside = (of.dt.floor(_QUARTER).value_counts() for of in (mine["time"], served))
    bad = [
        (number, begin, of)
        for begin, number in quarters.items()
        if _too_many(number, of := int(beside.get(begin, 0)), _IN_A_QUARTER)
    ]
    if _too_many(len(mine), len(served), _SHARES):
        number, of, when = len(mine), len(served), ""
    elif bad:
        number, begin, of = max(bad)
        when = f" in the quarter hour from {begin:%m-%d %H:%M} UTC, the worst of {len(bad)}"
    else:
        return None
    seen = f"{count(number, 'line')} of trouble beside {count(of, 'request')}{when}"
    seen += f", most often {mode(log_lines.patterns(mine['message']))}"
    return asked.warn(seen, next=follows)


def _too_many(wrong: int, of: int, shares: tuple[tuple[int, float], ...]) -> bool:
    return of > 0 and any(wrong >= few and wrong >= share * of for few, share in shares)


def not_read(ops: Connection, lines: Frame, within: Window) -> Iterator[Finding]:
    """Log groups that were not read.

    One that is gone is critical, unless nothing can have written to it.
    """
    lately = Window(within.end - timedelta(days=14), within.end)
    for name, exc in lines.attrs["failed"].items():
        asked = Question(f"log group of {name}", "it is there and can be read", _SOURCE)
        if not isinstance(exc, NotFound):
            yield unread(asked.words, exc)
        elif name in ops.target.at("functions") and silences.ran(ops, [name], lately) == {}:
            yield asked.ok("not there: the function was not called in two weeks")
        else:
            seen = f"{exc} Its lines are lost, and new ones where the role may not make it again"
            follows = "services/health" if name in ops.target.at("services") else ""
            yield asked.critical(seen, next=follows or "functions/configuration")
