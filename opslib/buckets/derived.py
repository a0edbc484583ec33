"""Objects that an app derives from others (thumbnails, other sizes and formats).

They have no row of their own: the row of what they were made from is theirs too.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import cache, cached_property
from pathlib import PurePosixPath

_BETWEEN = re.compile(r"[/_.@~+ -]+")
_PLACES = {"{key}": "(?P<key>.+)", "{stem}": "(?P<stem>.+)", "{name}": "(?P<name>[^/]+)"}
_SHORTEST = 3  # characters of a name that says more than a number does
_DISTINCT = 8  # characters of a name that is like no other in whatever folder


class Rows:
    """The keys that rows name, without the prefix, to find again what was derived from them."""

    def __init__(self, keys: Collection[str], prefix: str) -> None:
        self.keys = {key.lstrip("/").removeprefix(prefix) for key in keys}

    @cached_property
    def stems(self) -> set[str]:
        return {_stem(key) for key in self.keys}

    @cached_property
    def names(self) -> Counter[str]:
        """How many keys end in a name, with its ending and without."""
        every = (PurePosixPath(key).name for key in self.keys)
        return Counter(each for name in every for each in {name, _stem(name)})

    def fits(self, key: str, patterns: Iterable[str]) -> bool:
        """Is a key made by one of the patterns from a key that a row names?

        `{key}`: that key, whole or what of it is below a folder; `{stem}`: the same without its
        ending; `{name}`: the name alone, in whatever folder; `*`: anything but a slash.
        """
        for pattern in patterns:
            for text, at in _tails(key):
                found = _compiled(pattern).fullmatch(text)
                if found and self._has(at, **found.groupdict()):
                    return True
        return False

    def _has(self, at: str, key: str = "", stem: str = "", name: str = "") -> bool:
        if name:
            return name in self.names
        return at + key in self.keys if key else at + stem in self.stems

    def likeness(self, key: str) -> str:
        """The pattern by which a key looks derived from one that a row names; empty: by none."""
        for text, at in _tails(key):
            for part in _parts(text):
                numbered = re.search(r"\d", text.replace(part, "", 1))
                if numbered and len(_stem(part)) < _SHORTEST:  # 2_1.jpeg is not of 1.jpeg
                    continue
                if part != text and at + part in self.keys:
                    return text.replace(part, "{key}", 1)
                if at + part in self.stems:
                    return text.replace(part, "{stem}", 1)
        for part in _parts(PurePosixPath(key).name):
            if len(part) >= _DISTINCT and self.names[part] == 1:
                return key.replace(part, "{name}", 1)
        return ""

    def around(self, keys: Iterable[str]) -> set[str]:
        """Of keys without a row, those that are a part of a key that a row names: originals."""
        sought: dict[str, list[str]] = {}
        for key in keys:
            if len(PurePosixPath(_stem(key)).name) >= _SHORTEST:
                sought.setdefault(_stem(key), []).append(key)
        found: set[str] = set()
        for stem in self.stems if sought else ():
            folder, name = _split(stem)
            parts = {*_ends(stem), *(folder + part for part in _ends(name))}
            found |= parts & sought.keys()
        return {key for stem in found for key in sought[stem]}


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\{key\}|\{stem\}|\{name\}|\*)", pattern)
    said = [_PLACES.get(part) or ("[^/]*" if part == "*" else re.escape(part)) for part in parts]
    for at, part in enumerate(parts):
        if part in _PLACES and part in parts[:at]:  # the same again
            said[at] = f"(?P={part[1:-1]})"
    return re.compile("".join(said))


def _tails(key: str) -> Iterator[tuple[str, str]]:
    """What of a key is below each of its folders, and that folder; the whole key first."""
    parts = key.split("/")
    for at in range(len(parts)):
        yield "/".join(parts[at:]), "".join(f"{part}/" for part in parts[:at])


def _split(key: str) -> tuple[str, str]:
    folder, slash, name = key.rpartition("/")
    return folder + slash, name


def _stem(key: str) -> str:
    folder, name = _split(key)
    return folder + (name.rpartition(".")[0] or name)


def _parts(text: str) -> Iterator[str]:
    """The text's parts between two of its separators, the longest first; itself among them."""
    cuts = [(0, 0), *((m.start(), m.end()) for m in _BETWEEN.finditer(text)), (len(text),) * 2]
    spans = {(a[1], b[0]) for at, a in enumerate(cuts) for b in cuts[at + 1 :] if a[1] < b[0]}
    for start, end in sorted(spans, key=lambda span: (span[0] - span[1], span)):
        yield text[start:end]


def _ends(text: str) -> Iterator[str]:
    """The text without what is before its separators, or after them."""
    for cut in _BETWEEN.finditer(text):
        yield text[: cut.start()]
        yield text[cut.end() :]
