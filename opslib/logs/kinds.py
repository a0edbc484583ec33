"""Kinds of trouble in log lines, by what they say; and what follows from each.

The order decides: a line is of the first kind whose pattern is in it. "Connection timed out" is
about the connection, since more time would not help; "statement timeout" is about time; "Invalid
connection string" is about the connection again. What fits nothing is `other`: an exception of the
code, more often than not.
"""

from __future__ import annotations

from opslib.core import Sign

VALIDATION, OTHER = "validation", "other"

# `advice`: what is done about it. `next`: where that is.
KINDS = (
    Sign(
        "connection",
        r"connection(?: \w+){0,2} "
        r"(?:failed|refused|reset|closed|terminated|lost|aborted|timed? ?out)"
        r"|connect(?:ion)? ?timeout"
        r"|(?:could not|cannot|can't|failed to|unable to) connect|connecting to [^\n]* failed"
        r"|remaining connection slots|too many (?:clients|connections)"
        r"|connection (?:pool|limit|string)"
        r"|server closed the connection|no route to host|network (?:is )?unreachable|broken pipe"
        r"|(?:name|host) [^\n]*not (?:known|resolve)|getaddrinfo"
        r"|E(?:CONN(?:REFUSED|RESET|ABORTED)|TIMEDOUT|HOSTUNREACH|PIPE)\b"
        r"|not currently accepting connections"
        r"|the database system is (?:starting up|shutting down)|password authentication failed",
        "something that the function needs cannot be reached, or takes no more callers",
        "look at the database's status, its connections and its CPU, then at the way there. "
        "A rollback helps only if a version opened more connections",
        "databases/health",
    ),
    Sign(
        "throttling",
        r"throttl|too many requests|rate[ -]?(?:limit|exceeded)|quota exceeded|blocked page"
        r"|\b(?:status|http|code|answered)\W{0,3}429\b",
        "a service that takes no more requests from us for now",
        "ask for less at once, and let the retries work; it passes by itself, "
        "or the quota is raised",
        "logs/throttling",
    ),
    Sign(
        "timeout",
        r"timed? ?-?out|deadline exceeded|canceling statement due to|took (?:more|longer) than",
        "work that takes longer than it may",
        "see what the requests wait for: a database that is slow, a start that is cold, "
        "or a time-out that is too low",
        "functions/latency",
    ),
    Sign(
        VALIDATION,
        r"validation|\bmalformed\b"
        r"|missing (?:required )?(?:field|parameter|property|header|key)"
        r"|\binvalid (?:\w+ )?"
        r"(?:request|input|body|payload|json|parameter|field|value|argument|type|format|id)\b"
        r"|is (?:invalid|not valid)"
        r"|(?:field|parameter|property|header) [^\n]*(?:required|missing)"
        r"|JSONDecodeError|SyntaxError[^\n]* JSON|not (?:valid )?JSON"
        r"|unprocessable|bad request|does not match (?:the )?schema",
        "requests that the function refuses as they are",
        "find who sends them, and tell them what is refused. When all clients are hit, "
        "what is accepted has changed here",
        "logs/search",
    ),
    Sign(
        OTHER,
        "",
        "an error of the code itself, or one that these patterns do not know",
        "no version stands out, so read the lines around the first one: what changed then?",
        "functions/rollback",
    ),
)
