"""Texts of lines: grouped by what they have in common; words in them that mean trouble.

Grouped also where what differs is a word, a name or a path. After Drain (He et al., "Drain: An
Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017): by the number of words and the first
of them, then by how many words are the same at the same place.

Words of trouble are for lines whose level is not understood. Not where they are negated ("without
errors"), zero ("errors: 0"), part of a name or a path, or of a thing that is about errors ("error
page").
"""

import re
from collections import Counter
from collections.abc import Iterable

from opslib.core.strict_yaml import beside

ANY = "<*>"  # what differs
_VARIABLE = re.compile(r"[\d<@/]")
_ALIKE = 0.55  # so much of the words of a template is the same
_MOST, _WORDS = 2_000, 60  # templates, and words of a line that are compared
_FIRST_WORDS = 4  # lines that differ in their first word alone: from so many on it is left open
_LONGEST = 4_000  # characters of a line that are looked at
NOUN = re.compile(
    r"[\s_-]+(?:codes?|counts?|rates?|budgets?|handl\w+|pages?|logs?|messages?|reports?|levels?"
    r"|thresholds?|totals?|types?|tracking|boundar\w+|metrics?|free|ratio|percent\w*)\b",
    re.I,
)
_TROUBLES = (
    r"(?:errors?|exceptions?|fail(?:s|ed|ures?|ing)?|fatal|panic(?:ked)?|crash(?:e[sd])?|timeouts?"
    r"|abort(?:ed)?|time[sd]?[ -]?out)"
)
_HARMLESS = re.compile(
    rf"\b(?:no|not|0|zero|without|any|non|never|if|ignor\w+|handled|recover\w*|expected"
    rf"|suppress\w*|clear\w*|resolved|fixed|un)[ -]+(?:\w+[ -]+)?{_TROUBLES}\b"
    rf"|\b{_TROUBLES}(?:[ _-]?\w+)?[\"']?\s*[=:]\s*[\"']?"
    r"(?:0+\b(?!\.\d*[1-9])|none|null|nil|no\b(?!\s*\w)|false|\[\]|\{\}|\"\"|'')"
    rf"|\b{_TROUBLES}=(?:\s|$)"
    rf"|\b{_TROUBLES}{NOUN.pattern}(?!\s*=\s*[1-9])"
    rf"|\bsucce\w+ after (?:\w+ )?{_TROUBLES}\b|\bGC\b.*?\(?Allocation Failure\)?",
    re.I,
)
_MEANT, _SAID, _ANSWERED = map("|".join, beside(__file__, "log_texts").values())
_TROUBLE_SAID = re.compile(rf"(?<![\w/.$-])(?:{_MEANT})(?![\w/=-]|\.\w)|{_SAID}", re.I)
ANSWERED = re.compile(_ANSWERED, re.I)


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


def trouble(text: str) -> bool | None:
    """Whether such words are in a text; False where they are denied there, None where none is."""
    left, times = _HARMLESS.subn(" ", text[:_LONGEST])
    return True if _TROUBLE_SAID.search(left) else False if times else None
