"""What a reader of a page types next."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence
from typing import Any

from opslib.core import Json, redaction

_NAME = re.compile(r"[\w-]+/[\w-]+")


def following(facts: Json, findings: Sequence[Json]) -> list[tuple[str, str]]:
    """The command of each procedure that findings name, and what they found; worst first."""
    named: dict[str, list[str]] = {}
    for found in findings:
        name = str(found.get("next") or "")
        if _NAME.fullmatch(name) and found.get("status") != "ok":
            named.setdefault(name, []).append(str(found.get("check", "")))
    here = (facts.get("name"), facts.get("procedure"))
    return [
        (_command(facts, name), f"{about[0]}{f', and {len(about) - 1} more' * bool(about[1:])}")
        for name, about in named.items()
        if name not in here
    ]


def to_apply(facts: Json, notebook: Any) -> str:
    """How a previewed plan is applied; empty when there is none."""
    plan = facts.get("plan") or {}
    if facts.get("outcome") != "previewed" or not plan.get("steps"):
        return ""
    usual = _defaults(notebook)
    said = dict(facts.get("parameters") or {})
    given = {k: v for k, v in said.items() if v != "" and usual.get(k) != v}
    given |= {"approved": plan.get("id", "")}
    if facts.get("production"):
        given |= {"confirm": facts.get("confirm") or facts.get("target", "")}
    given.pop("target", None)
    return _command(facts, str(facts.get("name", "")), given)


def _command(facts: Json, name: str, given: Json | None = None) -> str:
    words = ["opslib", "run", name, "-t", str(facts.get("target", ""))]
    words += [word for key, value in (given or {}).items() for word in ("-p", f"{key}={value}")]
    return redaction.mask(shlex.join(words))


def _defaults(notebook: Any) -> Json:
    """What the parameters are when nobody says otherwise."""
    found: Json = {}
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", ()):
            try:
                lines = ast.parse(cell["source"]).body
                found |= {
                    line.target.id: ast.literal_eval(line.value)
                    for line in lines
                    if isinstance(line, ast.AnnAssign)
                    and isinstance(line.target, ast.Name)
                    and line.value is not None
                }
            except (SyntaxError, ValueError):
                continue
    return found
