"""Erasure (`erasure` of the target's file): all that belongs to a row or to an id, for good.

Every version of its objects, its items of DynamoDB, its search entry, its row or its sign-in.
Nothing of what is erased is kept with the record but keys, numbers and digests.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from opslib import databases, tables, users
from opslib.buckets.belongings import Belongings, Place, find, locks
from opslib.core import (
    Action,
    Connection,
    Erase,
    Facts,
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
    domains,
    dtypes,
    frame,
    number,
    objects,
    planner,
    quoted,
    sql,
)
from opslib.core.actions.stores.searches import Take

PARTS = dtypes("""
    place      str
    key        str
    versions   int64
    markers    int64
    items      int64
    size_bytes int64
""")
HELD = "legal-hold"
_TOKENS = (
    "Who is signed in now may go on writing with a token of before until it expires (an hour, as "
    "Cognito makes them)."
)


@check("What is there to erase, and may it be?")
def check_erasure(ops: Connection, kind: str, id: str) -> Findings:
    """What there is of it with every version, what locks it, and where copies stay.

    Evidence: PARTS; items by the first word of their sort key.
    """
    facts, found = ops.target["erasure"][kind], find(ops, kind, id)
    none = dict.fromkeys(("versions", "markers", "items"), 0)
    rows = [
        {"place": part.table, **none, **row} for part in found.partitions for row in part.rows(ops)
    ]
    rows += [
        {"place": place.bucket, **none, **row} for place in found.places for row in place.rows()
    ]
    there = _there(facts, f"{kind} {id}", found, rows)
    held = answer("legal holds and locks", _free, ops, found.places)
    told = [there, held, *_copies(ops, facts, found.places)]
    if facts.get("sign_in"):
        told.append(answer(f"sign-in of {id}", users.find_sign_in, ops, id))
    return Findings(told, frame(rows, PARTS))


def _there(facts: Facts, what: str, found: Belongings, rows: Sequence[Json]) -> Finding:
    source = "SELECT, s3 ListObjectVersions" if found.row else "s3 ListObjectVersions"
    asked = Question(what, "what is meant", source + ", dynamodb Query" * bool(found.partitions))
    if found.empty and not found.row:
        return asked.unknown("nothing is there: it was erased, or this is another id")
    keys = sum(bool(row["versions"] or row["markers"]) for row in rows)
    every = sum(len(place.versions) for place in found.places)
    size = number(sum(row["size_bytes"] for row in rows), "bytes")
    said = [f"1 row of {facts['table']}"] if found.row else []
    items = sum(len(part.items.keys) for part in found.partitions)
    said += [f"{count(items, 'item')} in DynamoDB"] if found.partitions else []
    said.append(f"{count(keys, 'key')} with {count(every, 'version')}, {size}")
    return asked.ok("; ".join(said))


def _free(ops: Connection, places: Sequence[Place]) -> Finding:
    held = locks(ops, places)
    asked = Question("legal holds and locks", "none", "s3 GetObjectLegalHold, GetObjectRetention")
    seen = f"{count(len(held), 'version')}: {held[0]}" if held else "none"
    return asked.judged(not held, seen, cause=HELD)


def _copies(ops: Connection, facts: Facts, places: Sequence[Place]) -> Iterator[Finding]:
    """Where copies stay that this does not reach."""
    reached = {place.bucket for place in places}
    for bucket in sorted(reached):
        asked = Question(f"copies of {bucket} elsewhere", "none", "s3 GetBucketReplication")
        yield answer(asked, _replicas, ops, bucket, reached, asked)
    yield from tables.copies_of(ops, [each["table"] for each in facts.get("items", ())])
    if "table" in facts:
        asked = Question("copies of the row", "backups that end", "rds DescribeDBSnapshots")
        yield answer(asked, _backups, ops, asked)
    if "index" in facts:
        asked = Question("copies of the search entry", "known", "the target's file")
        seen = "snapshots of the domain hold it until they end (automated ones: 14 days)"
        yield asked.ok(seen)


def _replicas(ops: Connection, bucket: str, reached: set[str], asked: Question) -> Finding:
    """Of a bucket, where it is replicated or copied to, but for what is erased, too."""
    known = ops.target["buckets"]
    copied = {
        each["copy_to"] for each in known.values() if each["name"] == bucket and "copy_to" in each
    }
    to = {known[each]["name"] for each in copied}
    none = "not replicated"
    with suppress(NotFound):
        found = ops.call("s3", "get_bucket_replication", Bucket=bucket)["ReplicationConfiguration"]
        to |= {
            each["Destination"]["Bucket"] for each in found["Rules"] if each["Status"] == "Enabled"
        }
        none = "rules are off"
    to = {each for each in to if each.rpartition(":")[2] not in reached}
    seen = f"replicated to {', '.join(sorted(to))}: what is deleted here by version stays there"
    return asked.judged(not to, seen if to else none, otherwise="warn")


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
    """Every version and marker, every item, its search entry; last its row or sign-in: for good.

    The row goes last, since it says where the rest is: what broke off is gone on with by running
    it again. Raises Refused (a legal hold, a lock), NotFound (no such row), UsageError (no id).
    """
    facts, found = ops.target["erasure"][kind], find(ops, kind, id)
    if held := locks(ops, found.places):
        raise Refused(
            f"{count(len(held), 'version')} may not be deleted, the first: {held[0]}. Nothing was "
            "deleted. Who put it there (legal, records management) has to take it off."
        )
    first, last = users.steps_to_remove(ops, id) if facts.get("sign_in") else ([], [])
    steps = [*first, *map(_emptied, filter(lambda place: place.versions, found.places))]
    steps += [part.step() for part in found.partitions if part.items.keys]
    if "index" in facts:
        index = ops.target["search"]["indices"][facts["index"]]["index"]
        take: Action = Take(index, [id])
        steps.append(Step(f"Take {id} out of the search index {index}", take, after="absent"))
    notes = ["It cannot be undone. Copies that stay are in the table above."]
    if found.row:
        table, where = quoted(facts["table"]), f"WHERE {quoted(facts['id'])} = {sql.literal(id)}"
        marks = facts.get("set")
        what = f"UPDATE {table} SET {marks} {where}" if marks else f"DELETE FROM {table} {where}"
        row = databases.steps_for_statement(ops, what, 1, False)
        last, notes = [*row.steps], notes + [*row.notes][1:]
    elif facts.get("sign_in"):
        notes.append(f"{_TOKENS} Look again then: nothing may be there.")
    else:
        notes.append("Whoever it is may go on writing: shut the user out before (users/disable).")
    return Planned(f"erase {kind} {id}", [*steps, *last], notes)


def _emptied(place: Place) -> Step:
    shown = objects.digest_of(each[:2] for each in place.versions)
    return Step(
        f"Erase {count(len(place.versions), 'version')} of {place.named} in {place.bucket}",
        Erase(place.bucket, place.named, len(place.versions), shown),
        before={"versions": len(place.versions)},
        after={"versions": 0},
    )


@check("Is nothing of it left?")
def check_erased(ops: Connection, kind: str, id: str, steps: Sequence[Step]) -> Findings:
    """Looked for again where it was: versions, markers, items, the search entry, row, sign-in."""
    facts, found = ops.target["erasure"][kind], []
    for do in (step.do for step in steps):
        if do["kind"] == "erase":
            what = f"versions of {do['named']} in {do['bucket']}"
            asked = Question(what, "none", "s3 ListObjectVersions")
            left = len(objects.versions_at(ops, do["bucket"], do["named"]))
            found.append(asked.judged(not left, f"{left:,} of {do['versions']:,} are left"))
        if do["kind"] == "search take":
            asked = Question(f"entry in {do['index']}", "none", f"GET /{do['index']}/_mget")
            docs = domains.ask(ops, "GET", f"/{do['index']}/_mget", {"ids": do["ids"]})["docs"]
            left = sum(bool(each.get("found")) for each in docs)
            found.append(asked.judged(not left, f"{left} left"))
    found += filter(None, (tables.left_of(ops, step) for step in steps))
    if facts.get("sign_in"):
        found.append(users.find_sign_in(ops, id, gone=True))
    if "table" in facts:
        where = f"{quoted(facts['table'])} WHERE {quoted(facts['id'])} = :id"
        rows, marked = ask(ops, f"SELECT 1 AS n FROM {where}", {"id": id}), "set" in facts
        asked = Question(f"row of {facts['table']}", "marked" if marked else "gone", "SELECT")
        seen = "there, as the target's file marks it" if len(rows) else "gone"
        found.append(asked.judged(len(rows) == int(marked), seen))
    return Findings(found)
