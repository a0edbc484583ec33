"""Which procedure for this symptom? What is said is looked up in what procedures and runbooks say.

Each title, symptom, alarm's name and line of prose is a row of a full-text index: SQLite's FTS5,
with its stemming and its ranking (bm25). `words.yaml` says which words mean the same, and where one
starts. The index is made of the files, so what is new in them is found.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from opslib.catalogue import procedures, runbooks, seen
from opslib.catalogue.meanings import Index, Row
from opslib.catalogue.procedures import LeftOut, Procedure
from opslib.catalogue.runbooks import Entry
from opslib.core import Json, Target, strict_yaml, targets

FIRST_LOOK = "reports/triage"
_PARTS = (1.0, 0.5, 0.25)  # how much the best rows of a procedure count
_STARTS = (1.2, 0.9, 0.65)  # where one starts when something is meant
_OWN = 1.15  # what the runbook has
_DOES = {"read": 1.0, "change": 0.9, "destroy": 0.8}  # one looks first
_LEAST = 0.45  # what scores less is a coincidence

Rows = list[tuple[float, str]]


@dataclass(frozen=True)
class Hit:
    """`name`: of the entry, or of the procedure. `why`: what it says of itself that was meant."""

    name: str
    title: str
    procedure: str
    effect: str
    why: str
    score: float


class Found(NamedTuple):
    """The best first; none when it was not understood, or when nothing is known yet (`unsure`).

    `read`: words that were read as others.
    """

    hits: list[Hit]
    read: Mapping[str, str]
    unsure: bool

    @property
    def told(self) -> list[str]:
        """Of each word that was read as another one, that it was."""
        return [f"{word!r} is read as {near!r}." for word, near in self.read.items()]


def first_look(title: str, why: str) -> Hit:
    """Where one starts when nothing is known yet."""
    return Hit(FIRST_LOOK, title, FIRST_LOOK, "read", why, 0.0)


class Guide:
    """The procedures that there are, to be found by what is seen; those of one target, or all."""

    def __init__(
        self,
        target: Target | None,
        described: Callable[[Procedure, Target], bool],
        left_out: LeftOut = lambda _: None,
    ) -> None:
        """`described`: has a target what a procedure looks at? Else it is left out.

        `left_out` is told of what cannot be read.
        """
        every = procedures.readable_ones(left_out)
        self._known = {
            p.name: p
            for p in every
            if p.name != FIRST_LOOK and (target is None or described(p, target))
        }
        self._own = target is not None
        systems = [s for s in runbooks.systems() if target is None or s == target.system]
        books = procedures.readable(runbooks.entries, systems, left_out)
        self._entries = [e for book in books for e in book if e.procedure in self._known]
        alarms = _alarms([target.facts] if target else _files(left_out))
        self._index = Index([*_rows(self._known.values(), self._entries, alarms)])

    def find(self, said: str) -> Found:
        """What helps, for what somebody says in his own words. Raises UsageError: nothing said."""
        asked = self._index.understood(said)
        if not asked.meant and (asked.unsure or not asked.words):
            return Found([], asked.read, asked.unsure)
        rows = self._index.rows(asked)
        starts: dict[str, float] = {}
        for names in asked.starts:
            for name, more in zip(names, _STARTS, strict=False):
                starts[name] = starts.get(name, 0) + more
        hits = (self._hit(procedure, rows, starts) for procedure in self._known.values())
        best = sorted((hit for hit in hits if hit.score >= _LEAST), key=lambda hit: -hit.score)
        return Found(best, asked.read, asked.unsure)

    def find_begun(self, said: str) -> Found:
        """`find` for what is being typed: the last word may not be whole yet."""
        found = [self.find(each) for each in self._index.begun(said)]
        return max(found, key=lambda each: each.hits[0].score if each.hits else 0)

    def helping(self, word: str) -> list[Hit]:
        """Those that help where this is seen: a word of `words.yaml`'s groups."""
        groups = {group.word: group for group in seen.grouped(self._known.values())}
        return [
            replace(self._hit(procedure, {}, {}), why="; ".join(procedure.when))
            for procedure in groups[word].procedures
        ]

    def _hit(self, procedure: Procedure, rows: Mapping[str, Rows], starts: Json) -> Hit:
        """A procedure with the entry that fits best, which is run when it is the system's own."""
        entries = [entry for entry in self._entries if entry.procedure == procedure.name]
        entry = max(entries, key=lambda each: _worth(rows.get(each.name, [])), default=None)
        found = rows.get(procedure.name, []) + (rows.get(entry.name, []) if entry else [])
        shown = entry if entry and self._own else procedure
        score = starts.get(procedure.name, 0) + _worth(found)
        score *= _OWN if shown is entry else 1
        score *= _DOES[procedure.effect]
        why = max((row for row in found if row[1]), default=(0, "one starts with it"))[1]
        return Hit(shown.name, shown.title, procedure.name, procedure.effect, why, round(score, 2))


def _worth(rows: Rows) -> float:
    ranked = sorted((score for score, _ in rows), reverse=True)
    return sum(score * part for score, part in zip(ranked, _PARTS, strict=False))


def _rows(
    known: Iterable[Procedure], entries: Iterable[Entry], alarms: Iterable[tuple[str, str]]
) -> Iterator[Row]:
    """What there is to be found, by the procedure or entry that it is of."""
    for procedure in known:
        yield Row(procedure.name, "title", procedure.title)
        yield from (Row(procedure.name, "symptom", when) for when in procedure.when)
        yield from (Row(procedure.name, "prose", said) for said in _prose(procedure.path))
    for entry in entries:
        yield Row(entry.name, "title", entry.title)
        yield from (Row(entry.name, "symptom", symptom) for symptom in entry.symptoms)
        yield from (Row(entry.name, "heading", heading) for heading in entry.headings)
        values = " ".join(map(str, entry.parameters.values()))
        yield Row(entry.name, "note", f"{entry.name.replace('/', ' ')} {entry.note} {values}")
    for alarm, asks_for in alarms:
        yield Row(asks_for, "alarm", alarm)


def _prose(notebook: Path) -> Iterator[str]:
    """What a notebook says after its first cells, by paragraph, without where its links lead."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"][2:]:
        if cell["cell_type"] == "markdown":
            text = re.sub(
                r"\[([^]]*)\]\([^)]*\)|^#+ |[*`]", r"\1", "".join(cell["source"]), flags=re.M
            )
            yield from filter(str.strip, re.split(r"\n\s*\n|\n- ", text))


def _alarms(facts: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """The alarms that targets' files name, each with the entry or procedure it asks for."""
    for each in facts:
        for alarm, asks_for in each.get("alarms", {}).get("expected", {}).items():
            yield alarm, asks_for if "/" in asks_for else f"{each['system']}/{asks_for}"


def _files(left_out: LeftOut) -> list[Json]:
    """What the files of all targets say, as far as nothing is wrong in them."""

    def read(name: str) -> Json:
        return strict_yaml.load(targets.path(name), "target")

    return procedures.readable(read, targets.names(), left_out)
