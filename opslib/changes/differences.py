"""What is different in the configuration: since the last report, since when, by whom."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

from opslib.changes import memory, rules
from opslib.changes.change import DIFFERENT, Change
from opslib.changes.forms import WAYS, Difference, Forms, own_key
from opslib.changes.memory import NOTHING, Memory
from opslib.changes.resources import UNREAD, Described, Key, describe, services, table
from opslib.changes.trail import trails
from opslib.core import (
    SEVERITY,
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    UsageError,
    check,
    count,
    decoded,
    frame,
    moment,
    unread,
)

# Of any kind: told, never a warning.
_LABELS = r"(.*\.)?(Tags?|TagList|UserPoolTags|Comment|\w*Description|(Preferred|Snap)\w+Window)"
_SOON = 3  # differences of one resource that its finding names


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
    known = memory.last(ops, forms, before)
    was = known or Memory()
    if before:
        was = replace(was, base={}, since={})
    described = describe(ops, dict.fromkeys([*was.now, *was.base]))
    now = {key: forms.normal(of) for key, of in described.found.items()}
    compared = _Comparison(ops, forms, was, described, now, accept)
    changes = list(compared.changes()) if known else []
    if not before:
        _keep(ops, forms, was, described, now, changes, accept)
    found = [*_findings(changes, was, described, next), *_absent(ops, described, was)]
    found += _unread(ops, described)
    found += rules.judged(ops, described, lambda place: rules.accepted(ops, place))
    said = [f"{count(len(now), 'resource')}; no earlier report keeps what they were"]
    if was.at:
        since_when = f"{was.at:%Y-%m-%d %H:%M} UTC (record {was.record})"
        said = [f"{count(len(now), 'resource')}, {len(changes)} differences since {since_when}"]
    told = [change for change in changes if change.status == "ok"]
    said += [f"no warning: {' '.join(c.key)} {c.told} ({c.told_of})" for c in told[:_SOON]]
    if changes and (trouble := compared.theirs[1]):
        said.append(f"who else did it is not known: {trouble}")
    asked = Question("configuration", "as before", "describe calls")
    if not found or described.read:
        found.append(asked.ok("; ".join(said)))
    rows = [change.row() for change in changes]
    return Findings(found, frame(rows, DIFFERENT) if rows else None)


@dataclass
class _Comparison:
    """What is different, each with its status."""

    ops: Connection
    forms: Forms
    was: Memory
    described: Described
    now: dict[Key, Any]
    accept: str

    def changes(self) -> Iterator[Change]:
        for key in dict.fromkeys([*self.now, *self.described.absent, *self.was.base]):
            if key in self.now and self.now[key] == UNREAD:
                continue
            for difference in self._of(key):
                yield self._judged(key, difference)

    def _of(self, key: Key) -> Iterable[Difference]:
        kept = self.was.base.get(key) or self.was.now.get(key)
        if kept is None and self.was.same.table and not self.was.blind:
            kept = NOTHING  # it is new, since it was asked for and not there
        now = self.now.get(key)
        if kept is None or (now is None and key not in self.described.absent):
            return ()
        if now is None and key[0].startswith("database ") and not self.was.same.table:
            return ()  # another statement may call it otherwise
        found = self.forms.differences(kept, now, self.was.same)
        return [d for d in found if self._tells(table()[key[0]], d, found)]

    def _tells(self, kind: Json, d: Difference, beside: list[Difference]) -> bool:
        """Of some numbers only how they went counts; `lessens`: of what the file names."""
        ways = [way for way in WAYS if re.match(kind.get(way, "(?!)"), d.path)]
        if not ways:
            return True
        named = repr(d.path.partition(".")[2]) in self._file
        ways = [way for way in ways if named or way != "lessens"]
        return any(map(d.counts, ways)) and not any(map(d.went_to, beside))

    @cached_property
    def _file(self) -> str:
        """The target's, as text: what stands in quotes is named there."""
        return repr(self.ops.target.facts)

    def _judged(self, key: Key, difference: Difference) -> Change:
        assert self.was.at is not None
        place, stamp = (*key, difference.path), self.forms.stamp(difference)
        known, kind = self.was.since.get(place, [""]), table()[key[0]]
        if known[0] == stamp:  # as in the last report
            _, after, before, by, why = known
        else:
            after, before = self.was.at.isoformat(), self.until
            by, why = self._by(key, difference, kind)
        routine = "|".join([*kind.get("routine", ()), _LABELS])
        if re.match(rf"({routine})(\W|$)", difference.path) and not difference.went_back:
            why = "as deployments, rotations and failovers do"
        if difference.fits(kind, "more") or difference.is_more:
            why = "what is more takes nothing away"
        if self._went_on(kind.get("with")):
            why = "as a migration does"
        taken = f"accepted: {self.accept}" if self.accept else rules.accepted(self.ops, place)
        gone = not difference.path and difference.now is None
        status = "ok" if why or taken else "critical" if gone else "warn"
        return Change(key, difference, after, before, by, status, why, taken, stamp)

    def _went_on(self, kind: str | None) -> bool:
        """Whether something of a kind is different, and nothing of it went back."""
        found = [d for key in self.now if key[0] == kind for d in self._of(key)]
        return bool(found) and not any(difference.went_back for difference in found)

    def _by(self, key: Key, d: Difference, kind: Json) -> tuple[str, str]:
        """By whom, and whether that makes it no warning."""
        part, setting = d.path.partition(".")[0], d.path.rpartition(".")[2]
        read = kind.get("also", {}).get(part, kind["call"])[1]  # as what sets it is called
        noun = read.partition("_")[2].replace("_", "").rstrip("ies")
        about = key[1], setting, services(self.ops, key[0]), noun
        if act := trails.newest(self._ours, *about):
            named = bool(setting) and setting in act.text
            return f"{act.by} ({act.what})", "by a run of ours" * named
        if act := trails.newest(self.theirs[0], *about):
            released = d.fits(kind, "released") and trails.is_usual(self.ops, act, self.did)
            why = "as a pipeline does that did so before" * released
            return f"{act.by}: {act.what} at {act.time:%m-%d %H:%M}", why
        return "", ""

    @cached_property
    def until(self) -> str:
        return self.ops.now().isoformat()

    @cached_property
    def did(self) -> Any:
        """Who did something before, each asked once."""
        return cache(partial(trails.did, self.ops))

    @cached_property
    def _ours(self) -> list[trails.Act]:
        assert self.was.at is not None
        return trails.own(self.ops.target.name, self.was.at)

    @cached_property
    def theirs(self) -> tuple[list[trails.Act], str]:
        """What CloudTrail shows since the last report, and why not all of it."""
        assert self.was.at is not None
        return trails.events(self.ops, self.was.at, self.ops.now())


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
    left = {change.key for change in changes if not change.why and not accept}
    base = {key: was.base.get(key) or was.now.get(key, NOTHING) for key in left}
    since = {
        (*c.key, c.difference.path): [c.stamp, c.after, c.before, c.by, c.why]
        for c in changes
        if c.key in left
    }
    if described.unread:  # what could not be asked, and what it would have led to, is as it was
        seen = {key for key, of in now.items() if of != UNREAD} | set(described.absent)
        texts |= {key: text for key, text in was.now.items() if key not in seen}
        base |= {key: text for key, text in was.base.items() if key not in seen}
        since |= {place: said for place, said in was.since.items() if place[:2] not in seen}
    Memory(now=texts, base=base, since=since, blind=bool(described.unread)).write(ops, forms)


def _filled(now: Any, kept: str) -> Any:
    """What could not be read now stays as it was kept."""
    was = decoded(kept)
    if not isinstance(now, dict) or not isinstance(was, dict):
        return now
    return {name: was.get(name, each) if each == UNREAD else each for name, each in now.items()}


def _findings(
    changes: list[Change], was: Memory, described: Described, next: str
) -> Iterator[Finding]:
    """One for each resource with a difference that counts."""
    counting = [change for change in changes if change.status != "ok"]
    for key in dict.fromkeys(change.key for change in counting):
        mine = [change for change in counting if change.key == key]
        asked = Question(f"configuration of {' '.join(key)}", "as before", f"record {was.record}")
        worst = max((change.status for change in mine), key=SEVERITY.__getitem__)
        rest = [change.difference.path for change in mine[_SOON:]]
        said = [change.told for change in mine[:_SOON]] + [f"also {', '.join(rest)}"] * bool(rest)
        if called := described.called(key):
            said[0] = f"of {called}: {said[0]}"
        of = dict.fromkeys(change.told_of for change in mine)
        yield asked.answer(worst, f"{'; '.join(said)} ({'; '.join(of)})", next=next)


def _absent(ops: Connection, described: Described, was: Memory) -> Iterator[Finding]:
    """What the target's file names and AWS says is not there."""
    for kind, name in described.absent:
        known = (kind, name) in was.now or (kind, name) in was.base
        if not known and not rules.accepted(ops, (kind, name, "")):
            asked = Question(f"{kind} {name}", "it is there", "describe calls")
            yield asked.critical("the target's file names it, and it is not there")


def _unread(ops: Connection, described: Described) -> Iterator[Finding]:
    """What could not be asked, by the permission that it needs."""
    for asked, (exc, keys) in sorted(described.unread.items()):
        why = rules.accepted(ops, ("read", asked, ""))
        found = unread(f"configuration by {asked}", exc)
        shown = ", ".join(" ".join(key) for key in [*dict.fromkeys(keys)][:_SOON])
        seen = f"not compared: {count(len(keys), 'resource')} ({shown}). {found.seen}"
        yield replace(found, seen=seen, status="ok" if why else found.status)
