"""Signs: what a text shows, what that means,
and what follows. A table of them is read from above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sign:
    """A text in which `pattern` is found shows `name`.

    Patterns ignore case, and a point is any character.

    `means`: what it says, or who is to blame as a rule. `advice`: what to do. `next`: the procedure
    that does it.
    """

    name: str
    pattern: str
    means: str = ""
    advice: str = ""
    next: str = ""

    def fits(self, text: str) -> bool:
        return re.search(self.pattern, text, re.IGNORECASE | re.DOTALL) is not None


def sign_of(signs: Iterable[Sign], text: str) -> Sign:
    """The first sign that fits a text.

    The last of a table fits every text, or StopIteration is raised.
    """
    return next(sign for sign in signs if sign.fits(text))


# How a job or a dead letter failed, by its error's text.
FAILURES = (
    Sign(
        "images too large",
        r"input is too long|payload too large|request.*too large",
        advice="resize the images first; sent back as they are, they fail again",
        next="jobs/oversized",
    ),
    Sign(
        "throttled",
        r"throttl|too many (requests|tokens)|rate (limit|exceeded)|quota",
        advice="send back slowly, once the throttling has ended",
        next="logs/throttling",
    ),
    Sign(
        "message cannot be read",
        r"json|keyerror|malformed|validation ?error|schema|missing (field|key)|unexpected token",
        advice="sending back does not help; keep the messages, then purge",
        next="queues/purge",
    ),
    Sign(
        "denied",
        r"access ?denied|not authori[sz]ed|forbidden",
        advice="mend the permission, then send back",
        next="functions/configuration",
    ),
    Sign(
        "what it needs is gone",
        r"no ?such ?(key|bucket)|not ?found|does not exist|no longer exists|\b404\b",
        advice="restore what is missing, or purge: the message has nothing to work on",
        next="queues/purge",
    ),
    Sign(
        "timed out",
        r"time[d ]*-?out|deadline|connection (reset|refused|error)|could not connect",
        advice="find what did not answer, then send back",
        next="network/endpoints",
    ),
    Sign(
        "other error",
        r".",
        advice="read the error, mend it, then send back",
        next="logs/search",
    ),
    Sign(
        "no error recorded",
        r"^$",
        advice="look for the message in its worker's logs",
        next="logs/search",
    ),
)
