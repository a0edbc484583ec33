"""What discovery looks for, and what things are usually called: known.yaml, read once."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from opslib.core import beside

_WORDS = re.compile("[^a-z0-9]+")


@cache
def known(*place: str) -> Any:
    """A part of known.yaml."""
    if place:
        return known(*place[:-1])[place[-1]]
    return beside(__file__, "known")


def first(found: Iterable[Any]) -> Any:
    """Of several; an empty text of none."""
    return next(iter(found), "")


def words(name: str) -> list[str]:
    """The words of a name: bluemoxon-staging-api, Bluemoxon/Staging, /aws/lambda/x."""
    return [word for word in _WORDS.split(name.lower()) if word]


def has(name: str, kind: str) -> bool:
    """Whether one of the words of that kind is in a name."""
    return not set(known("words", kind)).isdisjoint(words(name))
