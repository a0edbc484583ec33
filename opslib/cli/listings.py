"""What `opslib list` and `opslib show` say."""

import sys
from dataclasses import asdict
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from opslib.catalogue import procedures as known
from opslib.catalogue import runbooks
from opslib.cli import streams
from opslib.core import Json, console, strict_yaml, targets


def procedures() -> list[Json]:
    """Every procedure, its section being its chapter; what cannot be read is told on stderr, also
    a runbook that is no YAML.
    """
    tell = partial(print, file=sys.stderr)
    known.readable(strict_yaml.read, runbooks.files(), tell)
    return [
        {"name": p.name, "title": p.title, "section": p.chapter, "procedure": p.name}
        | {"effect": p.effect}
        for p in known.readable_ones(tell)
    ]


def runbook(system: str) -> list[Json]:
    """Every entry of a system's runbook, in its order. Raises UsageError."""
    return [asdict(entry) for entry in runbooks.entries(system)]


def as_text(rows: list[Json], system: str | None) -> str:
    """A table a section; at the end what to type next."""
    parts = []
    for section, group in groupby(rows, key=itemgetter("section")):
        cells = map(itemgetter("name", "effect", "title"), group)
        parts.append(f"{section}\n{console.table(('name', 'effect', 'title'), cells)}")
    example = rows[0]["name"] if rows else "NAME"
    more = [f"More of one: opslib show {example}"]
    if system is None:
        more = [f"Runbook of a system: opslib list {name}" for name in runbooks.systems()] + more
    return "\n\n".join([*parts, "\n".join(more)])


def described(name: str) -> Json:
    """A procedure or entry, with its parameters as it sets them. Raises UsageError."""
    procedure, preset, entry = runbooks.find(name)
    defaults = {p.name: p.default for p in procedure.parameters} | preset
    needed = "".join(f" -p {key}=…" for key, default in defaults.items() if default is None)
    target = defaults.get("target", "TARGET")
    own = [each for each in targets.names() if each.startswith(f"{name.split('/')[0]}-")]
    if own and target.removeprefix("lab/") not in own:
        target = f"lab/{own[0]}"
    command = f"opslib run {name} -t {target}{needed}"
    return {
        "name": name,
        "title": entry.title if entry else procedure.title,
        "procedure": procedure.name,
        "when": list((entry and entry.symptoms) or procedure.when),
        "effect": procedure.effect,
        "takes": procedure.takes,
        "owner": procedure.owner,
        "note": entry.note if entry else "",
        "parameters": [
            {"name": p.name, "type": p.type, "default": defaults[p.name], "help": p.told}
            for p in procedure.parameters
            if p.name != "target"
        ],
        "notebook": str(procedure.path),
        "run": [command, f"{command} --apply"] if procedure.changes else [command],
    }


def description(shown: Json) -> str:
    rows = [(p["name"], p["type"], _default(p["default"]), p["help"]) for p in shown["parameters"]]
    table = console.table(("parameter", "type", "default", ""), rows)
    return streams.written("procedure", p=shown, parameters=table)


def _default(value: Any) -> str:
    return "(needed)" if value is None else '""' if value == "" else str(value)
