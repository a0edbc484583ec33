"""What a reader of a page types next."""

import re
from collections.abc import Sequence
from typing import Any

from opslib.catalogue.parameters import defaults
from opslib.core import Json
from opslib.core.text import command

_NAME = re.compile(r"[\w-]+/[\w-]+")


def following(facts: Json, findings: Sequence[Json]) -> list[tuple[str, str]]:
    """The command of each procedure that findings name, and what they found; worst first."""
    named: dict[str, list[str]] = {}
    for found in findings:
        name = str(found.get("next") or "")
        if _NAME.fullmatch(name) and found.get("status") != "ok":
            named.setdefault(name, []).append(str(found.get("check", "")))
    lines = facts.get("lines") or {}
    here, target = (facts.get("name"), facts.get("procedure")), str(facts.get("target", ""))
    return [
        (
            lines.get(name) or command("run", name, target, {}),
            f"{about[0]}{f', and {len(about) - 1} more' * bool(about[1:])}",
        )
        for name, about in named.items()
        if name not in here
    ]


def to_apply(facts: Json, notebook: Any) -> str:
    """How a previewed plan is applied; empty when there is none."""
    plan = facts.get("plan") or {}
    if facts.get("outcome") != "previewed" or not plan.get("steps"):
        return ""
    usual = defaults(notebook)
    said = dict(facts.get("parameters") or {})
    given = {k: v for k, v in said.items() if v != "" and usual.get(k) != v}
    given |= {"approved": plan.get("id", "")}
    if facts.get("production"):
        given |= {"confirm": facts.get("confirm") or facts.get("target", "")}
    given.pop("target", None)
    return command("run", str(facts.get("name", "")), str(facts.get("target", "")), given)
