"""What belongs to an id, by `erasure` of the target's file: objects, what locks them, items."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from opslib import tables
from opslib.core import Connection, Facts, Json, NotFound, Refused, UsageError, ask, count, quoted
from opslib.core.reads.stores.objects import Version, versions_at
from opslib.tables import Partition

_NAMED = re.compile(r"\{(\w+)\}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+=-]{2,127}")  # no slash, no wildcard, no space


@dataclass(frozen=True)
class Place:
    """A key of a bucket, or a prefix, and all that it has."""

    bucket: str
    named: str
    versions: Sequence[Version]

    def rows(self) -> Iterator[Json]:
        """Of each key: {key, versions, markers, size_bytes}."""
        for key, group in self._by_key():
            versions = [*group]
            markers = sum(each.marker for each in versions)
            size = sum(each.size or 0 for each in versions)
            numbers = {"versions": len(versions) - markers, "markers": markers}
            yield {"key": key, **numbers, "size_bytes": size}

    def _by_key(self) -> Iterable[tuple[str, Iterable[Version]]]:
        return groupby(self.versions, lambda each: each.key)


@dataclass(frozen=True)
class Belongings:
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
    names = sorted({name for template in templates for name in _NAMED.findall(template)})
    known = _row(ops, facts, id, names) if "table" in facts else _checked(facts, kind, id, names)
    for template in templates:
        _require_own(ops, facts, kind, id, template)

    def filled(template: str) -> str:
        return _NAMED.sub(lambda hit: known[hit[1]], template)

    places = []
    for bucket, template in at:
        name, named = ops.target["buckets"][bucket]["name"], filled(template)
        places.append(Place(name, named, versions_at(ops, name, named)))
    found = [tables.find_partition(ops, table, filled(key), index) for table, key, index in of]
    return Belongings("table" in facts, places, found)


def _row(ops: Connection, facts: Facts, id: str, names: Sequence[str]) -> dict[str, str]:
    """Of the row of that key, the columns that say where the rest is."""
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
    return {name: str(row[name]) for name in names}


def _require_own(ops: Connection, facts: Facts, kind: str, id: str, template: str) -> None:
    """A place that another id has, too, is not erased with this one. Raises Refused."""
    names, key = _NAMED.findall(template), facts.get("id", "id")
    if key in names:
        return
    why = "which names no {id}"
    if "table" in facts:
        table, columns = quoted(facts["table"]), ", ".join(map(quoted, names)) or "1"
        same = f"({columns}) = (SELECT {columns} FROM {table} WHERE {quoted(key)} = :id)"
        rows = ask(ops, f"SELECT count(*) AS n FROM {table} WHERE {same}", {"id": id})
        if (number := int(rows["n"].iloc[0])) < 2:
            return
        why = f"which {count(number, 'row')} of {facts['table']} have"
    raise Refused(
        f"{kind} {id} has its things at {template}, {why}: what is there is not its alone. Nothing "
        f"was erased. Look at them (databases/query), and at erasure.{kind} in the target's file."
    )


def _checked(facts: Facts, kind: str, id: str, names: Sequence[str]) -> dict[str, str]:
    """The id itself, when it can be one: a part of one, or a wildcard, would mean somebody else."""
    if not (_ID.fullmatch(id) and re.fullmatch(facts["ids"], id)):
        raise UsageError(
            f"{id!r} is no id of a {kind}: it has to be whole, as {facts['ids']} says, without "
            "slash, space or wildcard. Nothing was looked for."
        )
    if other := [name for name in names if name != "id"]:
        raise UsageError(
            f"erasure.{kind} names {{{other[0]}}}, and no table where it is looked up: only {{id}} "
            "is known. Correct it in the target's file."
        )
    return {"id": id}


def locks(ops: Connection, places: Sequence[Place]) -> list[str]:
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
