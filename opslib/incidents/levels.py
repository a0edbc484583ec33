"""The levels of severity of a target, as its file has them."""

import re

from opslib.core import Json, fits, targets, unknown_name

_LETTERS = re.compile(r"^[a-z-]+")
_USUAL = ("1", "2", "3", "4", "5")


def severities(target: str, *place: str) -> Json:
    """What the file says of them; empty where it says nothing. Raises UsageError."""
    return dict(targets.load(target).at("severities", *place))


def level(target: str, said: str) -> str:
    """The level of the target's file that is meant: `P2`, or `2` for it; where the file has none a
    number from 1 to 5. Raises UsageError: no such target, no such level.
    """
    described = severities(target, "levels")
    named = [str(name) for name in described] or list(_USUAL)
    wanted = said.strip().lower()
    for name in named:
        if wanted in (name.lower(), _LETTERS.sub("", name.lower())):
            return name
    raise unknown_name("severity", said, named, f" of {target}")


def fitting(target: str, cause: str) -> str:
    """The worst level of which a rule fits a cause; where none does, the second one of them."""
    described = severities(target, "levels")
    for name, about in described.items():
        if fits(cause, about.get("matches", ())):
            return str(name)
    return str([*(described or _USUAL)][:2][-1])
