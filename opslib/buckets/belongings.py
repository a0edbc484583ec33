"""What belongs to an id, by `erasure` of the target's file: objects, what locks them, items."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from opslib import tables
from opslib.core import (
    Connection,
    Facts,
    Json,
    NotFound,
    Read,
    Refused,
    UsageError,
    ask,
    count,
    look,
    quoted,
)
from opslib.core.reads.stores.objects import Version, versions_at
from opslib.tables import Partition

_NAMED = re.compile(r"\{(\w+)\}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+=-]{2,127}")  # no slash, no wildcard, no space


class Place(NamedTuple):
    """A key of a bucket, or a prefix, and all that it has."""

    bucket: str
    named: str
    versions: Sequence[Version]

    def rows(self) -> Iterator[Json]:
        """Of each key: {key, versions, markers, size_bytes}."""
        for key, group in groupby(self.versions, lambda each: each.key):
            versions = [*group]
            markers = sum(each.marker for each in versions)
            size = sum(each.size or 0 for each in versions)
            numbers = {"versions": len(versions) - markers, "markers": markers}
            yield {"key": key, **numbers, "size_bytes": size}


class Belongings(NamedTuple):
    """What there is of an id. `row`: whether a row of a database says where it is."""

    row: bool
    places: Sequence[Place]
    partitions: Sequence[Partition]

    @property
    def empty(self) -> bool:
        found = [*(each.versions for each in self.places)]
        return not any([*found, *(each.items.keys for each in self.partitions)])


def find(ops: Connection, kind: str, id: str) -> Belongings:
    """Where the id's objects and items are.

    Raises NotFound (no such row), Refused (a column is empty), UsageError (no such id may be).
    """
    facts = ops.target["erasure"][kind]
    at = [(each["bucket"], each["at"]) for each in facts.get("objects", ())]
    of = [(each["table"], each["key"], each.get("index", "")) for each in facts.get("items", ())]
    templates = [template for _, template, *_ in (*at, *of)]
    known = (
        _row(ops, facts, id, templates)
        if "table" in facts
        else _checked(facts, kind, id, templates)
    )

    def filled(template: str) -> str:
        return _NAMED.sub(lambda hit: known[hit[1]], template)

    places = []
    for bucket, template in at:
        name, named = ops.target["buckets"][bucket]["name"], filled(template)
        places.append(Place(name, named, versions_at(ops, name, named)))
    found = [tables.find_partition(ops, table, filled(key), index) for table, key, index in of]
    return Belongings("table" in facts, places, found)


def _row(ops: Connection, facts: Facts, id: str, templates: Sequence[str]) -> dict[str, str]:
    """Of the row of that key, the columns that say where the rest is."""
    names = sorted({name for template in templates for name in _NAMED.findall(template)})
    chosen = ", ".join(f"{quoted(name)}::text AS {quoted(name)}" for name in names) or "1"
    table, key = facts["table"], facts["id"]
    of, given = f"FROM {quoted(table)} WHERE", {"id": id}
    it = f"{of} {quoted(key)} = :id"
    rows = ask(ops, f"SELECT {chosen} {it}", given)
    if len(rows) != 1:
        raise NotFound(
            f"{table} has {count(len(rows), 'row')} with {key} {id!r}, so where its objects are is "
            "not known. A row that is gone leaves its objects: look for them by buckets/orphans."
        )
    row = rows.iloc[0]
    if empty := [name for name in names if not row[name]]:
        raise Refused(f"{empty[0]} of {table} {id} is empty: where its objects are is not said.")
    for template in templates:
        held = _NAMED.findall(template)
        same = ", ".join(map(quoted, held)) or "1"
        others = f"SELECT 1 AS one {of} ({same}) = (SELECT {same} {it}) LIMIT 2"
        if key not in held and len(ask(ops, others, given)) > 1:
            raise Refused(
                f"{template} of {table} {id} is of other rows, too, who would lose what is there. "
                "Nothing was erased. Look at them: databases/query."
            )
    return {name: str(row[name]) for name in names}


def _checked(facts: Facts, kind: str, id: str, templates: Sequence[str]) -> dict[str, str]:
    """The id itself, when it can be one: a part of one, or a wildcard, would mean somebody else."""
    if not (_ID.fullmatch(id) and re.fullmatch(facts["ids"], id)):
        raise UsageError(
            f"{id!r} is no id of a {kind}: it has to be whole, as {facts['ids']} says, without "
            "slash, space or wildcard. Nothing was looked for."
        )
    if other := [each for each in templates if {*_NAMED.findall(each)} != {"id"}]:
        raise UsageError(
            f"erasure.{kind} names {other[0]}, and no table where it is looked up: {{id}} is "
            "known, has to be in it, and nothing else. Correct it in the target's file."
        )
    return {"id": id}


def locks(ops: Connection, places: Sequence[Place]) -> list[str]:
    """What may not be deleted, and until when. Denied is an error: it may be locked."""

    def value(operation: str, path: str, **at: str) -> Any:
        return look(ops, Read("s3", operation, path, **at), None)

    def one(place: Place, version: Version) -> str:
        at = {"Bucket": place.bucket, "Key": version.key, "VersionId": version.id}
        kept = value("get_object_retention", "Retention", **at)
        if value("get_object_legal_hold", "LegalHold.Status", **at) == "ON":
            return f"{version.key}: legal hold"
        if kept and kept["RetainUntilDate"] > ops.now():
            return f"{version.key}: {kept['Mode'].lower()} until {kept['RetainUntilDate']:%Y-%m-%d}"
        return ""

    told: list[str] = []
    for place in places:
        if value("get_object_lock_configuration", "ObjectLockConfiguration", Bucket=place.bucket):
            real = [each for each in place.versions if not each.marker]
            told += ops.gather(*(partial(one, place, each) for each in real))
    return [each for each in told if each]
