"""The rooms of opslib, read from its code: what imports what, and how large each is.

`python -m tests.rooms` prints sizes.

Every import counts, also one inside a function or for types only. A token is one of Python's,
without comments and
layout; a code line is a line with at least one token.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "opslib"
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


class Size(NamedTuple):
    lines: int
    tokens: int


def name_of(path: Path) -> str:
    """`opslib.core.findings`; a package's face is called as the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    """Every module by its name."""
    return {name_of(path): path for path in sorted(LIBRARY.rglob("*.py"))}


@cache
def parsed(path: Path) -> ast.Module:
    """A module's code, as a tree that nobody changes."""
    return ast.parse(path.read_text(encoding="utf-8"))


def is_face(path: Path) -> bool:
    return path.name == "__init__.py"


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each name that a module imports from opslib.

    Name is "" for `import opslib.x`.
    """
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "opslib":
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.split(".")[0] == "opslib")


@cache
def arrows() -> dict[str, set[str]]:
    """The modules that each module imports. A name out of a face is an arrow to the face."""
    known = modules()
    return {
        name: {of if f"{of}.{what}" not in known else f"{of}.{what}" for of, what in imported(path)}
        - {name}
        for name, path in known.items()
    }


def room_of(module: str) -> str:
    """`core`, `queues`, `session`: the part of the house that a module is in."""
    return module.split(".")[1] if "." in module else ""


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """What imports itself by way of others, each circle once, sorted (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        path.append(name)
        for other in graph.get(name, ()):
            if other not in index:
                visit(other)
            if other in path:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            at = path.index(name)
            if len(path) - at > 1:
                found.append(sorted(path[at:]))
            del path[at:]

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def size(path: Path) -> Size:
    lines, tokens = set(), 0
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in _LAYOUT:
                tokens += 1
                lines.add(token.start[0])
    return Size(len(lines), tokens)


def sizes() -> dict[str, Size]:
    """Lines and tokens by room, the largest first; what lies beside the rooms is called
    `opslib`.
    """
    found: dict[str, Size] = {}
    for name, path in modules().items():
        room = room_of(name) if path.parent != LIBRARY else "opslib"
        was, more = found.get(room, Size(0, 0)), size(path)
        found[room] = Size(was.lines + more.lines, was.tokens + more.tokens)
    return dict(sorted(found.items(), key=lambda each: -each[1].tokens))


def main() -> None:
    found = sizes()
    for room, each in found.items():
        print(f"{room:12} {each.lines:6,} lines {each.tokens:7,} tokens")
    lines, tokens = (
        sum(each[at] for room, each in found.items() if room != "lab") for at in (0, 1)
    )
    print(f"{'without lab':12} {lines:6,} lines {tokens:7,} tokens")


if __name__ == "__main__":
    main()
