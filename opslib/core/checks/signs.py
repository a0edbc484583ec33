"""TODO."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A kind of failure: what its error says, what to do, and the procedure that does it."""

    name: str
    pattern: str
    advice: str
    next: str


FAILURES = (
    Failure(
        "images too large",
        r"input is too long|payload too large|request.*too large",
        "resize the images first; sent back as they are, they fail again",
        "jobs/oversized",
    ),
    Failure(
        "throttled",
        r"throttl|too many (requests|tokens)|rate (limit|exceeded)|quota",
        "send back slowly, once the throttling has ended",
        "logs/throttling",
    ),
    Failure(
        "message cannot be read",
        r"json|keyerror|malformed|validation ?error|schema|missing (field|key)|unexpected token",
        "sending back does not help; keep the messages, then purge",
        "queues/purge",
    ),
    Failure(
        "denied",
        r"access ?denied|not authori[sz]ed|forbidden",
        "mend the permission, then send back",
        "functions/configuration",
    ),
    Failure(
        "what it needs is gone",
        r"no ?such ?(key|bucket)|not ?found|does not exist|no longer exists|\b404\b",
        "restore what is missing, or purge: the message has nothing to work on",
        "queues/purge",
    ),
    Failure(
        "timed out",
        r"time[d ]*-?out|deadline|connection (reset|refused|error)|could not connect",
        "find what did not answer, then send back",
        "network/endpoints",
    ),
    Failure("other error", r".", "read the error, mend it, then send back", "logs/search"),
    Failure("no error recorded", r"^$", "look for the message in its worker's logs", "logs/search"),
)


def failure_of(error: str) -> Failure:
    """The first kind of failure that an error's text fits."""
    return next(kind for kind in FAILURES if re.search(kind.pattern, error, re.I | re.S))
