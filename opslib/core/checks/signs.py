"""Signs: what a text shows, what that means,
and what follows. A table of them is read from above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opslib.core.strict_yaml import beside

_FRAMES = re.compile(  # of Python, with lines of code; of Java, .NET and Node; of PHP and Ruby
    r'^[ \t]+File ".*(?:\n[ \t]+(?!File ").*)*|^[ \t]+(?:at |from |\.\.\. \d).*|^#\d+ .*'
    r"|^\S+:\d+:in .*",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Sign:
    """A text in which `pattern` is found shows `name`.

    Patterns ignore case, and a point is any character.

    `means`: what it says, or who is to blame as a rule. `advice`: what to do. `next`: the procedure
    that does it.
    """

    name: str = ""
    pattern: str = ""
    means: str = ""
    advice: str = ""
    next: str = ""

    def fits(self, text: str) -> bool:
        return re.search(self.pattern, text, re.IGNORECASE | re.DOTALL) is not None


def signs(told: Iterable[Mapping[str, Any]]) -> tuple[Sign, ...]:
    """A table of them, as a YAML beside a module has it: a long pattern as its alternatives."""
    return tuple(Sign(**{**each, "pattern": _joined(each.get("pattern", ""))}) for each in told)


def _joined(pattern: str | Sequence[str]) -> str:
    return pattern if isinstance(pattern, str) else "|".join(pattern)


def sign_of(signs: Iterable[Sign], text: str) -> Sign:
    """The first sign that fits a text; frames of its stack, with names of files, say nothing.

    The last of a table fits every text, or StopIteration is raised.
    """
    text = _FRAMES.sub("", text)
    return next(sign for sign in signs if sign.fits(text))


FAILURES = signs(beside(__file__, "failures"))
