"""A notebook's parameters: read from its cell, and what was given checked against them before a
kernel starts.
"""

import ast
import io
import json
import tokenize
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from opslib.core import LAB, Json, UsageError, times, unknown_name


def _once(pairs: list[tuple[str, Any]]) -> Json:
    """An object of JSON. Raises UsageError: nobody knows which of two values is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError(f"One of {', '.join(found)} stands twice in an object. Nothing was run.")
    return found


_read = partial(json.loads, object_pairs_hook=_once)
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_TYPES: dict[str, tuple[type, Callable[[str], Any]]] = {  # and how text is read as one
    "str": (str, str),
    "int": (int, int),
    "float": (float, float),
    "bool": (bool, lambda text: _WORDS[text.lower()]),
    "list": (list, _read),
    "dict": (dict, _read),
}
_LONGEST = {"minutes": 5_256_000, "hours": 87_600, "days": 3_650}  # ten years
_MARKS = ("required", "empty", "own", "any", "all", "time", "record")


@dataclass(frozen=True)
class Parameter:
    """`name: type = default  # [required, empty, own, of functions, any, all, time, record, on|off]
    help`, a line of the cell tagged `parameters`.

    `required`: its default is for practice only, elsewhere it has to be given, and hold
    something, unless `empty` says that nothing is a value, too. `of`: it names
    something in that section of the target's file (`of functions or services`: in one of them);
    `any`: a name of AWS's will do as well; `all`: so does `all`. `time`: a moment as
    `times.moment` reads it; `record`: a record's id; `words`: one of these. `own`: its default is
    of one system, that of the cell's target, which is kept here. Its default and "" are always
    taken.
    """

    name: str
    type: str
    default: Any
    help: str
    required: bool = False
    empty: bool = False
    of: str = ""
    any: bool = False
    all: bool = False
    time: bool = False
    record: bool = False
    words: tuple[str, ...] = ()
    own: str = ""

    def has_to_be_given(self, target: str) -> bool:
        """Whether nothing else says it: it is required, and its default does not count there."""
        there = not self.own or self.own.split("-")[:-1] == target.split("-")[:-1]
        return self.required and (self.default is None or not (there and target.startswith(LAB)))

    @property
    def sections(self) -> list[str]:
        """Those of the target's file in which it names something."""
        return self.of.split(" or ") if self.of else []

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
    found, home = [], ""
    for node in ast.parse(source).body:
        line = ast.get_source_segment(source, node)
        match node:
            case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value):
                kind, default = ast.unparse(annotation), ast.literal_eval(value)
            case _:
                raise UsageError(
                    f"{where}: parameters cell: {line!r} is not 'name: type = value  # help'."
                )
        home = default if name == "target" else home
        if kind not in _TYPES:
            raise UsageError(
                f"{where}: parameters cell: type {kind!r} of {name} is none of {', '.join(_TYPES)}."
            )
        marks, help = _marks(comments.get(node.end_lineno or 0, ""), f"{where}: {name}")
        marks = {"required": default is None, **marks, "own": home * ("own" in marks)}
        found.append(Parameter(name, kind, default, help, **marks))
    return found


def declared(cell: str) -> list[Parameter]:
    """`parse`; none where the cell is another's."""
    with suppress(UsageError, SyntaxError, ValueError):
        return parse(cell, "")
    return []


def tagged(cells: Sequence[Any]) -> list[str]:
    """The cells of parameters of a notebook's, as they are written."""
    found = (each for each in cells if "parameters" in each.get("metadata", {}).get("tags", ()))
    return ["".join(each["source"]) for each in found]


def defaults(notebook: Any) -> Json:
    """What a notebook's parameters are when nobody says otherwise."""
    return {p.name: p.default for cell in tagged(notebook["cells"]) for p in declared(cell)}


def _marks(comment: str, where: str) -> tuple[Json, str]:
    """What `[…]` before the help declares, and the help."""
    declared, mark, help = comment.partition("] ")
    if not (comment.startswith("[") and mark):
        return {}, comment
    marks: Json = {}
    for word in (part.strip() for part in declared[1:].split(",")):
        key, _, section = word.partition(" ")
        if key == "of" and section:
            marks["of"] = section
        elif "|" in word:
            marks["words"] = tuple(word.split("|"))
        elif word in _MARKS:
            marks[word] = True
        else:
            raise UsageError(f"{where}: [{word}] is none of {', '.join(_MARKS)}, of SECTION, A|B.")
    return marks, help.strip()


def coerce(parameters: Sequence[Parameter], given: Mapping[str, Any], where: str) -> Json:
    """What was given, as `typed` reads it.

    A required parameter must be given where its default does not count, and what is given of it
    holds something. Raises UsageError.
    """
    found = typed(parameters, given, where)
    missing = [
        p
        for p in parameters
        if (p.name not in given and p.has_to_be_given(str(given.get("target", p.own or LAB))))
        or (p.required and not p.empty and p.default != "" and found.get(p.name) == "")
    ]
    if missing:
        asks = "; ".join(f"{p.name} ({p.type}{f': {p.told}' if p.help else ''})" for p in missing)
        raise UsageError(f"{where} needs {asks}. Give it with -p {missing[0].name}=…")
    return found


def typed(parameters: Sequence[Parameter], given: Mapping[str, Any], where: str) -> Json:
    """The given values in the declared types; text is read as the type wants it.

    Raises UsageError: unknown (nearest names), mistyped, a window that ends before it begins.
    """
    known = {p.name: p for p in parameters}
    for name in given:
        if name not in known:
            raise unknown_name("parameter", name, known, f" of {where}")
    found = {name: _typed(known[name], value, where) for name, value in given.items()}
    since, until, now = found.get("since"), found.get("until"), datetime.now(UTC)
    if since and until and times.moment(since, now) >= times.moment(until, now):
        raise UsageError(
            f"Nothing lies between since={since} and until={until} of {where}: "
            "since is the earlier."
        )
    return found


def _beyond(parameter: Parameter, value: Any) -> str:
    """What it is not, and has to be; empty when it can be meant."""
    name = parameter.name
    if parameter.time:
        with suppress(UsageError):
            times.moment(value)
            return ""
        return "a time: 2h (ago), 14:05, or 2026-11-22T14:05"
    if parameter.words and value not in parameter.words:
        return " or ".join(map(repr, parameter.words))
    if name in _LONGEST and not 0 < value <= _LONGEST[name]:
        return f"more than 0 and at most {_LONGEST[name]:,}"
    try:
        json.dumps(value, allow_nan=False, default=str)
    except ValueError:
        return "a number" if parameter.type == "float" else "made of numbers that end"
    return "0 to 1,000,000,000" if type(value) is int and not 0 <= value <= 10**9 else ""


def _typed(parameter: Parameter, value: Any, where: str) -> Any:
    kind, read = _TYPES[parameter.type]
    found, wanted, told = value, parameter.type, parameter.told
    with suppress(ValueError, KeyError, RecursionError, OverflowError):
        found = read(value) if isinstance(value, str) else value
        if kind is float and type(found) is int:
            found = float(found)
        if type(found) is kind:
            wanted = "" if found in ("", parameter.default) else _beyond(parameter, found)
    if wanted:
        help = told[:1].upper() + told[1:]
        said = f"{parameter.name}={value!r} of {where} is not {wanted}. {help}"
        raise UsageError(said.rstrip())
    return found
