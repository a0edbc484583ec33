"""Kinds of trouble in log lines, by what they say; and what follows from each.

The order decides: a line is of the first kind whose pattern is in it. "Connection timed out" is about the connection,
since more time would not help; "statement timeout" is about time; "Invalid connection string" is about the connection
again. What fits nothing is `other`: an exception of the code, more often than not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

CONNECTION, THROTTLING, TIMEOUT, VALIDATION, OTHER = (
    "connection",
    "throttling",
    "timeout",
    "validation",
    "other",
)


class Kind(NamedTuple):
    """`means`: who or what is to blame as a rule. `resolution`: what is done about it. `next`: where that is."""

    pattern: re.Pattern[str]
    means: str
    resolution: str
    next: str


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


KINDS: dict[str, Kind] = {
    CONNECTION: Kind(
        _any(
            r"connection(?: \w+){0,2} (?:failed|refused|reset|closed|terminated|lost|aborted|timed? ?out)",
            r"connect(?:ion)? ?timeout|(?:could not|cannot|can't|failed to|unable to) connect|connecting to .* failed",
            r"remaining connection slots|too many (?:clients|connections)|connection (?:pool|limit|string)",
            r"server closed the connection|no route to host|network (?:is )?unreachable|broken pipe",
            r"(?:name|host) .*not (?:known|resolve)|getaddrinfo|E(?:CONN(?:REFUSED|RESET|ABORTED)|TIMEDOUT|HOSTUNREACH|PIPE)\b",
            r"not currently accepting connections|the database system is (?:starting up|shutting down)|password authentication failed",
        ),
        "something that the function needs cannot be reached, or takes no more callers",
        "look at the database's status, its connections and its CPU, then at the way there. A rollback helps only if a "
        "version opened more connections",
        "databases/health",
    ),
    THROTTLING: Kind(
        _any(
            r"throttl",
            r"too many requests",
            r"rate[ -]?(?:limit|exceeded)",
            r"quota exceeded",
            r"blocked page",
            r"\b(?:status|http|code|answered)\W{0,3}429\b",
        ),
        "a service that takes no more requests from us for now",
        "ask for less at once, and let the retries work; it passes by itself, or the quota is raised",
        "logs/throttling",
    ),
    TIMEOUT: Kind(
        _any(
            r"timed? ?-?out",
            r"deadline exceeded",
            r"canceling statement due to",
            r"took (?:more|longer) than",
        ),
        "work that takes longer than it may",
        "see what the requests wait for: a database that is slow, a start that is cold, or a time-out that is too low",
        "functions/latency",
    ),
    VALIDATION: Kind(
        _any(
            r"validation",
            r"\bmalformed\b",
            r"missing (?:required )?(?:field|parameter|property|header|key)",
            r"\binvalid (?:\w+ )?(?:request|input|body|payload|json|parameter|field|value|argument|type|format|id)\b|is (?:invalid|not valid)",
            r"(?:field|parameter|property|header) .*(?:required|missing)",
            r"JSONDecodeError|SyntaxError.* JSON|not (?:valid )?JSON",
            r"unprocessable|bad request",
            r"does not match (?:the )?schema",
        ),
        "requests that the function refuses as they are",
        "find who sends them, and tell them what is refused. When all clients are hit, what is accepted has changed here",
        "logs/search",
    ),
    OTHER: Kind(
        re.compile(""),
        "an error of the code itself, or one that these patterns do not know",
        "no version stands out, so read the lines around the first one: what changed then?",
        "functions/rollback",
    ),
}


def kind(message: str) -> str:
    """Which kind of trouble a line tells of."""
    return next(name for name, rule in KINDS.items() if rule.pattern.search(message))
