"""What shows a verdict's work: what proves the cause, what a value rules out, what is not known."""

from collections.abc import Iterable, Sequence

from opslib.core.checks.causes import DENIED
from opslib.core.findings import Finding, Findings
from opslib.core.text import count, cut

Line = tuple[str, str]  # its label, and what it says
_CAUSES, _SHOWN = 3, 5  # a cause has a line of its own; of the others so many stand in theirs
_PROOF, _BRIEF = 160, 70  # characters of what was seen


def evidence(counted: Iterable[Finding]) -> list[Line]:
    """At most five lines above the findings.

    A cause is ruled out when a check that judges it passed, and none names it.
    """
    found = Findings(counted)
    bad = found.troubles
    named: dict[str, list[Finding]] = {}
    for f in bad:
        if f.cause and f.cause != DENIED:
            named.setdefault(f.cause, []).append(f)
    told = [("cause", f"{cause}: {_proof(of)}") for cause, of in named.items()][:_CAUSES]
    if not named and any(f.status in ("warn", "critical") for f in bad):
        told = [("cause", "none that is known by name; the findings say what is wrong")]
    out: dict[str, list[Finding]] = {}
    for f in found:
        if f.rules_out and f.rules_out not in named:
            out.setdefault(f.rules_out, []).append(f)
    if out:
        said = [f"{cause} ({_proof(of, _BRIEF)})" for cause, of in out.items()]
        told.append(("ruled out", _some(said, "cause")))
    if dark := [f for f in bad if f.status == "unknown" and f.cause not in named]:
        told.append(("not known", _some([*{_seen(f, _PROOF): f for f in dark}], "check")))
    return told


def _proof(of: Sequence[Finding], longest: int = _PROOF) -> str:
    first, *others = sorted(of, key=lambda f: f.check.startswith("alarm "))  # values before colours
    return f"{_seen(first, longest)}{f'; {len(others)} more like it' if others else ''}"


def _seen(f: Finding, longest: int) -> str:
    return f"{f.check}: {cut(' '.join(f.seen.split()), longest)}"


def _some(said: Sequence[str], noun: str) -> str:
    more = [f"and {count(len(said) - _SHOWN, f'other {noun}')}"] if said[_SHOWN:] else []
    return "; ".join([*said[:_SHOWN], *more])
