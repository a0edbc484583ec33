"""Health of a system as its own HTTP API tells it: the probes, and the deep check with what it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.connections.http import Response
from opslib.core.errors import Unfinished
from opslib.core.findings import Finding, Findings
from opslib.core.tables import frame
from opslib.core.text import count
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
        """Was anything listening? True also when it accepted the connection and then did not answer in time."""
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
    """Ask every probe of the target at the same time (`api.probes`: path and what it proves). Evidence: PROBES."""
    facts = ops.target["api"]["probes"].plain()
    probes = ops.gather(*(lambda path=path: probe(ops, path) for path in facts))
    rows = [
        {
            "path": p.path,
            "proves": facts[p.path],
            "http_status": p.answer.status if p.answer else None,
            "seconds": p.answer.seconds if p.answer else None,
            "answer": answers.said(p.answer) if p.answer else str(p.silence),
        }
        for p in probes
    ]
    return Findings([_probed(ops, p, facts[p.path]) for p in probes], frame(rows, PROBES))


def _probed(ops: Connection, probe: Probe, proves: str) -> Finding:
    """One probe's finding. No answer, HTML, 404 and slowness are told apart; an error status names no cause."""
    question, source, limit = f"{probe.path}: {proves}", f"GET {probe.path}", _slow_seconds(ops)
    answer = probe.answer
    if answer is None:
        return _silent(probe, question)
    wrong = _not_ours(answer, question)
    if wrong:
        return wrong
    seen = f"{answer.status} in {answer.seconds:.2f} s"
    if not answer.ok:
        said = answers.said(answer)
        return Finding("critical", question, f"{seen}: {said}", "2xx", source, next="health/deep")
    if answer.seconds > limit:
        return Finding(
            "warn", question, seen, f"within {limit:g} s", source, "api-slow", "metrics/dashboard"
        )
    return Finding("ok", question, seen, f"2xx within {limit:g} s", source)


def _silent(probe: Probe, question: str) -> Finding:
    cause = "api-slow" if probe.connected else "api-unreachable"
    follows = "metrics/dashboard" if probe.connected else "logs/search"
    return Finding(
        "unknown", question, str(probe.silence), "an answer", f"GET {probe.path}", cause, follows
    )


def _not_ours(answer: Response, question: str) -> Finding | None:
    """A finding when what answered is not the API: a page of HTML, or nothing at that path."""
    source = answer.url
    if answers.is_html(answer):
        seen = f"{answer.status} with a page of HTML: {answers.said(answer)}"
        return Finding("critical", question, seen, "JSON", source, "api-html", "logs/search")
    if answer.status == 404:
        return Finding(
            "critical",
            question,
            "404: nothing at that path",
            "2xx",
            source,
            "api-404",
            "logs/search",
        )
    return None


def _slow_seconds(ops: Connection) -> float:
    return float(ops.target["api"].get("slow_seconds", 2))


@check("Are its dependencies healthy?")
def check_dependencies(ops: Connection) -> Findings:
    """Ask the deep check (`api.deep`), whatever shape it answers in. Evidence: DEPENDENCIES.

    `skipped` is not a failure. No answer in time is told apart from an API that does not answer at all, by a probe.
    """
    path = ops.target["api"]["deep"]
    question = f"{path}: all dependencies"
    deep = probe(ops, path)
    if deep.answer is None:
        return Findings([_hanging(ops, deep, question)], frame((), DEPENDENCIES))
    wrong = _not_ours(deep.answer, question)
    if wrong:
        return Findings([wrong], frame((), DEPENDENCIES))
    rows = list(answers.dependencies(deep.answer.body))
    found = [*_overall(ops, deep.answer, rows, question), *(_dependency(row, path) for row in rows)]
    return Findings(
        found, frame((row | {"latency_ms": row["latency_ms"]} for row in rows), DEPENDENCIES)
    )


def _hanging(ops: Connection, deep: Probe, question: str) -> Finding:
    """No answer from the deep check. A probe says whether the whole API is silent, or only what the check waits for."""
    probes = ops.target["api"].get("probes", {})
    alive = probe(ops, next(iter(probes))) if probes else deep
    if alive.answer is None or not alive.answer.ok:
        return _silent(alive if alive.answer is None else deep, question)
    seen = f"{deep.silence} But {alive.path} answers in {alive.answer.seconds:.2f} s: a dependency does not answer."
    return Finding(
        "critical", question, seen, "an answer", f"GET {deep.path}", next="network/endpoints"
    )


def _overall(
    ops: Connection, answer: Response, rows: list[dict[str, Any]], question: str
) -> Iterator[Finding]:
    failed = [row["dependency"] for row in rows if row["status"] == "failed"]
    seen = f"{answer.status} in {answer.seconds:.2f} s"
    limit, source = _slow_seconds(ops), f"GET {ops.target['api']['deep']}"
    if not rows:
        said = answers.said(answer)
        status = "unknown" if answer.ok else "critical"
        yield Finding(
            status,
            question,
            f"{seen}, and names no dependency: {said}",
            "",
            source,
            next="network/endpoints",
        )
    elif failed:
        follows = answers.follows(failed[0], _reason(rows, failed[0]))
        yield Finding(
            "critical",
            question,
            f"{seen}: {', '.join(failed)} failed",
            "none failed",
            source,
            next=follows,
        )
    elif not answer.ok:
        yield Finding(
            "critical",
            question,
            f"{seen}, though no dependency failed",
            "2xx",
            source,
            next="logs/search",
        )
    elif answer.seconds > limit:
        yield Finding(
            "warn", question, seen, f"within {limit:g} s", source, "api-slow", "metrics/dashboard"
        )
    else:
        yield Finding(
            "ok",
            question,
            f"{seen}: {count(len(rows), 'dependency')}, none failed",
            "none failed",
            source,
        )


def _reason(rows: list[dict[str, Any]], name: str) -> str:
    return next(str(row["reason"]) for row in rows if row["dependency"] == name)


_STATUS = {
    "ok": "ok",
    "skipped": "ok",
    "degraded": "warn",
    "failed": "critical",
    "unclear": "unknown",
}


def _dependency(row: Mapping[str, Any], path: str) -> Finding:
    latency = f" in {row['latency_ms']:.0f} ms" if row["latency_ms"] is not None else ""
    seen = f"{row['status']}{latency}" + (f": {row['reason']}" if row["reason"] else "")
    status = _STATUS[row["status"]]
    follows = "" if status == "ok" else answers.follows(row["dependency"], row["reason"])
    return Finding(
        status, f"dependency {row['dependency']}", seen, "not failed", f"GET {path}", next=follows
    )
