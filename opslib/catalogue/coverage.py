"""What an operator has to be able to do (parameters/coverage.yaml), and which entries do it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from opslib.catalogue import procedures
from opslib.catalogue.runbooks import Entry
from opslib.core import paths, strict_yaml

_DRILLS = Path(__file__).parents[1] / "lab" / "estates"  # data of the lab, read as such
Way = tuple[str, str]  # an entry or a procedure, and the procedure behind it


class Row(NamedTuple):
    """One thing to be able to do; `ways`: what does it. `waiting`: said to be not covered yet."""

    id: str
    title: str
    ways: Sequence[Way]
    drills: Sequence[str]
    waiting: bool


def rows(books: Mapping[str, Sequence[Entry]]) -> dict[str, list[Row]]:
    """The rows by system; none where the project keeps no list. Raises UsageError."""
    path = paths.parameters() / "coverage.yaml"
    if not path.exists():
        return {}
    told = strict_yaml.load(path, "coverage")
    entries = [entry for book in books.values() for entry in book]
    found_by = _drills(books)
    return {
        system: [_row(id, about, entries, told["waiting"], found_by) for id, about in of.items()]
        for system, of in told["systems"].items()
    }


def _row(
    id: str,
    about: Any,
    entries: Iterable[Entry],
    waiting: Sequence[str],
    found_by: Mapping[str, list[str]],
) -> Row:
    title, *named = about.values() if isinstance(about, dict) else (about,)
    ways = [(procedures.find(name).name, name) for name in named]
    ways += [(entry.name, entry.procedure) for entry in entries if id in entry.covers]
    drills = dict.fromkeys(drill for way, _ in ways for drill in found_by.get(way, ()))
    return Row(id, title, ways, list(drills), id in waiting)


def _drills(books: Mapping[str, Sequence[Entry]]) -> dict[str, list[str]]:
    """By entry, the drills of the lab in which the tests see that it names the cause."""
    found: dict[str, list[str]] = {}
    for system, book in books.items():
        path = _DRILLS / system.replace("-", "_") / "drills.yaml"
        drills = strict_yaml.read(path).data if path.exists() else {}
        for name, drill in (drills or {}).items():
            named = set(drill.get("found_by", ()))
            own = {entry.procedure for entry in book if entry.name in named}
            for entry in book:
                if entry.name in named or (entry.procedure in named - own):
                    found.setdefault(entry.name, []).append(name)
    return found


def gaps(known: Mapping[str, Sequence[Row]], books: Mapping[str, Sequence[Entry]]) -> list[str]:
    """What is wrong with the table: rows that nothing covers, names of rows that are none."""
    every = {row.id: row for of in known.values() for row in of}
    told = [
        f"row {row.id} ({row.title}) has no entry: add `covers: [{row.id}]` to the one that does it"
        for row in every.values()
        if not row.ways and not row.waiting
    ]
    told += [
        f"row {row.id} is covered by {row.ways[0][0]}: take it out of `waiting`"
        for row in every.values()
        if row.ways and row.waiting
    ]
    if known:
        entries = [entry for book in books.values() for entry in book]
        told += [
            f"entry {entry.name} covers {id!r}, which is no row of parameters/coverage.yaml"
            for entry in entries
            for id in entry.covers
            if id not in every
        ]
    return told
