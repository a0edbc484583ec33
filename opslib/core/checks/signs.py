"""Signs: what a text shows, what that means,
and what follows. A table of them is read from above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


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


def signs(told: Iterable[Mapping[str, str]]) -> tuple[Sign, ...]:
    """A table of them, as a YAML beside a module has it."""
    return tuple(Sign(**each) for each in told)


def sign_of(signs: Iterable[Sign], text: str) -> Sign:
    """The first sign that fits a text.

    The last of a table fits every text, or StopIteration is raised.
    """
    return next(sign for sign in signs if sign.fits(text))


# How a job or a dead letter failed, by its error's text. What may pass by itself, or when something
# is mended, is looked for before what may be the message's own fault. None of these advises to
# destroy: a text alone does not show that the world will stay as it says.
FAILURES = (
    Sign(
        "images too large",
        r"input is too long|payload too large|request.{0,40}too large",
        advice="resize the images first; sent back as they are, they fail again",
        next="jobs/oversized",
    ),
    Sign(
        "search takes no writes",
        r"cluster_?block|flood.?stage|read-only-allow-delete|es_rejected_execution"
        r"|(master|cluster.?manager)_not_discovered|no_?shard_?available|unavailable_?shards",
        advice="mend the search domain, then send back",
        next="search/health",
    ),
    Sign(
        "code cannot be loaded",
        r"import ?module ?error|no module named|cannot find (module|package)|handler ?not ?found"
        r"|invalid elf|exec format error",
        advice="what was deployed lacks something: roll it back, then send back",
        next="functions/rollback",
    ),
    Sign(
        "no connection free",
        r"queue ?pool|connection pool.{0,40}(exhausted|limit|full)",
        advice="see who holds the connections to the database, then send back",
        next="databases/health",
    ),
    Sign(
        "throttled",
        r"throttl|too many (requests|tokens|connections|clients)|rate ?(limit|exceeded)|quota"
        r"|connection slots"
        r"|slow ?down|throughput ?exceeded|limit ?exceeded|concurrent ?invocation"
        r"|(status|http|code|error)\W{0,12}429\b|\b429 (client|too)",
        advice="send back slowly, once the throttling has ended",
        next="logs/throttling",
    ),
    Sign(
        "denied",
        r"access ?denied|not authori[sz]ed|unauthori[sz]ed|forbidden|permission ?denied"
        r"|no_permissions|authentication (failed|error)|login failed|invalid ?(client ?)?token"
        r"|expired ?token|token.{0,20}expired|unrecognized ?client|invalid (api ?key|credential)"
        r"|unable to locate credentials|role .{0,60}does not exist|signature.{0,20}not match"
        r"|(status|http|code|error)\W{0,12}40[13]\b|\b40[13] client",
        advice="mend the permission or the login, then send back",
        next="functions/configuration",
    ),
    Sign(
        "function timed out",
        r"task timed out after|sandbox\.timedout",
        advice="see whether its time-out fits the work, and what it waited for; then send back",
        next="functions/configuration",
    ),
    Sign(
        "timed out",
        r"timed ?-?out|time-?out(?!_|\w*[\"']?\s*[:=]\s*\d)|deadline|deadlock|lock wait"
        r"|connection.{0,60}(reset|refused|closed|aborted|lost|failed|terminated|error|dropped)"
        r"|connect(ion)? ?error|could ?n[o']t (connect|resolve|translate host|serialize)"
        r"|(unable|failed) to (connect|establish|resolve)|serialization failure|max retries"
        r"|\be(notfound|ai_again|conn(refused|reset|aborted)|timedout|hostunreach|netunreach|pipe)"
        r"|getaddrinfo|name (or service not known|resolution)|unreachable|no route to host"
        r"|\bdns\b|hang up|broken pipe|incomplete ?read|remote ?disconnected|ssl|certificate"
        r"|server (has )?(closed|gone|unavailable)|(starting|shutting) (up|down)|terminating"
        r"|obtain lock|lock ?not ?available|not ?available\b"
        r"|(service|temporar\w*|currently) ?-?unavailable|unavailable ?exception|try again"
        r"|bad gateway|internal (server|service|failure|error)|internal ?server ?error"
        r"|internal ?failure|read-?only transaction|recovery mode|maintenance"
        r"|(status|http|code|error)\W{0,12}5\d\d\b|\b5\d\d (server|internal|bad|service|gateway)",
        advice="this may pass: find what did not answer, then send back",
        next="network/endpoints",
    ),
    Sign(
        "schema is another",
        r"(column|relation|table|view|function|operator|type|schema|sequence|index|database)"
        r"\W.{0,120}?(does not|doesn't) exist|undefined ?(column|table|function|object)"
        r"|unknown column|no such (table|column)|invalid object name|has no column",
        advice="see whether a migration is pending or went half-way, then send back",
        next="databases/migrate",
    ),
    Sign(
        "a setting is missing",
        r"keyerror\W{1,4}(?-i:[A-Z][A-Z0-9_]{2,})\b|environ(ment)?\b.{0,20}\bvar|os\.environ"
        r"|process\.env|improperly ?configured|missing (config|setting|secret|env)"
        r"|is not (set|configured)|not been configured",
        advice="see which variable the function lacks, set it, then send back",
        next="functions/configuration",
    ),
    Sign(
        "item cannot be read",
        r"\b(corrupt(ed)?|unreadable|damaged)\b|not a (valid )?(pdf|image|zip|document)"
        r"|cannot (identify|open) (image|file|document)|unsupported (file|image|document|media)"
        r"|password.?protected|encrypted (pdf|document|file)|bad (magic|zip)|no (pdf|file) header",
        advice="sent back as it is, it fails again: have it put there anew, then send back",
        next="logs/search",
    ),
    Sign(
        "message cannot be read",
        r"json ?(decode ?error|parse)|not (valid )?json|invalid json|jsondecode|expecting value"
        r"|unexpected (token|end of)|extra data|unterminated|keyerror|malformed|validation ?error"
        r"|missing (required )?(field|key|propert)|field required|(against|match).{0,20}schema"
        r"|unmarshal|deseriali[sz]|parse ?error",
        advice="see whether the message is at fault, or the code that reads it",
        next="queues/dead-letters",
    ),
    Sign(
        "what it needs is gone",
        r"no ?such ?(key|bucket)|\bnot ?found|resource ?not ?found|does not exist|doesn't exist"
        r"|no longer exists|\b404\b|\bgone\b",
        advice="see whether it is there; restore what is missing, then send back",
        next="queues/dead-letters",
    ),
    Sign(
        "other error",
        r"\S",
        advice="not understood: read the error, mend it, then send back",
        next="logs/search",
    ),
    Sign(
        "no error recorded",
        r"^\s*$",
        advice="look for the message in its worker's logs",
        next="logs/search",
    ),
)
