"""The words in which systems say how they are: as a value, in a sentence, as a value's name."""

import re
from collections.abc import Iterable, KeysView
from typing import Any, NamedTuple

from opslib.core import beside
from opslib.core.reads.log_texts import trouble

TABLE = beside(__file__, "words")
RANK, FINDING, SAYS, _TURNED = TABLE["statuses"].values()
_STATUS: dict[str, str] = {
    word: status for status, words in TABLE["values"].items() for word in words.split()
}


def sets(part: str) -> Iterable[KeysView[str]]:
    """The words of each kind of a part of words.yaml, both in its order."""
    return (dict.fromkeys(words.split()).keys() for words in TABLE[part].values())


_NOT, _ALONE, _BEFORE, _AFTER, _HISTORY, _NOUNS, _SWITCHES, _VALUES, _COUNTED = sets("particles")
_DATA = re.compile(
    r"[\W\d]+|[\d.:]+ ?[a-z%]{1,7}|(?:\w+ ){0,2}\D?\w*[^\d.]?\d+(?:\.\d+){1,2}(?![.\d]).*"
    r"|[\d-]+T[\d:.]+\S*|\w+://\S+|[0-9a-f-]{7,}|\w+/\w+|[\w-]+(?:\.[\w-]+)+(?::\d+)?"
)
_SENTENCE = 20  # words, at most


class Meaning(NamedTuple):
    """What the name of a value means when it is true, and of which part."""

    status: str
    of: str = ""
    role: str = "data"  # of what it holds


def snake(name: str) -> str:
    """`isReady`, `is-ready` and `Is ready` are `is_ready`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name))
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def is_word(value: Any) -> bool:
    """Does it say how something is, and no more?"""
    return isinstance(value, bool) or snake(value) in _STATUS


def is_data(value: Any) -> bool:
    """A number, a version, a time, an address: nothing that speaks of health."""
    return isinstance(value, str) and _DATA.fullmatch(value.strip()) is not None


def status(value: Any, sentence: bool = True) -> str:
    """ok, skipped, degraded or failed; nothing when it is not understood.

    `sentence`: words anywhere in it count, else only the first before a colon.
    """
    if isinstance(value, bool):
        return "ok" if value else "failed"
    if isinstance(value, int):  # a status of HTTP's
        return ("" if value < 100 else "ok") if value < 400 else "failed" if value < 600 else ""
    if not isinstance(value, str):
        return ""
    if told := _STATUS.get(snake(value)):
        return told
    first = re.split(r"[:(]| [-–] ", value, maxsplit=1)[0]  # "error: connection refused"
    if (told := _STATUS.get(snake(first), "")) not in ("", "ok"):
        return told
    if not sentence:
        return ""
    told = _of_sentence(value) or _of_sentence(first)
    return "failed" if told in ("", "ok") and trouble(value) else told


def _of_sentence(text: str) -> str:
    """The worst word of it. It is well when it begins or ends so."""
    said = re.findall(r"[a-z0-9]+", text.lower())
    if len(said) > _SENTENCE:
        return ""
    found = dict[int, str]()
    for place, word in enumerate(said):
        pair = "_".join(said[place - 1 : place + 1])
        told = _STATUS.get(pair, _STATUS.get(word))
        if told and word not in _ALONE:
            negated = _NOT & set(said[max(0, place - 2) : place])
            found[place] = _TURNED.get(told, told) if negated else told
            if negated and found[place] == "ok":
                found[0] = found.get(0, "ok")
    for worst in ("failed", "degraded", "skipped"):
        if worst in found.values():
            return worst
    return "ok" if {0, len(said) - 1} & found.keys() else ""


def meaning(name: str) -> Meaning | None:
    """Of the name of a value in snake case: `is_ready`, `db_error`, `failed_checks`, `not_ready`.

    None when it says nothing of health, or of what was once (`last_error`).
    """
    parts = name.split("_")
    if of_the_past(name):
        return None
    if len(parts) > 1 and parts[-1] in _NOUNS:
        told = _STATUS.get("_".join(parts[:-1]))
        return Meaning(told, role="part") if told else None
    if parts[0] in _BEFORE:
        parts = parts[1:]
    if len(parts) > 1 and parts[-1] in _AFTER and "_".join(parts[:-1]) in _STATUS:
        parts = parts[:-1]
    elif len(parts) > 1 and parts[-1] in ("status", "state", "health"):
        return Meaning("said", "_".join(parts[:-1]))
    for size in (3, 2, 1):
        name = "_".join(parts[-size:]) if len(parts) >= size else ""
        told = None if name in _VALUES else _STATUS.get(name)
        if (told and told != "skipped") or (told and len(parts) == size):
            rest = parts[: len(parts) - size]
            if rest and rest[-1] in _NOT:
                told, rest = _TURNED[told], rest[:-1]
            return Meaning(told, "_".join(rest))
    return None


def of_the_past(name: str) -> bool:
    """Is it of what was once (`last_error`), or of what may be (`max_failures`)?"""
    return name.split("_")[0] in _HISTORY


def judged(meant: str, value: Any, name: str) -> str:
    """What a value says under a name of that meaning; nothing where it is only a number or data."""
    if meant == "said":
        return status(value) or "unclear"
    if isinstance(value, bool):
        return meant if value else _TURNED.get(meant, "")
    if isinstance(value, (int, float)):
        if name in _SWITCHES and value in (0, 1):
            return meant if value else "failed"
        return "degraded" if name in _COUNTED and value else ""
    if not value:  # null, "", [], {}
        return "unclear" if meant == "ok" else "ok" if meant != "skipped" else ""
    if isinstance(value, str):
        told = status(value)
        if meant == "ok":
            return told or ("" if is_data(value) else "unclear")
        if is_data(value):
            return ""
        harmless = snake(value) in ("false", "no", "none", "null", "ok", "0", "off", "n_a")
        return "ok" if harmless else meant
    return meant
