"""Two records compared: what was asked, what was found, what was to be done."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from opslib.core import Json
from opslib.records import reading, sealing
from opslib.records.records import Record

_RUN = ("procedure", "target", "account", "region", "who", "outcome", "verdict")
_OF_A_FINDING = ("status", "seen", "threshold", "cause")
_OF_A_STEP = ("do", "before", "after")
_ABSENT = "(none)"
_INJECTED = "injected-parameters"
_NUMBER = re.compile(r"(?<![\w.:-])\d+(?:,\d{3})*(?:\.\d+)?(?![\d:-])")


class Difference(NamedTuple):
    """`part`: run, version, procedure (its cells), parameter, finding, plan or step. `before`,
    `after`: what the one says and the other, `(none)` where it says nothing of it. `change`: of a
    finding's only number that differs, a metric's value for one.
    """

    part: str
    what: str
    before: Any
    after: Any
    change: str = ""


def compare(a: Record, b: Record) -> list[Difference]:
    """What is different in b, by what the files say. Raises OpsError: one cannot be read."""
    one, other = (
        reading.details(each) | {"cells": sealing.read(each.path)["cells"]} for each in (a, b)
    )
    found = [
        Difference(part, what, before, after, _change(before, after) if part == "finding" else "")
        for part, says in _PARTS.items()
        for what, before, after in _pairs(says(one), says(other))
        if before != after
    ]
    return sorted(found, key=lambda each: each.part == "finding" and _same_status(each))


def _same_status(each: Difference) -> bool:
    """Of findings those come last that only say other numbers."""
    return bool(str(each.before).split(" ")[0] == str(each.after).split(" ")[0])


def _change(before: str, after: str) -> str:
    if _NUMBER.sub("#", before) != _NUMBER.sub("#", after):
        return ""
    both = zip(_NUMBER.findall(before), _NUMBER.findall(after), strict=True)
    moved = [[float(text.replace(",", "")) for text in pair] for pair in both if len({*pair}) > 1]
    return f"{moved[0][1] / moved[0][0] - 1:+.0%}" if len(moved) == 1 and moved[0][0] else ""


def _pairs(one: Json, other: Json) -> Iterator[tuple[str, Any, Any]]:
    for what in dict.fromkeys([*one, *other]):
        yield what, one.get(what, _ABSENT), other.get(what, _ABSENT)


def _version(said: Json) -> Json:
    """Of the procedure, by the commit that it was in, and of what it ran with."""
    git = said.get("git") or {}
    of_git = {"commit": git.get("commit"), "differs from its commit": git.get("dirty")}
    return of_git | (said.get("versions") or {})


def _cells(said: Json) -> Json:
    """The procedure's own, without what was injected."""
    own = [c for c in said["cells"] if _INJECTED not in c["metadata"].get("tags", ())]
    return {f"cell {number}": cell["source"] for number, cell in enumerate(own, 1)}


def _findings(said: Json) -> Json:
    """By their question; one that is asked several times is numbered."""
    return {
        name: " · ".join(str(finding[key]) for key in _OF_A_FINDING if finding.get(key))
        for name, finding in _numbered(said.get("findings") or (), "check")
    }


def _plan(said: Json) -> Json:
    plan = said.get("plan") or {}
    return {"summary": plan.get("summary", _ABSENT), "steps": len(plan.get("steps") or ())}


def _steps(said: Json) -> Json:
    steps = (said.get("plan") or {}).get("steps") or ()
    return {
        name: {key: step.get(key) for key in _OF_A_STEP} for name, step in _numbered(steps, "title")
    }


def _numbered(things: Iterable[Json], key: str) -> Iterator[tuple[str, Json]]:
    seen: Counter[str] = Counter()
    for each in things:
        name = str(each.get(key) or "")
        seen[name] += 1
        yield (f"{name} ({seen[name]})" if seen[name] > 1 else name), each


_PARTS: dict[str, Any] = {
    "run": lambda said: {name: said.get(name) for name in _RUN},
    "version": _version,
    "procedure": _cells,
    "parameter": lambda said: said.get("parameters") or {},
    "finding": _findings,
    "plan": _plan,
    "step": _steps,
}
