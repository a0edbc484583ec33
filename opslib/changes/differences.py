"""What is different in the configuration: since the last report, since when, by whom."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from opslib.changes import memory, rules, trails
from opslib.changes.forms import HIDDEN, Difference, Forms, own_key
from opslib.changes.memory import NOTHING, Memory, Place
from opslib.changes.resources import UNREAD, Described, Key, describe, table
from opslib.core import (
    SEVERITY,
    UTC_TIME,
    Connection,
    Finding,
    Findings,
    Question,
    UsageError,
    check,
    count,
    frame,
    unread,
)
from opslib.core.text import cut, decoded
from opslib.core.times import moment

DIFFERENT = {
    "resource": "str",
    "setting": "str",
    "was": "str",
    "now": "str",
    "after": UTC_TIME,
    "before": UTC_TIME,
    "by": "str",
    "status": "str",
}
_LONGEST = 160  # characters of a value that are shown; compared is the whole
_SOON = 3  # differences of one resource that its finding names


@dataclass(frozen=True)
class Change:
    """A setting that is different, when that came and by whom. `why`: what makes it no warning."""

    key: Key
    difference: Difference
    after: str  # ISO
    before: str
    by: str = ""
    status: str = "warn"
    why: str = ""

    @property
    def place(self) -> Place:
        return (*self.key, self.difference.path)

    @property
    def told(self) -> str:
        """What is different, in words."""
        path, was, now = self.difference
        if not path and None in (was, now):
            return "it is gone" if now is None else "it is new"
        return f"{path}: was {_shown(was)}, now {_shown(now)}"

    @property
    def told_of(self) -> str:
        """When it came, by whom, and why it is no warning."""
        when = f"between {_minute(self.after)} and {_minute(self.before)}"
        return ", ".join(filter(None, (when, self.by and f"by {self.by}", self.why)))

    def row(self) -> dict[str, Any]:
        _, was, now = self.difference
        return {
            "resource": " ".join(self.key),
            "setting": self.difference.path or "(all of it)",
            "was": _shown(was),
            "now": _shown(now),
            "after": self.after,
            "before": self.before,
            "by": self.by,
            "status": self.why or self.status,
        }


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if value == {}:
        return "there"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(HIDDEN.sub("(hidden)", text), _LONGEST)


def _minute(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%m-%d %H:%M}"


@check("What is different in the configuration?")
def check_configuration(
    ops: Connection, since: str = "", accept: str = "", next: str = ""
) -> Findings:
    """Each resource of the target against what the last report kept of it, and against the rules.

    A difference stays until it is taken back or accepted: in the target's file, or by `accept`, why
    all that is shown is as it should be. What deployments, rotations and failovers do, and what a
    run of ours did, is told and no warning. `since`: compare with the last report before a moment
    instead (`2d`, `2026-11-22`). Evidence: DIFFERENT. Raises UsageError.
    """
    if accept and not ops.journal.kept:
        raise UsageError("What is accepted is kept in the run's record: use opslib run.")
    forms = Forms(own_key())
    before = moment(since, ops.now()) if since else None
    known = memory.last(ops.target.name, forms, before)
    was = known or Memory()
    if before and known:
        was = replace(was, base={}, since={})
    described = describe(ops, dict.fromkeys([*was.now, *was.base]))
    now = {key: forms.normal(of) for key, of in described.found.items()}
    changes = list(_Comparison(ops, forms, was, described, now, accept).changes()) if known else []
    if not before:
        _keep(ops, forms, was, described, now, changes, accept)
    found = [*_findings(changes, was, next), *_absent(described, was), *_unread(ops, described)]
    found += rules.judged(ops, described, lambda place: accepted(ops, place))
    told = [change for change in changes if change.status == "ok"]
    since_when = f"since {was.at:%Y-%m-%d %H:%M} UTC (record {was.record})" if was.at else ""
    seen = f"{count(len(now), 'resource')}, {len(changes)} differences {since_when}"
    if not known:
        seen = f"{count(len(now), 'resource')}; no earlier report keeps what they were"
    if told:
        seen += "; no warning: "
        seen += "; ".join(f"{' '.join(c.key)} {c.told} ({c.told_of})" for c in told[:_SOON])
    found.append(Question("configuration", "as before", "describe calls").answer("ok", seen))
    rows = [change.row() for change in changes]
    return Findings(found, frame(rows, DIFFERENT) if rows else None)


class _Comparison:
    """What is different, each with its status."""

    def __init__(
        self,
        ops: Connection,
        forms: Forms,
        was: Memory,
        described: Described,
        now: dict[Key, Any],
        accept: str,
    ) -> None:
        self._ops, self._forms, self._was = ops, forms, was
        self._described, self._now, self._accept = described, now, accept
        self._until = ops.now().isoformat()

    def changes(self) -> Iterator[Change]:
        for key in dict.fromkeys([*self._now, *self._described.absent, *self._was.base]):
            if key in self._now and self._now[key] == UNREAD:
                continue
            for difference in self._of(key):
                yield self._judged(key, difference)

    def _of(self, key: Key) -> Iterable[Difference]:
        kept = self._was.base.get(key) or self._was.now.get(key)
        if kept is None and self._was.same.table and not self._was.blind:
            kept = NOTHING  # it is new, since it was asked for and not there
        now = self._now.get(key)
        if kept is None or (now is None and key not in self._described.absent):
            return ()
        return self._forms.differences(kept, now, self._was.same)

    def _judged(self, key: Key, difference: Difference) -> Change:
        assert self._was.at is not None
        change = Change(key, difference, self._was.at.isoformat(), self._until)
        if known := self._was.since.get(change.place):
            after, before, by = known
            change = replace(change, after=after, before=before, by=by)
            ours = False
        else:
            by, ours = self._by(change)
            change = replace(change, by=by)
        gone = not difference.path and difference.now is None
        why = self._why(change, ours)
        return replace(change, status="ok" if why else "critical" if gone else "warn", why=why)

    def _why(self, change: Change, ours: bool) -> str:
        if self._accept:
            return f"accepted: {self._accept}"
        path = change.difference.path
        if any(
            re.match(rf"(?:{each})(\W|$)", path)
            for each in table()[change.key[0]].get("routine", ())
        ):
            return "as deployments, rotations and failovers do"
        return "by a run of ours" if ours else accepted(self._ops, change.place)

    def _by(self, change: Change) -> tuple[str, bool]:
        name, setting = change.key[1], re.split(r"[.]", change.difference.path)[-1]
        if act := trails.newest(self._ours, name, setting):
            return f"{act.by} ({act.what})", setting in act.text
        if act := trails.newest(self._theirs[0], name, setting):
            return f"{act.by}: {act.what} at {act.time:%m-%d %H:%M}", False
        return "", False

    @cached_property
    def _ours(self) -> list[trails.Act]:
        assert self._was.at is not None
        return trails.own(self._ops.target.name, self._was.at)

    @cached_property
    def _theirs(self) -> tuple[list[trails.Act], str]:
        assert self._was.at is not None
        return trails.events(self._ops, self._was.at, self._ops.now())


def accepted(ops: Connection, place: Place) -> str:
    """Why the target's file takes a setting as it is (`accepted`), until its date; else empty."""
    kind, name, path = place
    text = f"{kind} {name} {path}".strip()
    for each in ops.target.facts.get("accepted", ()):
        covers = any(fnmatchcase(text, each["what"] + end) for end in ("", " *", ".*"))
        if covers and f"{ops.now():%Y-%m-%d}" <= each["until"]:
            return f"accepted until {each['until']}: {each['reason']}"
    return ""


def _keep(
    ops: Connection,
    forms: Forms,
    was: Memory,
    described: Described,
    now: dict[Key, Any],
    changes: list[Change],
    accept: str,
) -> None:
    """What this report keeps: all as it is now, and as it was what is not settled."""
    texts = {key: forms.text(_filled(of, was.now.get(key, NOTHING))) for key, of in now.items()}
    if described.unread:  # what could not be asked, and what it would have led to, is as it was
        lost = set(was.now) - set(texts) - set(described.absent)
        texts |= {key: was.now[key] for key in lost}
    left = [c for c in changes if c.status != "ok" or c.why.startswith("accepted until")]
    if accept:
        left = []
    base = {c.key: was.base.get(c.key) or was.now.get(c.key, NOTHING) for c in left}
    base |= {key: text for key, text in was.base.items() if now.get(key) == UNREAD}
    since = {c.place: [c.after, c.before, c.by] for c in left}
    Memory(now=texts, base=base, since=since).write(ops, forms)


def _filled(now: Any, kept: str) -> Any:
    """What could not be read now stays as it was kept."""
    was = decoded(kept)
    if now == UNREAD:
        return was or UNREAD
    if not isinstance(now, dict) or not isinstance(was, dict):
        return now
    return {name: was.get(name, each) if each == UNREAD else each for name, each in now.items()}


def _findings(changes: list[Change], was: Memory, next: str) -> Iterator[Finding]:
    """One for each resource with a difference that counts."""
    counting = [change for change in changes if change.status != "ok"]
    for key in dict.fromkeys(change.key for change in counting):
        mine = [change for change in counting if change.key == key]
        asked = Question(f"configuration of {' '.join(key)}", "as before", f"record {was.record}")
        worst = max((change.status for change in mine), key=SEVERITY.__getitem__)
        rest = [change.difference.path for change in mine[_SOON:]]
        said = [change.told for change in mine[:_SOON]] + [f"also {', '.join(rest)}"] * bool(rest)
        of = dict.fromkeys(change.told_of for change in mine)
        yield asked.answer(worst, f"{'; '.join(said)} ({'; '.join(of)})", next=next)


def _absent(described: Described, was: Memory) -> Iterator[Finding]:
    """What the target's file names and AWS says is not there."""
    for kind, name in described.absent:
        if (kind, name) not in was.now and (kind, name) not in was.base:
            asked = Question(f"{kind} {name}", "it is there", "describe calls")
            yield asked.answer("critical", "the target's file names it, and it is not there")


def _unread(ops: Connection, described: Described) -> Iterator[Finding]:
    """What could not be asked, by the permission that it needs."""
    for asked, (exc, names) in sorted(described.unread.items()):
        why = accepted(ops, ("read", asked, ""))
        found = unread(f"configuration by {asked}", exc)
        shown = ", ".join(list(dict.fromkeys(names))[:_SOON])
        seen = f"not compared: {count(len(names), 'resource')} ({shown}). {found.seen}"
        yield replace(found, seen=seen, status="ok" if why else found.status)
