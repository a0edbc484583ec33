"""One request to the API, held against the answer that is expected."""

import json
import re
from typing import Any, NamedTuple

import jmespath

from opslib.core import (
    Connection,
    Findings,
    Planned,
    Question,
    Step,
    Unasked,
    UsageError,
    check,
    cut,
    dtypes,
    fits,
    frame,
    names_a_secret,
    planner,
)
from opslib.core.actions.actions import Request
from opslib.core.connections.http import READS, Response
from opslib.health import answers
from opslib.health.health import Probe, probe, silent

HEADERS = dtypes("""
    header str
    value  str
""")
_SHOWN = 4000  # characters of an answer


class Expected(NamedTuple):
    """A request, and what its answer is to be."""

    method: str
    path: str
    statuses: list[str]
    holds: str
    contains: str

    def __str__(self) -> str:
        return " and ".join(filter(None, ("|".join(self.statuses), self.holds, self.contains)))


def expected(path: str, method: str, expect: str, holds: str = "", contains: str = "") -> Expected:
    """`path` is below the API's address, else the key went elsewhere. `expect`: 2xx, or 200,404;
    `holds`: JMESPath that is true of the JSON; `contains`: a text of it. Raises UsageError.
    """
    if not path.startswith("/") or not re.fullmatch(r"([1-5x][\dx]{2}(,|$))+", expect):
        raise UsageError(f"{path!r}, {expect!r}: a path begins with /, a status is 2xx or 200,404.")
    try:
        jmespath.compile(holds or "@")
    except jmespath.exceptions.JMESPathError as exc:
        raise UsageError(f"holds = {holds!r} is no JMESPath: {exc}") from exc
    return Expected(method, path, expect.split(","), holds, contains)


@check("Does the API answer as expected?")
def check_request(ops: Connection, wanted: Expected, auth: bool = True) -> Findings:
    """A request that only reads; `auth`: with the target's key. Evidence: HEADERS.

    Raises Unasked: the method may change something.
    """
    if wanted.method not in READS:
        raise Unasked(f"{wanted.method} may change something: its plan sends it, when approved.")
    return _judged(ops, wanted, probe(ops, wanted.path, wanted.method, auth))


@check("Did the API answer as expected?")
def check_reply(ops: Connection, wanted: Expected) -> Findings:
    """The answer to the request that its plan sent, judged as `check_request` does."""
    return _judged(ops, wanted, Probe(wanted.path, ops.kept(Response)))


@planner
def plan_request(ops: Connection, wanted: Expected, body: str = "", auth: bool = True) -> Planned:
    """Send a request once that may change something. `body`: JSON. Raises UsageError."""
    if wanted.method in READS:
        return Planned(f"send nothing but the {wanted.method} above")
    try:
        sent = json.loads(body) if body.strip() else None
    except ValueError as exc:
        raise UsageError(f"body is no JSON: {exc}. Nothing was sent.") from exc
    do = Request(wanted.method, wanted.path, sent, auth)
    step = Step(f"{wanted.method} {wanted.path}", do)
    return Planned("send a request", [step], ["It is sent once. What it does stays done."])


def _judged(ops: Connection, wanted: Expected, of: Probe) -> Findings:
    limit = float(ops.target["api"].get("slow_seconds", 2))
    words, answer = f"{wanted.method} {wanted.path}", of.answer
    asked = Question(words, f"{wanted}, within {limit:g} s", "HTTP")
    if answer is None:
        return Findings(silent(asked, of, "health/quick"))
    seen = f"{of.seen}: {answers.in_a_line(answer)}"
    if sent_to := answer.headers.get("location"):
        seen += f"; it sends to {sent_to}"
    well = fits(str(answer.status), [each.replace("x", "?") for each in wanted.statuses])
    well = well and wanted.contains in answer.text and _true(wanted.holds or "`true`", answer.body)
    status = "critical" if not well else "warn" if answer.seconds > limit else "ok"
    follow = "logs/throttling" if answer.status == 429 else "logs/search"
    found = asked.answer(status, seen, next=follow * (status != "ok"))
    rows = [(k, "[not shown]" if names_a_secret(k) else v) for k, v in answer.headers.items()]
    return Findings(found, frame(rows, HEADERS), f"It answered: {cut(answer.text, _SHOWN)}")


def _true(holds: str, body: Any) -> bool:
    try:
        return bool(jmespath.search(holds, body))
    except jmespath.exceptions.JMESPathError:  # the body is of another form
        return False
