"""An estate's files, YAML beside SQL, read strictly: what is wrong is said with file and line."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from opslib.core.errors import UsageError

Key = str | int
Made = TypeVar("Made")
_REVISION = re.compile(r"^-- revision (\S+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """A YAML file: its data, and where each part of it stands."""

    path: Path
    data: Any
    root: yaml.Node | None

    def made(self, kind: type[Made], data: Any, place: tuple[Key, ...] = ()) -> Made:
        """`data`, which stands at `place`, as a dataclass. Raises UsageError."""
        try:
            made: Made = TypeAdapter(kind).validate_python(data)
            return made
        except ValidationError as exc:
            error = min(exc.errors(include_url=False), key=lambda each: -len(each["loc"]))
            named = tuple(part for part in error["loc"] if isinstance(part, (str, int)))
            raise self.wrong((*place, *named), _said(error, kind)) from exc

    def wrong(self, place: tuple[Key, ...], message: str) -> UsageError:
        """What to raise of the part at a path of keys and indexes."""
        where = ".".join(map(str, place)) or "the file"
        return UsageError(f"{self.path}:{_line(self.root, place)}: {where}: {message}.")


def _said(error: Any, kind: type[Any]) -> str:
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        wrong = str(error["loc"][-1])
        near = get_close_matches(wrong, _known(kind, error["loc"][:-1]), n=1)
        return f"unknown key; did you mean {near[0]!r}?" if near else "unknown key"
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return "is missing"
    if error["type"] == "value_error":  # our own words
        return str(error["ctx"]["error"])
    return f"{error['msg']}, not {error['input']!r}"


def _known(kind: Any, place: Iterable[Any]) -> list[str]:
    """The keys that may stand at a place of a dataclass."""
    for part in place:
        if part in kind.__dataclass_fields__:
            kind = next(_kinds(get_type_hints(kind)[part]), kind)
    return list(kind.__dataclass_fields__)


def _kinds(hint: Any) -> Iterator[Any]:
    """The dataclasses in a type, `Mapping[str, Alarm]` or another."""
    if is_dataclass(hint):
        yield hint
    for each in get_args(hint):
        yield from _kinds(each)


def document(path: Path) -> Document:
    """A YAML file, read. Raises UsageError: unreadable, not YAML, a key twice."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        doubled = next(_doubled(root), None)  # before merge keys (`<<`) are merged into the nodes
        data = loader.construct_document(root) if root is not None else {}
    except OSError as exc:
        raise UsageError(f"Cannot read {path}: {exc.strerror}.") from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or str(exc)
        raise UsageError(f"{path}{line}: not valid YAML: {problem}.") from exc
    if doubled:
        raise UsageError(f"{path}:{doubled[0]}: key {doubled[1]!r} stands twice.")
    return Document(path, data, root)


def _doubled(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _doubled(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _doubled(each)


def _line(root: yaml.Node | None, place: Iterable[Key]) -> int:
    """The line (from 1) of the node at a path, or of the nearest one above it."""
    node, line = root, root.start_mark.line if root else 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                continue  # a kind's name of its own, in a choice of several
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
    return line + 1


def merged(data: Any, over: Any) -> Any:
    """`over` laid on `data`: mappings are merged, everything else is replaced."""
    if isinstance(data, Mapping) and isinstance(over, Mapping):
        return {**data, **{key: merged(data.get(key), value) for key, value in over.items()}}
    return over


def revisions(path: Path) -> list[tuple[str, str, str, str]]:
    """(name, title, SQL, SQL that undoes it) of each `-- revision <name>: <title>`, `-- undo`."""
    text = path.read_text(encoding="utf-8")
    heads = [*_REVISION.finditer(text)]
    ends = [head.start() for head in heads[1:]] + [len(text)]
    found = []
    for head, end in zip(heads, ends, strict=True):
        up, _, down = ("\n".join(text[head.end() : end].splitlines())).partition("-- undo\n")
        found.append((head[1], head[2], up.strip(), down.strip()))
    return found
