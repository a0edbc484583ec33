"""YAML read strictly: what is wrong is said with its file and line."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from opslib.core.errors import UsageError

Json: TypeAlias = dict[str, Any]  # an object, as AWS and files describe one

# libyaml's, where it is there: ten times faster.
_FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST = 200_000  # parts of a file
# What JSON has, numbers as people compare them: 1:30 is 90 here, 010 is 8, 20 digits are rounded.
_PLAIN = re.compile(
    r"(?:str|merge|bool|null|map|seq|(?:int|float)[-+]?(0|[1-9][\d_]{0,14})?(\.\d*)?(e[-+]?\d{1,2})?)",
    re.IGNORECASE,
)
_MOST = 200_000  # parts of a file
_SCHEMAS = Path(__file__).parent / "schemas"


@dataclass(frozen=True)
class Document:
    """A file of YAML with where each of its nodes stands."""

    path: Path
    root: yaml.Node | None
    data: Any
    odd: tuple[str, ...] = ()  # what is said of keys that stand twice, or of what is no text

    def said(self, place: Iterable[Any], message: str) -> str:
        """A message about a key, with file and line."""
        place = list(place)
        where = ".".join(map(str, place)) or "the file"
        end = "" if message.endswith("?") else "."
        return f"{self.path}:{_line(self.root, place)}: {where}: {message}{end}"


def load(path: Path, schema: str) -> Json:
    """The mapping in a YAML file, checked against opslib/core/schemas/<schema>.json.

    Raises UsageError naming file and line: unreadable, not YAML; all wrong keys and values at once,
    a line each.
    """
    document = read(path)
    if found := wrong(document, schema):
        raise UsageError("\n".join(found))
    return dict(document.data)


def read(path: Path) -> Document:
    """A file of YAML. Raises UsageError: unreadable, not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
        loader = _FASTEST(text)
        root = loader.get_single_node()
        sizes: dict[int, int] = {}
        odd = tuple(_odd_parts(path, root, sizes))  # before merged keys (<<) are put among its own
        if sizes[id(root)] > _MOST:
            raise UsageError(f"{path}: not valid YAML: its anchors unfold to over {_MOST:,} parts.")
        data = loader.construct_document(root) if root is not None else None
        return Document(path, root, data, odd)
    except OSError as exc:
        raise UsageError(f"Cannot read {path}: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        number = exc.object.count(b"\n", 0, exc.start) + 1
        raise UsageError(f"{path}:{number}: not UTF-8: save it in that encoding.") from exc
    except (ValueError, RecursionError) as exc:  # a day that there is not; a part within itself
        raise UsageError(f"{path}: not valid YAML: {exc}.") from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        # an end that is missing is missed after the last line
        line = f":{min(mark.line + 1, len(text.splitlines()))}" if mark else ""
        problem = getattr(exc, "problem", None) or str(exc).splitlines()[0]
        if mark and "any token" in problem:
            problem += (
                f": {text.splitlines()[mark.line][mark.column]!r}; quote it, indent by spaces"
            )
        raise UsageError(f"{path}{line}: not valid YAML: {problem}.") from exc


@cache
def beside(module: str, name: str) -> Any:
    """The table <name>.yaml beside a module (its `__file__`), whose head says what it says."""
    return read(Path(module).with_name(f"{name}.yaml")).data


def wrong(document: Document, schema: str) -> list[str]:
    """All that the schema says against a file, in its order: each with file and line."""
    if document.data is None:
        return [f"{document.path}:1: nothing is in it."]
    errors = validator(schema).iter_errors(document.data)
    said = (document.said(*each) for error in errors for each in _explained(error))
    before = len(f"{document.path}:")
    return sorted({*document.odd, *said}, key=lambda text: (int(text[before:].split(":")[0]), text))


def references(
    schema: str | Json, data: Any, place: Sequence[str] = ()
) -> Iterator[tuple[list[str], str, str]]:
    """What in a file names something else: its place, of what (`x-refers-to`), and the name."""
    node = _schema(schema) if isinstance(schema, str) else schema
    for each in (node, *node.get("anyOf", ())):
        if "x-refers-to" in each and isinstance(data, str):
            yield [*place], each["x-refers-to"], data
        for key, value in data.items() if isinstance(data, dict) else ():
            below = each.get("properties", {}).get(key, each.get("additionalProperties"))
            if isinstance(below, dict):
                yield from references(below, value, [*place, key])


def keys(schema: str | Json, place: Sequence[str] = ()) -> Iterator[tuple[list[str], Json]]:
    """Every key that a schema declares, with what it says of it; `*` stands for any name."""
    node = _schema(schema) if isinstance(schema, str) else schema
    named = {**node.get("properties", {})}
    if isinstance(other := node.get("additionalProperties"), dict):
        named["*"] = other
    for key, below in named.items():
        yield [*place, key], below
        yield from keys(below, [*place, key])
    for each in node.get("anyOf", ()):
        yield from keys(each, place)
    if "items" in node:
        yield from keys(node["items"], place)


def declares(schema: str, path: Iterable[str]) -> bool:
    """Whether the key at the end of a path is the schema's own, not a name that a file gives."""
    node, own = _schema(schema), False
    for key in path:
        known = node.get("properties", {})
        own, node = key in known, known.get(key, node.get("additionalProperties")) or {}
    return own


def _odd_parts(path: Path, node: yaml.Node | None, sizes: dict[int, int]) -> Iterator[str]:
    """Keys that stand twice or are no text, numbers that are none, and what JSON does not have.

    `sizes`: takes how many parts each part has, an anchor's as often as it is named.
    """
    if id(node) in sizes:
        return
    sizes[id(node)] = _MOST  # until it is known: what is within itself has no end
    parts = node.value if isinstance(node, yaml.CollectionNode) else ()
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in parts:
            at, name = f"{path}:{key.start_mark.line + 1}: key", key.value
            if not isinstance(name, str):
                raise UsageError(f"{at} within {{}} or []: quote what is a text, as of a template.")
            if key.tag.rpartition(":")[2] not in ("str", "merge"):
                yield f"{at} {name!r} is no text: quote it."
            elif name in seen:
                yield f"{at} {name!r} stands twice."
            seen.add(name)
        parts = [child for _, child in parts]
    if node:
        kind = node.tag.rpartition(":")[2]
        value = node.value if kind in ("int", "float") else ""  # another may be a secret
        if not _PLAIN.fullmatch(kind + value):
            told = f"{value or kind} is no text and no number to compare with"
            yield f"{path}:{node.start_mark.line + 1}: {told}: quote it, or write it out."
    for child in parts:
        yield from _odd_parts(path, child, sizes)
    sizes[id(node)] = 1 + sum(sizes[id(child)] for child in parts)


def _explained(error: Any) -> Iterator[tuple[list[Any], str]]:
    """What an error of jsonschema's is about, and what to do: each unknown key by itself."""
    place, seen = list(error.absolute_path), re.sub("//.*@", "//…@", repr(error.instance))
    if isinstance(error.instance, dict | list):
        seen = "a mapping or list"  # what it holds may be a secret
    message = error.message.replace(repr(error.instance), seen)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in error.instance:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                offer = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                yield [*place, key], f"is an unknown key; {offer}"
        return
    if error.validator == "anyOf":
        # the form that it was meant to have: of its own type, and nearest
        forms = [[*form] for _, form in groupby(error.context, lambda each: each.schema_path[0])]
        meant = [form for form in forms if form[0].validator != "type" or form[0].path]
        for each in min(meant, key=len, default=()):
            yield from _explained(each)
        if meant:
            return
        kinds = " or ".join(str(each.get("type")) for each in error.validator_value)
        message = f"{seen} is not of type {kinds}"
    elif error.validator == "not":
        message = "is not set here: whoever runs it says it, each time"
    elif error.validator == "type" and error.validator_value == "string":
        message = f"{seen} is not a string: quote it"
    about = error.schema
    if error.validator == "required":
        about = about.get("properties", {}).get(message.split("'")[1], {})
    yield place, message + (f" ({about['description']})" if "description" in about else "")


def _line(root: yaml.Node | None, place: Iterable[Any]) -> int:
    """The line (from 1) of the node at a path of keys and indexes, or of the nearest above it."""
    node, line = root, root.start_mark.line if root else 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            parts = {key.value: (key, child) for key, child in node.value}
        else:
            parts = {i: (child, child) for i, child in enumerate(node.value if node else ())}
        if part not in parts:
            break
        at, node = parts[part]
        line = at.start_mark.line
    return line + 1


@cache
def validator(schema: str) -> Any:
    skip_grammars()
    import jsonschema

    checked = jsonschema.FormatChecker()
    return jsonschema.Draft202012Validator(_schema(schema), format_checker=checked)


@cache
def _schema(schema: str) -> Json:
    return dict(json.loads((_SCHEMAS / f"{schema}.json").read_text(encoding="utf-8")))


def skip_grammars() -> None:
    """Keep jsonschema from compiling a grammar of international URLs and importing a calendar for
    durations: a second and more, never used here.

    It does without those packages and then does not check the formats `iri`, `iri-reference` and
    `duration`, which neither notebooks nor our YAML have. No effect once jsonschema is imported.
    """
    if "jsonschema" not in sys.modules:
        for name in ("rfc3987_syntax", "isoduration"):
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]
