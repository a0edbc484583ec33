"""Tokens that are signed with a secret: does the API take one of the present value, and none of
the value before; and how many sessions end when it is another.

JSON Web Tokens with HS256 (RFC 7519): signed here for a minute, masked, and never shown.
"""

import base64
import hashlib
import hmac
import json

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    OpsError,
    Question,
    ask,
    check,
    count,
    decoded,
)
from opslib.core.actions.logins import CURRENT, version_of
from opslib.core.plans.stages import PREVIOUS
from opslib.core.reads.stores.caches import find
from opslib.core.redaction import register

TAKEN = "token-of-before-taken"
_SECONDS = 60


@check("Does the API take a token of the present value, and none of the value before?")
def check_tokens(ops: Connection, secret: str) -> Findings:
    """Each of `tokens.paths` is asked with no token, one of the present value, one of before.

    A path that answers without a token proves nothing. Nothing is asked where the target's file
    says of no tokens that this secret signs.
    """
    facts = ops.target.at("tokens")
    if facts.get("secret") != secret:
        return Findings(note=f"The target's file describes no tokens that {secret} signs.")
    values = {stage: _value(ops, facts, stage) for stage in (CURRENT, PREVIOUS)}
    return Findings(each for path in facts["paths"] for each in _asked(ops, facts, path, values))


def _value(ops: Connection, facts: Json, stage: str) -> str:
    """Empty where there is no such version."""
    try:
        text = version_of(ops, facts["secret"], stage)
    except NotFound:
        return ""
    return str(decoded(text, {})[facts["field"]]) if "field" in facts else text


def _asked(ops: Connection, facts: Json, path: str, values: dict[str, str]) -> list[Finding]:
    open_to_all = _status(ops, facts, path, "")
    asked = Question(f"GET {path} without a token", "401", "HTTP")
    if open_to_all != 401:
        seen = f"{open_to_all}: whether a token is looked at cannot be seen there"
        return [asked.unknown(seen)]
    found = [asked.ok("401")]
    for stage, wanted in ((CURRENT, True), (PREVIOUS, False)):
        if not values[stage]:
            continue
        which = "the present value" if wanted else "the value before"
        asked = Question(f"GET {path}, token of {which}", "taken" if wanted else "401", "HTTP")
        found.append(_judged(asked, _status(ops, facts, path, values[stage]), wanted))
    return found


def _judged(asked: Question, status: int, wanted: bool) -> Finding:
    if status != 401 and not 200 <= status < 300:
        return asked.unknown(f"{status}: neither taken nor refused")
    taken = status != 401
    seen = f"{status}: it is {'taken' if taken else 'refused'}"
    if taken != wanted:
        seen += ". Tasks run with another value: start them anew"
    cause = "" if wanted else TAKEN
    return asked.judged(taken == wanted, seen, cause=cause, next="secrets/rotate")


def _status(ops: Connection, facts: Json, path: str, value: str) -> int:
    header = str(facts.get("header", "Authorization"))
    scheme = "Bearer " if header == "Authorization" else ""
    sent = {header: scheme + _signed(ops, facts, value)} if value else {}
    return ops.http("GET", path, auth=sent).status


def _signed(ops: Connection, facts: Json, value: str) -> str:
    now = int(ops.now().timestamp())
    claims = {**facts.get("claims", {}), "iat": now, "exp": now + _SECONDS}
    parts = b".".join(
        _base64(json.dumps(each, separators=(",", ":")).encode())
        for each in ({"alg": "HS256", "typ": "JWT"}, claims)
    )
    made = hmac.new(value.encode(), parts, hashlib.sha256).digest()
    token = f"{parts.decode()}.{_base64(made).decode()}"
    register(token, f"a token that {facts['secret']} signs")
    return token


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def sessions_told(ops: Connection, secret: str) -> list[str]:
    """Of a secret that signs tokens: how many sessions end, in a sentence for the plan."""
    facts = ops.target.at("tokens")
    if facts.get("secret") != secret:
        return []
    try:
        number, whole = _sessions(ops, facts.get("sessions", {}))
    except OpsError as exc:
        return [f"Every session ends. How many could not be counted: {exc}"]
    if number is None:
        return ["Every session ends. How many: tokens.sessions of the target's file does not say."]
    more = "" if whole else " and more"
    return [f"{count(number, 'session')}{more} end: who is signed in has to sign in again."]


def _sessions(ops: Connection, where: Json) -> tuple[int | None, bool]:
    if kind := where.get("keys"):
        names, whole = find(ops, str(ops.target["cache"]["keys"][kind]["pattern"]))
        return len(names), whole
    if query := where.get("query"):
        sql = str(ops.target["database"]["queries"][query]["sql"]).strip().rstrip(";")
        return int(ask(ops, f"SELECT count(*) FROM ({sql}) AS sessions").iloc[0, 0]), True
    return None, True
