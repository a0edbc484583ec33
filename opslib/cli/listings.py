"""What `opslib list` and `opslib show` say."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from opslib.catalogue import procedures as known
from opslib.catalogue import runbooks
from opslib.catalogue.parameters import Parameter
from opslib.core import console


def procedures() -> list[dict[str, Any]]:
    """Every procedure, its section being its chapter."""
    names = {"name": "name", "title": "title", "section": "chapter", "procedure": "name"}
    names["effect"] = "effect"
    return [{k: getattr(p, name) for k, name in names.items()} for p in known.list_procedures()]


def runbook(system: str) -> list[dict[str, Any]]:
    """Every entry of a system's runbook, in its order. Raises UsageError."""
    return [asdict(entry) for entry in runbooks.entries(system)]


def as_text(rows: list[dict[str, Any]], system: str | None) -> str:
    """A table a section; at the end what to type next."""
    parts = []
    for section in dict.fromkeys(row["section"] for row in rows):
        table = console.table(
            ("name", "effect", "title"),
            [
                (row["name"], row["effect"], row["title"])
                for row in rows
                if row["section"] == section
            ],
        )
        parts.append(f"{section}\n{table}")
    example = rows[0]["name"] if rows else "NAME"
    more = [f"More of one: opslib show {example}"]
    if system is None:
        more = [f"Runbook of a system: opslib list {name}" for name in runbooks.systems()] + more
    return "\n\n".join([*parts, "\n".join(more)])


def described(name: str) -> dict[str, Any]:
    """A procedure or entry, with its parameters as it sets them. Raises UsageError."""
    procedure, preset, entry = runbooks.find(name)
    return {
        "name": name,
        "title": entry.title if entry else procedure.title,
        "procedure": procedure.name,
        "when": list(entry.symptoms if entry and entry.symptoms else procedure.when),
        "effect": procedure.effect,
        "takes": procedure.takes,
        "owner": procedure.owner,
        "note": entry.note if entry else "",
        "parameters": [_parameter(p, preset) for p in procedure.parameters if p.name != "target"],
        "notebook": str(procedure.path),
        "run": _how(name, procedure.parameters, preset),
    }


def _parameter(parameter: Parameter, preset: dict[str, Any]) -> dict[str, Any]:
    value = preset.get(parameter.name, parameter.default)
    return {
        "name": parameter.name,
        "type": parameter.type,
        "default": value,
        "help": parameter.told,
    }


def _how(name: str, parameters: tuple[Parameter, ...], preset: dict[str, Any]) -> list[str]:
    target = next((p.default for p in parameters if p.name == "target"), "TARGET")
    needed = "".join(
        f" -p {p.name}=…" for p in parameters if p.default is None and p.name not in preset
    )
    command = f"opslib run {name} -t {target}{needed}"
    changes = any(p.name == "approved" for p in parameters)
    return [command, f"{command} --apply"] if changes else [command]


def description(shown: dict[str, Any]) -> str:
    lines = [f"{shown['title']}  ({shown['name']})", ""]
    lines += [f"when    {symptom}" for symptom in shown["when"]]
    lines += [f"{key:<8}{shown[key]}" for key in ("effect", "takes", "owner", "note") if shown[key]]
    if shown["name"] != shown["procedure"]:
        lines.append(f"is      {shown['procedure']}, with the parameters below set")
    if shown["parameters"]:
        rows = [
            (p["name"], p["type"], _default(p["default"]), p["help"]) for p in shown["parameters"]
        ]
        lines += ["", console.table(("parameter", "type", "default", ""), rows)]
    return "\n".join([*lines, "", *shown["run"], f"notebook: {shown['notebook']}"])


def _default(value: Any) -> str:
    return "(needed)" if value is None else '""' if value == "" else str(value)
