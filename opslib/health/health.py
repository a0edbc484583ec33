"""Health of a system as its own HTTP API tells it.

The probes, and the deep check with what it depends on.
"""

import functools
from dataclasses import dataclass, replace
from functools import partial

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Question,
    Unfinished,
    check,
    count,
    dtypes,
    frame,
)
from opslib.core.connections.http import Response
from opslib.health import answers, bodies
from opslib.health.bodies import Said
from opslib.health.words import FINDING, SAYS

PROBES = dtypes("""
    path        str
    proves      str
    http_status Int64
    seconds     float64
    answer      str
""")
DEPENDENCIES = dtypes("""
    dependency str
    status     str
    latency_ms float64
    reason     str
""")


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

    @functools.cached_property
    def said(self) -> list[Said]:
        """What its body says of health."""
        return bodies.read(self.answer.text) if self.answer else []

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


def probe(ops: Connection, path: str, method: str = "GET", auth: bool = False) -> Probe:
    """Ask a path of the API, once."""
    try:
        return Probe(path, ops.http(method, path, auth=auth))
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
    told = [
        replace(f, seen=f"{f.seen}: {row['answer']}") if f.status == "ok" else f
        for f, row in zip(found, rows, strict=True)
    ]
    return Findings(told, frame(rows, PROBES))


def _judged(ops: Connection, probe: Probe, words: str, also: str = "") -> Finding:
    """No answer, HTML, 404 and slowness are told apart; an error status names no cause.

    `also`: more of the rule than is judged here.
    """
    limit = float(ops.target["api"].get("slow_seconds", 2))
    rule = f"2xx within {limit:g} s, nothing ill{also}"
    asked = Question(words, rule, f"GET {probe.path}")
    answer, said = probe.answer, probe.said
    if answer is None:
        return silent(asked, probe, "metrics/dashboard" if probe.connected else "logs/search")
    if answers.is_html(answer) and all(each.status == "unclear" for each in said):
        seen = f"{answer.status} with a page of HTML: {answers.in_a_line(answer)}"
        return asked.critical(seen, cause="api-html", next="logs/search")
    if answer.status == 404:
        seen = f"404: nothing at {answer.url}"
        return asked.critical(seen, cause="api-404", next="logs/search")
    if not answer.ok:
        seen = f"{probe.seen}: {answers.in_a_line(answer)}"
        mode = answer.text == ops.target.at("maintenance_mode").get("body")
        return asked.critical(seen, next="edge/maintenance-mode" if mode else "health/deep")
    if told := bodies.worst(said):
        seen = f"{probe.seen}, and {SAYS[told[0].status]} {', '.join(s.told for s in told[:3])}"
        return asked.answer(FINDING[told[0].status], seen, next="health/deep")
    quick = answer.seconds <= limit
    follows = "metrics/dashboard"
    return asked.judged(quick, probe.seen, otherwise="warn", cause="api-slow", next=follows)


def silent(asked: Question, probe: Probe, follows: str) -> Finding:
    """No answer came: slow where something listens. What stands between us and it, a proxy of ours,
    says nothing of its users.
    """
    cause = "api-slow" if probe.connected else "api-unreachable"
    status = "unknown" if probe.kept_back else "critical"
    return asked.answer(status, probe.seen, cause=cause, next=follows)


@check("Are its dependencies healthy?")
def check_dependencies(ops: Connection) -> Findings:
    """Ask the deep check (`api.deep`), whatever shape it answers in. Evidence: DEPENDENCIES.

    `skipped` is not a failure. No answer in time is told apart from an API that does not answer at
    all, by a probe.
    """
    path = ops.target["api"]["deep"]
    deep, parts = probe(ops, path), list[Said]()
    overall = _judged(ops, deep, f"{path}: all dependencies", ", none failed")
    if deep.answer is None:
        overall = _hanging(ops, deep, overall)
    elif overall.cause not in ("api-html", "api-404"):
        parts = [said for said in deep.said if said.name]
        overall = _overall(overall, deep, deep.answer, parts)
    found = [overall, *(_dependency(said, overall.source) for said in parts)]
    rows = [(said.name, said.status, said.latency_ms, said.reason) for said in parts]
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


def _overall(judged: Finding, deep: Probe, answer: Response, parts: list[Said]) -> Finding:
    """What the answer as a whole says, and which of its parts failed or was not understood."""
    whole = [said for said in deep.said if not said.name]
    if failed := [said for said in parts if said.status == "failed"]:
        names = ", ".join(said.name for said in failed)
        follows = answers.follows(failed[0].name, failed[0].reason)
        seen = f"{deep.seen}: {names} failed"
        return replace(judged, status="critical", seen=seen, cause="", next=follows)
    if not parts and not (answer.ok and whole):
        status = "unknown" if answer.ok else "critical"
        seen = f"{deep.seen}, and names no dependency: {answers.in_a_line(answer)}"
        follow = "logs/search" if answer.status == 500 else "network/endpoints"
        return replace(judged, status=status, seen=seen, cause="", next=follow)
    if not answer.ok:
        seen = f"{deep.seen}, though no dependency failed"
        return replace(judged, seen=seen, next="logs/search")
    if judged.status not in ("ok", "warn") or bodies.worst(whole):
        return replace(judged, next="logs/search")
    named = f"{count(len(parts), 'dependency')}, none failed" if parts else "names no dependency"
    return replace(judged, seen=f"{judged.seen}: {named}")


def _dependency(said: Said, source: str) -> Finding:
    asked = Question(f"dependency {said.name}", "not failed", source)
    seen, status = said.status, FINDING[said.status]
    if said.latency_ms is not None:
        seen += f" in {said.latency_ms:.0f} ms"
    if said.reason:
        seen += f": {said.reason}"
    follows = answers.follows(said.name, said.reason)
    return asked.answer(status, seen, next="" if status == "ok" else follows)
