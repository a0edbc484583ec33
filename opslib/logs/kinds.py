"""Kinds of trouble in log lines, by what they say; and what follows from each.

The order decides: a line is of the first kind whose pattern is in it. "Connection timed out" is
about the connection, since more time would not help; "statement timeout" is about time; "Invalid
connection string" is about the connection again. What fits nothing is `other`: an exception of the
code, more often than not.
"""

from __future__ import annotations

import re

from opslib.core import Sign, sign_of
from opslib.core.reads.log_levels import ANSWERED, LONGEST, STATUS, flat, read, structured

VALIDATION, OTHER = "validation", "other"
START, CRASH, ANSWERS = "start", "crash", "answers 5xx"
BY_VERSIONS = (OTHER, VALIDATION, START, CRASH)  # what a new version may have brought
_SETTING = re.compile(
    r"(?<![\w.])(?![\w.-]*(?:status|code|errno|error)\b)[a-z_][\w.-]*[\"']?\s*[=:]\s*[\"']?"
    r"(?:\d[\d.]*[a-z]{0,2}|true|false|null)\b(?![\w:./-])",
    re.I,
)


def kind_of(message: str) -> str:
    """The name of the kind that a line is of, by what it says was wrong."""
    return sign_of(KINDS, _essence(message)).name


def _essence(message: str) -> str:
    """What a line says was wrong, without frames of its stack, settings and other numbers by name.

    To be looked through for words: `"timeout_ms": 3000` is no time-out.
    """
    message = message[:LONGEST].strip()
    if document := structured(message):
        fields = dict(flat(document))
        answers = [f"status {value}" for key, value in fields.items() if STATUS.search(key)]
        kinds = [str(value) for key, value in fields.items() if key.endswith("errortype")]
        said = read(message)
        return " ".join([said.level, said.text, *kinds, *answers])
    lines = [line for line in message.splitlines() if line.strip() and not line[0].isspace()]
    return _SETTING.sub(" ", "\n".join(lines) or message)


# `advice`: what is done about it. `next`: where that is.
KINDS = (
    Sign(
        "memory",
        r"signal: killed|out ?of ?memory|OutOfMemory|heap (?:limit|space)|MemoryError"
        r"|allowed memory size|cannot allocate memory|oom[- ]?kill|exit(?:ed)?\W.{0,12}\b137\b"
        r"|^killed$",
        "the runtime took more memory than it has, and was killed",
        "give it more memory; see whether a version or larger inputs took it",
        "functions/scale",
    ),
    Sign(
        START,
        r"Runtime\.(?:ImportModule|HandlerNotFound|UserCodeSyntax|Invalid|MalformedHandler|NoSuch)"
        r"|no module named|cannot find (?:module|package)|ClassNotFound|NoClassDefFound"
        r"|unable to import",
        "code that cannot start: something is not in its package",
        "go back to the version that could",
        "functions/rollback",
    ),
    Sign(
        "connection",
        r"connection(?: \w+){0,2} "
        r"(?:failed|refused|reset|closed|terminated|lost|aborted|timed? ?out)"
        r"|connect(?:ion)? ?timeout"
        r"|(?:could not|cannot|can't|failed to|unable to) connect|connecting to [^\n]* failed"
        r"|remaining connection slots|too many (?:clients|connections)"
        r"|connection (?:pool|limit|string)"
        r"|server closed the connection|no route to host|network (?:is )?unreachable|broken pipe"
        r"|(?:name|host) [^\n]*not (?:known|resolve)|getaddrinfo|no such host|unknown ?host"
        r"|\bdns\b|name resolution|certificate (?:verify failed|has expired)|x509:"
        r"|E(?:CONN(?:REFUSED|RESET|ABORTED)|TIMEDOUT|HOSTUNREACH|PIPE|NOTFOUND|AI_AGAIN)\b"
        r"|not currently accepting connections"
        r"|the database system is (?:starting up|shutting down)|password authentication failed",
        "something that it needs cannot be reached, or takes no more callers",
        "see whether what it names is up (a database: its status, connections and CPU), then the "
        "way there: name, groups, certificate. A rollback helps only if a version opened more",
        "databases/health",
    ),
    Sign(
        "used up",
        r"ServiceQuotaExceeded|insufficient.quota|payment required|billing (?:hard )?limit"
        r"|exceeded (?:your|the) (?:\w+ ){0,3}(?:limit|quota|credits|budget)",
        "what it may use in a day or a month is used up, or not paid for",
        "waiting does not help: raise the quota or the plan, or use less",
        "logs/search",
    ),
    Sign(
        "throttling",
        r"throttl|too ?many ?requests|rate[ -]?(?:limit|exceeded)|quota exceeded|blocked page"
        r"|slow ?down|throughput ?exceeded|request ?limit ?exceeded|concurrent ?invocation"
        r"|\b(?:status|http|code|answered)\W{0,3}429\b",
        "a service that takes no more requests from us for now",
        "ask for less at once, and let the retries work; it passes by itself, "
        "or the quota is raised",
        "logs/throttling",
    ),
    Sign(
        "key refused",
        r"\b401 client error|(?:invalid|incorrect) (?:api|access|authentication) (?:key|token)"
        r"|(?:api|access)[ _]?key\b.{0,40}(?:invalid|incorrect|expired|revoked|inactive)"
        r"|InvalidClientTokenId|UnrecognizedClient|unable to locate credentials|NoCredentials"
        r"|InvalidSignature|RequestTimeTooSkewed|signature (?:expired|does not match)",
        "a key, a login or a signature of its own that is refused",
        "see whether its secret was changed, and whether what runs holds the present one; then ask "
        "who issued it. A signature that expired at once: its clock is wrong",
        "secrets/rotate",
    ),
    Sign(
        "denied",
        r"access ?denied|not authori[sz]ed|unauthori[sz]ed ?operation|permission denied"
        r"|(?:expired|invalid ?client|unrecognized ?client) ?token|security token .{0,40}(?:expired"
        r"|invalid)|\bstatus\W{0,3}403\b",
        "something that it may not do, or does not log in to",
        "see what role and settings it has, and what changed in them",
        "functions/configuration",
    ),
    Sign(
        "schema",
        r"(?:column|relation|table) \S+ does not exist|undefined ?(?:column|table)|no such table"
        r"|unknown column|doesn't exist",
        "code and database that do not fit each other",
        "see whether a migration is pending or went half-way",
        "databases/migrate",
    ),
    Sign(
        "not there",
        r"NoSuch(?:Key|Bucket)|ResourceNotFound|resource not found|\b404 client error"
        r"|reached the end of its life|(?:model|endpoint|bucket|queue|secret)\b.{0,40}"
        r"(?:not (?:be )?found|does not exist|no longer|deprecated)",
        "something that it names is not there: deleted, renamed, ended, or of another environment",
        "compare the names in its settings with what is there, and see what was changed",
        "changes/configuration",
    ),
    Sign(
        "full",
        r"no space left|ENOSPC|too many open files|\bEMFILE\b|disk (?:is )?full|disk quota"
        r"|read-only file ?system",
        "its disk is full, or all the files that it may open are open",
        "start it anew for now; then find what is left behind there: uploads, temporary files",
        "logs/search",
    ),
    Sign(
        "timeout",
        r"timed? ?-?out|status:? timeout|deadline exceeded|canceling statement due to"
        r"|took (?:more|longer) than",
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
        "requests that are refused as they are",
        "find who sends them, and tell them what is refused. When all clients are hit, "
        "what is accepted has changed here",
        "logs/search",
    ),
    Sign(
        CRASH,
        r"Runtime\.?(?: exited|ExitError)|\bpanic(?:ked)?\b|segmentation|segfault|SIG(?:SEGV|ABRT)"
        r"|core dumped|Extension\.\w|exited (?:before|with)|goroutine|exit status \d",
        "the runtime itself ended in the middle of its work",
        "the lines before its end say why",
        "logs/search",
    ),
    Sign(
        ANSWERS,
        ANSWERED.pattern + r"|\bstatus 5\d\d\b|bad gateway|(?:service|temporarily) unavailable"
        r"|internal server error",
        "requests that were answered as failed",
        "see which routes, and what the same requests logged; without a line of their own, what "
        "they need did not answer",
        "health/deep",
    ),
    Sign(
        OTHER,
        "",
        "an error of the code itself, or one that these patterns do not know",
        "no version stands out, so read the lines around the first one: what changed then?",
        "functions/rollback",
    ),
)
