"""Runbooks: a system's own table of contents over the procedures,
parameters/runbooks/<system>.yaml.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from opslib.catalogue import procedures
from opslib.catalogue.parameters import typed
from opslib.catalogue.procedures import Procedure
from opslib.core import Json, UsageError, paths, strict_yaml, unknown_name


@dataclass(frozen=True)
class Entry:
    """`<system>/<entry>`: a procedure with parameters set."""

    name: str
    title: str
    section: str
    procedure: str
    effect: str
    parameters: Json
    symptoms: tuple[str, ...]
    note: str
    covers: tuple[str, ...]  # rows of parameters/coverage.yaml
    headings: tuple[str, ...]  # of the page that it took over


def files() -> list[Path]:
    return sorted((paths.parameters() / "runbooks").glob("*.yaml"))


def systems() -> list[str]:
    return [path.stem for path in files()]


def entries(system: str) -> list[Entry]:
    """Every entry of a system's runbook, in its order.

    Raises UsageError with file and line, or naming the entry.
    """
    return [_entry(system, *each) for each in _items(system).values()]


def _items(system: str) -> dict[str, tuple[str, Json]]:
    """The title of its section and the entry as written, of each by its name."""
    if system not in systems():
        raise unknown_name("system", system, systems())
    book = paths.parameters() / "runbooks" / f"{system}.yaml"
    return _read(book, book.stat().st_mtime_ns)


@cache
def _read(book: Path, _: int) -> dict[str, tuple[str, Json]]:
    found = dict[str, tuple[str, Json]]()
    for section in strict_yaml.load(book, "runbook")["sections"]:
        for item in section["entries"]:
            if (name := f"{book.stem}/{item['name']}") in found:
                raise UsageError(f"{book}: entry {item['name']!r} stands twice.")
            found[name] = section["title"], item
    return found


def _entry(system: str, section: str, item: Json) -> Entry:
    name = f"{system}/{item['name']}"
    try:
        procedure = procedures.find(item["procedure"])
        given = item.get("parameters", {})
        typed(procedure.parameters, given, procedure.name)  # the rest on the command line
    except UsageError as exc:
        raise UsageError(
            f"parameters/runbooks/{system}.yaml: entry {item['name']!r}: {exc}"
        ) from exc
    return Entry(
        name,
        item["title"],
        section,
        procedure.name,
        procedure.effect,
        given,
        tuple(item.get("symptoms", ())),
        item.get("note", ""),
        tuple(item.get("covers", ())),
        tuple(item.get("headings", ())),
    )


def find(name: str) -> tuple[Procedure, Json, Entry | None]:
    """The procedure, parameters set and entry of a name, `<chapter>/<procedure>` or
    `<system>/<entry>`.

    Raises UsageError that offers the nearest names of both kinds.
    """
    system = name.split("/")[0]
    if system in systems():
        if name not in (known := _items(system)):
            raise unknown_name("runbook entry", name, known)
        entry = _entry(system, *known[name])  # the others' notebooks are not read for this one
        return procedures.find(entry.procedure), entry.parameters, entry
    if name not in procedures.names():
        raise unknown_name("procedure", name, [*procedures.names(), *_named()])
    return procedures.find(name), {}, None


def serving(system: str, procedure: str, **given: str) -> str:
    """The entry of a system's runbook that is this procedure with these parameters set; else the
    procedure itself. A runbook that cannot be read has none.
    """
    with suppress(UsageError):
        for name, (_, item) in _items(system).items():
            preset = item.get("parameters", {})
            if item["procedure"] == procedure and given.items() <= preset.items():
                return name
    return procedure


def _named() -> list[str]:
    """The names of all entries; of a runbook that cannot be read, none."""
    found: list[str] = []
    for system in systems():
        with suppress(UsageError):
            found += _items(system)
    return found
