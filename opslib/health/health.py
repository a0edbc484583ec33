"""Health of a system as its own HTTP API tells it.

The probes, and the deep check with what it depends on.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    found = [_probed(of, proves[path], _slow_seconds(ops)) for path, of in probes.items()]
    return Findings(found, frame(rows, PROBES))


def _probed(probe: Probe, proves: str, limit: float) -> Finding:
    """One probe's finding.

    No answer, HTML, 404 and slowness are told apart; an error status names no cause.
    """
    asked = Question(f"{probe.path}: {proves}", "2xx", f"GET {probe.path}")
    if wrong := _not_ours(probe, asked):
        return wrong
    answer = probe.answer
    assert answer is not None
    seen = f"{answer.status} in {answer.seconds:.2f} s"
    if not answer.ok:
        seen += f": {answers.in_a_line(answer)}"
        return asked.answer("critical", seen, next="health/deep")
    return _slow(asked, answer, limit) or asked.answer("ok", seen, rule=f"2xx within {limit:g} s")


def _slow(asked: Question, answer: Response, limit: float) -> Finding | None:
    """A finding when an answer took too long."""
    if answer.seconds <= limit:
        return None
    seen, rule = f"{answer.status} in {answer.seconds:.2f} s", f"within {limit:g} s"
    return asked.answer("warn", seen, rule=rule, cause="api-slow", next="metrics/dashboard")


def _silent(probe: Probe, asked: Question) -> Finding:
    cause, follows = "api-unreachable", "logs/search"
    if probe.connected:
        cause, follows = "api-slow", "metrics/dashboard"
    asked = Question(asked.words, "an answer", f"GET {probe.path}")
    return asked.answer("unknown", str(probe.silence), cause=cause, next=follows)


def _not_ours(probe: Probe, asked: Question) -> Finding | None:
    """A finding when there is no answer, or when what answered is not the API.

    HTML, or nothing at that path.
    """
    answer = probe.answer
    if answer is None:
        return _silent(probe, asked)
    asked = Question(asked.words, "2xx", answer.url)
    if answers.is_html(answer):
        seen = f"{answer.status} with a page of HTML: {answers.in_a_line(answer)}"
        return asked.answer("critical", seen, rule="JSON", cause="api-html", next="logs/search")
    if answer.status == 404:
        seen = "404: nothing at that path"
        return asked.answer("critical", seen, cause="api-404", next="logs/search")
    return None


def _slow_seconds(ops: Connection) -> float:
    return float(ops.target["api"].get("slow_seconds", 2))


@check("Are its dependencies healthy?")
def check_dependencies(ops: Connection) -> Findings:
    """Ask the deep check (`api.deep`), whatever shape it answers in. Evidence: DEPENDENCIES.

    `skipped` is not a failure. No answer in time is told apart from an API that does not answer at
    all, by a probe.
    """
    path = ops.target["api"]["deep"]
    deep, asked = probe(ops, path), Question(f"{path}: all dependencies", "2xx", f"GET {path}")
    if deep.answer is None:
        return Findings([_hanging(ops, deep, asked)], frame((), DEPENDENCIES))
    if wrong := _not_ours(deep, asked):
        return Findings([wrong], frame((), DEPENDENCIES))
    rows = list(answers.dependencies(deep.answer.body))
    overall = _overall(asked, deep.answer, rows, _slow_seconds(ops))
    return Findings(
        [overall, *(_dependency(row, asked.source) for row in rows)], frame(rows, DEPENDENCIES)
    )


def _hanging(ops: Connection, deep: Probe, asked: Question) -> Finding:
    """No answer from the deep check.

    A probe says whether the whole API is silent, or only what the check waits for.
    """
    probes = ops.target["api"].get("probes")
    alive = probe(ops, next(iter(probes))) if probes else deep
    if alive.answer is None or not alive.answer.ok:
        return _silent(deep if alive.answer else alive, asked)
    seen = f"{deep.silence} But {alive.path} answers in {alive.answer.seconds:.2f} s: "
    seen += "a dependency does not answer."
    return asked.answer("critical", seen, rule="an answer", next="network/endpoints")


def _overall(asked: Question, answer: Response, rows: list[Json], limit: float) -> Finding:
    """What the answer as a whole says."""
    failed = {row["dependency"]: row["reason"] for row in rows if row["status"] == "failed"}
    seen = f"{answer.status} in {answer.seconds:.2f} s"
    if not rows:
        seen += f", and names no dependency: {answers.in_a_line(answer)}"
        status = "unknown" if answer.ok else "critical"
        return asked.answer(status, seen, rule="", next="network/endpoints")
    if failed:
        seen += f": {', '.join(failed)} failed"
        follows = answers.follows(*next(iter(failed.items())))
        return asked.answer("critical", seen, rule="none failed", next=follows)
    if not answer.ok:
        return asked.answer("critical", f"{seen}, though no dependency failed", next="logs/search")
    seen += f": {count(len(rows), 'dependency')}, none failed"
    return _slow(asked, answer, limit) or asked.answer("ok", seen, rule="none failed")


_STATUS = {
    "ok": "ok",
    "skipped": "ok",
    "degraded": "warn",
    "failed": "critical",
    "unclear": "unknown",
}


def _dependency(row: Json, source: str) -> Finding:
    asked = Question(f"dependency {row['dependency']}", "not failed", source)
    seen = row["status"]
    if row["latency_ms"] is not None:
        seen += f" in {row['latency_ms']:.0f} ms"
    if row["reason"]:
        seen += f": {row['reason']}"
    status = _STATUS[row["status"]]
    follows = answers.follows(row["dependency"], row["reason"])
    return asked.answer(status, seen, next="" if status == "ok" else follows)
