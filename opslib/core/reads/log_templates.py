"""Lines grouped by what they have in common, also where what differs is a word, a name or a path.

After Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017):
by the number of words and the first of them, then by how many words are the same at the same place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

ANY = "<*>"  # what differs
_VARIABLE = re.compile(r"[\d<@/]")
_ALIKE = 0.55  # so much of the words of a template is the same
_MOST, _WORDS = 2_000, 60  # templates, and words of a line that are compared
_FIRST_WORDS = 4  # lines that differ in their first word alone: from so many on it is left open


def templates(texts: Iterable[str]) -> list[str]:
    """Of each text the template of its group, in which what differs is ANY.

    Deterministic; a text that is like no other is its own template.
    """
    leaves: dict[tuple[int, str], list[list[str]]] = {}
    found: dict[str, list[str]] = {}
    texts = list(texts)
    for text in dict.fromkeys(texts):
        words = text.split()[:_WORDS] or [""]
        leaf = leaves.setdefault((len(words), _open(words[0])), [])
        found[text] = _among(leaf, words, full=len(found) >= _MOST)
    made = [words for leaf in leaves.values() for words in leaf]
    ends = Counter(_key(words[1:]) for words in made if words[1:])
    for words in made:
        if ends[_key(words[1:])] >= _FIRST_WORDS:
            words[0] = ANY
    names: dict[str, str] = {}
    shown = {id(words): names.setdefault(_key(words), _joined(words)) for words in made}
    return [shown[id(found[text])] for text in texts]


def _open(word: str) -> str:
    """A word as it is compared: an address, a path, with a number or a mark in it, it is any."""
    return ANY if _VARIABLE.search(word) else word


def _among(leaf: list[list[str]], words: list[str], full: bool) -> list[str]:
    """The template that the words fit best, widened by them; a new one when they fit none."""
    opened = list(map(_open, words))
    same = [sum(_open(a) == b for a, b in zip(each, opened, strict=True)) for each in leaf]
    best = max(range(len(leaf)), key=same.__getitem__, default=-1)
    enough = min(len(words), 1 + (len(words) > 2) * (_ALIKE * len(words) - 1))
    if best < 0 or (same[best] < enough and not full):
        leaf.append(list(words))
        return leaf[-1]
    template = leaf[best]
    template[:] = [a if a == b else ANY for a, b in zip(template, words, strict=True)]
    return template


def _key(words: Iterable[str]) -> str:
    return _joined(map(_open, words))


def _joined(words: Iterable[str]) -> str:
    """The words, of several ANY in a row one."""
    kept: list[str] = []
    for word in words:
        if word != ANY or kept[-1:] != [ANY]:
            kept.append(word)
    return " ".join(kept)
