"""Health of a system as its own HTTP API tells it.

The probes, and the deep check with what it depends on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    Unfinished,
    check,
    count,
    frame,
)
from opslib.core.connections.http import Response
from opslib.health import answers

PROBES = {
    "path": "str",
    "proves": "str",
    "http_status": "Int64",
    "seconds": "float64",
    "answer": "str",
}
DEPENDENCIES = {"dependency": "str", "status": "str", "latency_ms": "float64", "reason": "str"}


@dataclass(frozen=True)
class Probe:
    """A request to the API and what came of it: an answer, or why there is none."""

    path: str
    answer: Response | None
    silence: Unfinished | None = None

    @property
    def connected(self) -> bool:
        """Was anything listening? Also true when it accepted and then did not answer in time."""
        import urllib3

        cause = self.silence.__cause__ if self.silence else None
        return self.answer is not None or isinstance(cause, urllib3.exceptions.ReadTimeoutError)

    @property
    def kept_back(self) -> bool:
        """Did a proxy of ours not let us through? Then its users may well get an answer."""
        import urllib3

        cause = self.silence.__cause__ if self.silence else None
        return isinstance(cause, urllib3.exceptions.ProxyError)

    @property
    def seen(self) -> str:
        """What came of it, in words."""
        told = self.answer
        return f"{told.status} in {told.seconds:.2f} s" if told else str(self.silence)


def probe(ops: Connection, path: str) -> Probe:
    """GET a path of the API, once."""
    try:
        return Probe(path, ops.http("GET", path))
    except Unfinished as exc:
        return Probe(path, None, exc)


@check("Does the API answer?")
def check_probes(ops: Connection) -> Findings:
    """Ask every probe of the target at the same time (`api.probes`: path and what it proves).

    Evidence: PROBES.
    """
    proves = ops.target["api"]["probes"].plain()
    probes = ops.each(partial(probe, ops), proves)
    rows = [
        {
            "path": path,
            "proves": proves[path],
            "http_status": of.answer and of.answer.status,
            "seconds": of.answer and of.answer.seconds,
            "answer": answers.in_a_line(of.answer) if of.answer else str(of.silence),
        }
        for path, of in probes.items()
    ]
    found = [_judged(ops, of, f"{path}: {proves[path]}") for path, of in probes.items()]
    return Findings(found, frame(rows, PROBES))


def _judged(ops: Connection, probe: Probe, words: str, also: str = "") -> Finding:
    """No answer, HTML, 404 and slowness are told apart; an error status names no cause.

    `also`: more of the rule than is judged here.
    """
    limit = float(ops.target["api"].get("slow_seconds", 2))
    asked = Question(words, f"2xx within {limit:g} s{also}", f"GET {probe.path}")
    answer = probe.answer
    if answer is None:
        cause, follows = "api-unreachable", "logs/search"
        if probe.connected:
            cause, follows = "api-slow", "metrics/dashboard"
        # What stands between us and it, a proxy of ours, says nothing of its users.
        status = "unknown" if probe.kept_back else "critical"
        return asked.answer(status, probe.seen, cause=cause, next=follows)
    if answers.is_html(answer):
        seen = f"{answer.status} with a page of HTML: {answers.in_a_line(answer)}"
        return asked.answer("critical", seen, cause="api-html", next="logs/search")
    if answer.status == 404:
        seen = f"404: nothing at {answer.url}"
        return asked.answer("critical", seen, cause="api-404", next="logs/search")
    if not answer.ok:
        seen = f"{probe.seen}: {answers.in_a_line(answer)}"
        return asked.answer("critical", seen, next="health/deep")
    quick = answer.seconds <= limit
    follows = "metrics/dashboard"
    return asked.judged(quick, probe.seen, otherwise="warn", cause="api-slow", next=follows)


@check("Are its dependencies healthy?")
def check_dependencies(ops: Connection) -> Findings:
    """Ask the deep check (`api.deep`), whatever shape it answers in. Evidence: DEPENDENCIES.

    `skipped` is not a failure. No answer in time is told apart from an API that does not answer at
    all, by a probe.
    """
    path = ops.target["api"]["deep"]
    deep, rows = probe(ops, path), list[Json]()
    overall = _judged(ops, deep, f"{path}: all dependencies", ", none failed")
    if deep.answer is None:
        overall = _hanging(ops, deep, overall)
    elif overall.cause not in ("api-html", "api-404"):
        rows = list(answers.dependencies(deep.answer.body))
        overall = _overall(overall, deep, deep.answer, rows)
    found = [overall, *(_dependency(row, overall.source) for row in rows)]
    return Findings(found, frame(rows, DEPENDENCIES))


def _hanging(ops: Connection, deep: Probe, silent: Finding) -> Finding:
    """No answer from the deep check.

    A probe says whether the whole API is silent, or only what the check waits for.
    """
    probes = ops.target["api"].get("probes")
    alive = probe(ops, next(iter(probes))) if probes else deep
    if alive.answer is None or not alive.answer.ok:
        return silent
    seen = f"{deep.silence} But {alive.path} answers ({alive.seen}): a dependency does not answer."
    return replace(silent, status="critical", seen=seen, cause="", next="network/endpoints")


def _overall(judged: Finding, deep: Probe, answer: Response, rows: list[Json]) -> Finding:
    """What the answer as a whole says."""
    failed = {row["dependency"]: row["reason"] for row in rows if row["status"] == "failed"}
    if not rows:
        status = "unknown" if answer.ok else "critical"
        seen = f"{deep.seen}, and names no dependency: {answers.in_a_line(answer)}"
        return replace(judged, status=status, seen=seen, cause="", next="network/endpoints")
    if failed:
        seen = f"{deep.seen}: {', '.join(failed)} failed"
        follows = answers.follows(*next(iter(failed.items())))
        return replace(judged, status="critical", seen=seen, cause="", next=follows)
    if not answer.ok:
        seen = f"{deep.seen}, though no dependency failed"
        return replace(judged, seen=seen, next="logs/search")
    return replace(judged, seen=f"{deep.seen}: {count(len(rows), 'dependency')}, none failed")


_STATUS = {"ok": "ok", "skipped": "ok", "degraded": "warn", "failed": "critical"}


def _dependency(row: Json, source: str) -> Finding:
    asked = Question(f"dependency {row['dependency']}", "not failed", source)
    seen = row["status"]
    if row["latency_ms"] is not None:
        seen += f" in {row['latency_ms']:.0f} ms"
    if row["reason"]:
        seen += f": {row['reason']}"
    status = _STATUS.get(row["status"], "unknown")
    follows = answers.follows(row["dependency"], row["reason"])
    return asked.answer(status, seen, next="" if status == "ok" else follows)
