"""Erasure (`erasure` of the target's file): a row, every version of its objects, its search entry.

Nothing of what is erased is kept with the record but keys, numbers and digests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from opslib import databases
from opslib.core import (
    Action,
    Connection,
    Erase,
    Finding,
    Findings,
    Json,
    NotFound,
    Planned,
    Question,
    Refused,
    Step,
    answer,
    ask,
    check,
    count,
    frame,
    number,
    planner,
    quoted,
)
from opslib.core.actions.objects import digest
from opslib.core.actions.searches import Take
from opslib.core.connections.sql import literal
from opslib.core.connections.targets import Facts
from opslib.core.reads import domains
from opslib.core.reads.objects import Version, versions_at

OBJECTS = {
    "bucket": "str",
    "key": "str",
    "versions": "int64",
    "markers": "int64",
    "size_bytes": "int64",
}
HELD = "legal-hold"


@dataclass(frozen=True)
class Place:
    """A key of a bucket, or a prefix, and all that it has."""

    bucket: str
    named: str
    versions: Sequence[Version]


def _places(ops: Connection, facts: Facts, id: str) -> list[Place]:
    """Where the row's objects are. Raises NotFound (no such row), Refused (a column is empty)."""
    at = [(each["bucket"], each["at"]) for each in facts["objects"]]
    names = sorted({name for _, template in at for name in re.findall(r"\{(\w+)\}", template)})
    chosen = ", ".join(f"{quoted(name)}::text AS {quoted(name)}" for name in names)
    table, key = facts["table"], facts["id"]
    rows = ask(ops, f"SELECT {chosen} FROM {quoted(table)} WHERE {quoted(key)} = :id", {"id": id})
    if len(rows) != 1:
        raise NotFound(
            f"{table} has {count(len(rows), 'row')} with {key} {id!r}, so where its objects are is "
            "not known. A row that is gone leaves its objects: look for them by buckets/orphans."
        )
    row = rows.iloc[0]
    if empty := [name for name in names if not row[name]]:
        raise Refused(f"{empty[0]} of {table} {id} is empty: where its objects are is not said.")
    found = []
    for bucket, template in at:
        name = ops.target["buckets"][bucket]["name"]
        named = re.sub(r"\{(\w+)\}", lambda hit: str(row[hit[1]]), template)
        versions = versions_at(ops, name, named)
        found.append(Place(name, named, versions))
    return found


def _locks(ops: Connection, places: Sequence[Place]) -> list[str]:
    """What may not be deleted, and until when. Denied is an error: it may be locked."""

    def value(operation: str, part: str, **at: str) -> Json | str:
        try:
            found: Json | str = ops.call("s3", operation, **at).get(part, "")
        except NotFound:
            return ""
        return found

    def one(place: Place, version: Version) -> str:
        at = {"Bucket": place.bucket, "Key": version.key, "VersionId": version.id}
        hold = value("get_object_legal_hold", "LegalHold", **at)
        kept = value("get_object_retention", "Retention", **at)
        if isinstance(hold, dict) and hold.get("Status") == "ON":
            return f"{version.key}: legal hold"
        if isinstance(kept, dict) and kept and kept["RetainUntilDate"] > ops.now():
            return f"{version.key}: {kept['Mode'].lower()} until {kept['RetainUntilDate']:%Y-%m-%d}"
        return ""

    told: list[str] = []
    for place in places:
        if value("get_object_lock_configuration", "ObjectLockConfiguration", Bucket=place.bucket):
            real = [each for each in place.versions if not each.marker]
            told += ops.gather(*(partial(one, place, each) for each in real))
    return [each for each in told if each]


def _by_key(place: Place) -> Iterable[tuple[str, Iterable[Version]]]:
    return groupby(place.versions, lambda each: each.key)


def _row(place: Place, key: str, versions: Sequence[Version]) -> Json:
    markers = sum(each.marker for each in versions)
    numbers = {"versions": len(versions) - markers, "markers": markers}
    size = sum(each.size or 0 for each in versions)
    return {"bucket": place.bucket, "key": key, **numbers, "size_bytes": size}


@check("What is there to erase, and may it be?")
def check_erasure(ops: Connection, kind: str, id: str) -> Findings:
    """The row's objects with every version, what locks them, and where copies stay.

    Evidence: OBJECTS.
    """
    facts = ops.target["erasure"][kind]
    places = _places(ops, facts, id)
    rows = [_row(place, key, [*group]) for place in places for key, group in _by_key(place)]
    size = number(sum(row["size_bytes"] for row in rows), "bytes")
    every = count(sum(len(place.versions) for place in places), "version")
    there = Question(f"{kind} {id}", "what is meant", "SELECT, s3 ListObjectVersions")
    seen = f"1 row of {facts['table']}; {count(len(rows), 'key')} with {every}, {size}"
    found = [there.answer("ok", seen), answer("legal holds and locks", lambda: _free(ops, places))]
    return Findings([*found, *_copies(ops, facts, places)], frame(rows, OBJECTS))


def _free(ops: Connection, places: Sequence[Place]) -> Finding:
    held = _locks(ops, places)
    asked = Question("legal holds and locks", "none", "s3 GetObjectLegalHold, GetObjectRetention")
    seen = f"{count(len(held), 'version')}: {held[0]}" if held else "none"
    return asked.judged(not held, seen, cause=HELD)


def _copies(ops: Connection, facts: Facts, places: Sequence[Place]) -> Iterator[Finding]:
    """Where copies stay that this does not reach."""
    for bucket in dict.fromkeys(place.bucket for place in places):
        asked = Question(f"copies of {bucket} elsewhere", "none", "s3 GetBucketReplication")
        yield answer(asked.words, partial(_replicas, ops, bucket, asked))
    if "database" in ops.target.facts:
        asked = Question("copies of the row", "backups that end", "rds DescribeDBSnapshots")
        yield answer(asked.words, partial(_backups, ops, asked))
    if "index" in facts:
        asked = Question("copies of the search entry", "known", "the target's file")
        seen = "snapshots of the domain hold it until they end (automated ones: 14 days)"
        yield asked.answer("ok", seen)


def _replicas(ops: Connection, bucket: str, asked: Question) -> Finding:
    try:
        rules = ops.call("s3", "get_bucket_replication", Bucket=bucket)["ReplicationConfiguration"]
    except NotFound:
        return asked.answer("ok", "not replicated")
    to = {rule["Destination"]["Bucket"] for rule in rules["Rules"] if rule["Status"] == "Enabled"}
    seen = f"replicated to {', '.join(sorted(to))}: what is deleted here by version stays there"
    return asked.judged(not to, seen if to else "rules are off", otherwise="warn")


def _backups(ops: Connection, asked: Question) -> Finding:
    manual = databases.list_snapshots(ops)
    manual = manual[manual["type"] == "manual"]
    days = ops.target["database"].get("backup_days", "some")
    seen = f"automated backups hold it for {days} days more"
    if len(manual):
        seen += f"; {count(len(manual), 'manual snapshot')} until somebody deletes them"
    return asked.judged(manual.empty, seen, otherwise="warn", next="databases/snapshot")


@planner
def plan_erasure(ops: Connection, kind: str, id: str) -> Planned:
    """Every version and marker of its objects, its search entry, last its row: for good.

    The row goes last, since it says where the rest is: what broke off is gone on with by running
    it again. Raises Refused (a legal hold, a lock), NotFound (no such row).
    """
    facts = ops.target["erasure"][kind]
    places = _places(ops, facts, id)
    if held := _locks(ops, places):
        raise Refused(
            f"{count(len(held), 'version')} may not be deleted, the first: {held[0]}. Nothing was "
            "deleted. Who put it there (legal, records management) has to take it off."
        )
    steps = [
        Step(
            f"Erase {count(len(place.versions), 'version')} of {place.named} in {place.bucket}",
            Erase(place.bucket, place.named, len(place.versions), digest(place.versions)),
            before={"versions": len(place.versions)},
            after={"versions": 0},
        )
        for place in places
        if place.versions
    ]
    if "index" in facts:
        index = ops.target["search"]["indices"][facts["index"]]["index"]
        take: Action = Take(index, [id])
        steps.append(Step(f"Take {id} out of the search index {index}", take, after="absent"))
    table, where = quoted(facts["table"]), f"WHERE {quoted(facts['id'])} = {literal(id)}"
    marks = facts.get("set")
    what = f"UPDATE {table} SET {marks} {where}" if marks else f"DELETE FROM {table} {where}"
    row = databases.steps_for_statement(ops, what, 1, False)
    notes = ["It cannot be undone. Copies that stay are in the table above.", *[*row.notes][1:]]
    return Planned(f"erase {kind} {id}", [*steps, *row.steps], notes)


@check("Is nothing of it left?")
def check_erased(ops: Connection, kind: str, id: str, steps: Sequence[Step]) -> Findings:
    """Looked for again where it was: versions and markers, the search entry, the row."""
    facts, found = ops.target["erasure"][kind], []
    for do in (step.do for step in steps):
        if isinstance(do, Erase):
            asked = Question(f"versions of {do['named']}", "none", "s3 ListObjectVersions")
            left = len(versions_at(ops, do["bucket"], do["named"]))
            found.append(asked.judged(not left, f"{left:,} of {do['versions']:,} are left"))
        if isinstance(do, Take):
            asked = Question(f"entry in {do['index']}", "none", f"GET /{do['index']}/_mget")
            docs = domains.ask(ops, "GET", f"/{do['index']}/_mget", {"ids": do["ids"]})["docs"]
            left = sum(bool(each.get("found")) for each in docs)
            found.append(asked.judged(not left, f"{left} left"))
    table = quoted(facts["table"])
    rows = ask(ops, f"SELECT 1 AS n FROM {table} WHERE {quoted(facts['id'])} = :id", {"id": id})
    asked = Question(f"row of {facts['table']}", "marked" if "set" in facts else "gone", "SELECT")
    seen = "there, as the target's file marks it" if len(rows) else "gone"
    found.append(asked.judged(len(rows) == int("set" in facts), seen))
    return Findings(found)
