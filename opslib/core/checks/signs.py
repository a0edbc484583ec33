"""Signs: what a text shows, what that means, and what follows. Sayings: what an answer says of
several things. Tables of them are read from above.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from opslib.core.findings import Finding, Question
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json

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


def sayings(facts: Iterable[Mapping[str, Any]], told: Json) -> Iterator[Finding]:
    """A finding of each fact: the first of what it may say that holds; none, where none holds.

    `when` is JMESPath over what was told, and all words may name parts of it.
    """
    import jmespath

    words = defaultdict[str, Any](lambda: "?", told)
    for fact in facts:
        asked = Question(*(fact[part].format_map(words) for part in ("words", "rule", "source")))
        holds = (says for says in fact["says"] if jmespath.search(says.get("when", "@"), told))
        for says in islice(holds, 1):
            given = {"cause": fact.get("cause", ""), "next": ""} | says
            more = {part: given[part] for part in ("cause", "next")}
            yield asked.answer(says.get("status", "ok"), says["seen"].format_map(words), **more)


FAILURES = signs(beside(__file__, "failures"))
