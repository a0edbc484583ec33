"""A notebook's parameters: read from its cell, and what was given checked against them before a kernel starts."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opslib.core.errors import UsageError, unknown_name

_TYPES: dict[str, type] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
}
_MARKS = ("required", "any", "all")


@dataclass(frozen=True)
class Parameter:
    """`name: type = default  # [required, of functions, any, all] help`, a line of the cell tagged `parameters`.

    `required`: its default is for practice only, outside the lab it has to be given. `of`: it names something in
    that section of the target's file; `any`: a name of AWS's will do as well; `all`: so does `all`.
    """

    name: str
    type: str
    default: Any
    help: str
    required: bool = False
    of: str = ""
    any: bool = False
    all: bool = False

    @property
    def told(self) -> str:
        """The help, with what it declares."""
        where = f" (of {self.of} in the target's file)" if self.of else ""
        required = "required: " if self.required and self.default is not None else ""
        return f"{required}{self.help}{where}"


def parse(source: str, where: str) -> list[Parameter]:
    """The parameters of a cell. Raises UsageError naming the line that is not as it must be."""
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for node in ast.parse(source).body:
        line = ast.get_source_segment(source, node)
        if not (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.value is not None
        ):
            raise UsageError(
                f"{where}: parameters cell: {line!r} is not 'name: type = value  # help'."
            )
        name, kind = node.target.id, ast.unparse(node.annotation)
        if kind not in _TYPES:
            raise UsageError(
                f"{where}: parameters cell: type {kind!r} of {name} is none of {', '.join(_TYPES)}."
            )
        default = ast.literal_eval(node.value)
        marks, help = _marks(comments.get(node.end_lineno or 0, ""), f"{where}: {name}")
        found.append(Parameter(name, kind, default, help, **{"required": default is None} | marks))
    return found


def _marks(comment: str, where: str) -> tuple[dict[str, Any], str]:
    """What `[…]` before the help declares, and the help."""
    declared, mark, help = comment.partition("] ")
    if not (comment.startswith("[") and mark):
        return {}, comment
    marks: dict[str, Any] = {}
    for word in (part.strip() for part in declared[1:].split(",")):
        key, _, section = word.partition(" ")
        if key == "of" and section:
            marks["of"] = section
        elif word in _MARKS:
            marks[word] = True
        else:
            raise UsageError(f"{where}: [{word}] is none of {', '.join(_MARKS)}, of SECTION.")
    return marks, help.strip()


def coerce(parameters: list[Parameter], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The given values in the declared types; text is read as the type wants it.

    A required parameter must be given unless the target is the lab's. Raises UsageError: unknown (nearest names),
    missing, mistyped.
    """
    lab = str(given.get("target", "lab/")).startswith("lab/")
    known = {p.name: p for p in parameters}
    for name in given:
        if name not in known:
            raise unknown_name("parameter", name, known, f" of {where}")
    missing = [
        p
        for p in parameters
        if p.name not in given and p.required and (p.default is None or not lab)
    ]
    if missing:
        asks = "; ".join(f"{p.name} ({p.type}{f': {p.told}' if p.help else ''})" for p in missing)
        raise UsageError(f"{where} needs {asks}. Give it with -p {missing[0].name}=…")
    return {name: _typed(known[name], value, where) for name, value in given.items()}


def _typed(parameter: Parameter, value: Any, where: str) -> Any:
    kind = _TYPES[parameter.type]
    try:
        if isinstance(value, bool) and kind is not bool:
            raise ValueError("a bool")
        if isinstance(value, kind):
            return value
        if kind is float and isinstance(value, int):
            return float(value)
        if not isinstance(value, str):
            raise ValueError(type(value).__name__)
        return _from_text(kind, value)
    except ValueError as exc:
        raise UsageError(
            f"{parameter.name}={value!r} of {where} is not {parameter.type}. {parameter.told}".rstrip()
        ) from exc


def _from_text(kind: type, text: str) -> Any:
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    if kind in (list, dict):
        value = json.loads(text)
        if not isinstance(value, kind):
            raise ValueError(text)
        return value
    return kind(text)
