"""YAML read strictly: what is wrong is said with its file and line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from opslib.core.errors import UsageError
from opslib.core.tables import Json

# libyaml's, where it is there: ten times faster.
_FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCHEMAS = Path(__file__).parent / "schemas"


def load(path: Path, schema: str) -> Json:
    """The mapping in a YAML file, checked against opslib/core/schemas/<schema>.json.

    Raises UsageError naming file and line: unreadable, not YAML, a key twice, a wrong key or value.
    """
    try:
        loader = _FASTEST(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        _refuse_duplicate_keys(path, root)  # before merged keys (<<) are put among its own
        data: Any = loader.construct_document(root) if root is not None else None
    except OSError as exc:
        raise UsageError(f"Cannot read {path}: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        number = exc.object.count(b"\n", 0, exc.start) + 1
        raise UsageError(f"{path}:{number}: not UTF-8: save it in that encoding.") from exc
    except (ValueError, RecursionError) as exc:  # a day that there is not; a part within itself
        raise UsageError(f"{path}: not valid YAML: {exc}.") from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or str(exc)
        raise UsageError(f"{path}{line}: not valid YAML: {problem}.") from exc
    if data is None:
        raise UsageError(f"{path}:1: nothing is in it.")
    _refuse_schema_errors(path, root, data, schema)
    return dict(data)


def declares(schema: str, path: Iterable[str]) -> bool:
    """Whether the key at the end of a path is the schema's own, not a name that a file gives."""
    node, own = _schema(schema), False
    for key in path:
        known = node.get("properties", {})
        own, node = key in known, known.get(key, node.get("additionalProperties")) or {}
    return own


def _refuse_duplicate_keys(path: Path, node: yaml.Node | None) -> None:
    parts = node.value if isinstance(node, yaml.CollectionNode) else ()
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in parts:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise UsageError(f"{path}:{line}: key {key.value!r} stands twice.")
            seen.add(key.value)
        parts = [child for _, child in parts]
    for child in parts:
        _refuse_duplicate_keys(path, child)


def _refuse_schema_errors(path: Path, root: yaml.Node | None, data: Any, schema: str) -> None:
    errors = sorted(
        validator(schema).iter_errors(data), key=lambda e: (-len(e.absolute_path), e.message)
    )
    for error in errors[:1]:
        place, message = list(error.absolute_path), error.message
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            wrong = next(key for key in error.instance if key not in known)
            place.append(wrong)
            near = get_close_matches(str(wrong), known, n=1)
            offer = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            message = f"unknown key; {offer}"
        elif error.validator == "not":
            message = "is not set here: whoever runs it says it, each time"
        elif error.validator == "type" and error.validator_value == "string":
            message = f"{error.instance!r} is not a string: quote it"
        where = ".".join(map(str, place)) or "the file"
        raise UsageError(f"{path}:{_line(root, place)}: {where}: {message}.")


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
    skip_iri_grammar()
    import jsonschema

    return jsonschema.Draft202012Validator(_schema(schema))


@cache
def _schema(schema: str) -> Json:
    return dict(json.loads((_SCHEMAS / f"{schema}.json").read_text(encoding="utf-8")))


def skip_iri_grammar() -> None:
    """Keep jsonschema from compiling a grammar of international URLs when it is imported: 0.9 s,
    never used here.

    jsonschema does without the package and then does not check the formats `iri` and
    `iri-reference`,
    which neither notebooks nor our YAML have. Has no effect once jsonschema is imported.
    """
    if "jsonschema" not in sys.modules:
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
