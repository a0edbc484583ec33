"""Who answers 5xx: the load balancer itself, or the app behind it? Each leads elsewhere."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Line,
    Panel,
    Plotted,
    Question,
    Window,
    answer,
    beside,
    check,
    clock,
    count,
    networks,
    number,
    signs,
    window,
)
from opslib.services import measures
from opslib.services.reading import Service

if TYPE_CHECKING:
    import pandas as pd

THROWS, TOO_SLOW = "app-throws", "app-too-slow"  # the causes that findings name
ANSWERS = "balancer-answers"
_FEW, _SHARE, _OF_A_PERIOD = 5, 0.01, 0.05
_LATELY = 3  # periods that tell whether it goes on
_RULE = f"fewer than {_FEW}, or at most {100 * _SHARE:g} % of requests"
CODES = signs(beside(__file__, "ecs")["codes"])


@check("Who answers 5xx: the load balancer or the app?")
def check_answers(ops: Connection, service: str = "", minutes: float = 60) -> Findings:
    """5xx of the load balancer by its own counts for 502, 503 and 504, and 5xx of the targets.

    As a share of the requests, over the window and in its worst period. Two findings for each
    target group behind an Application Load Balancer; none for a service without. CloudWatch
    GetMetricData. One a load balancer for rules of it that answer with an error.
    """
    within = window(ops, minutes)
    told = Service.each(ops, service, lambda of: _told(of, within), "answers of {}")
    each = [*chain.from_iterable(told)]
    panels = [_panel(of, seen) for of, _, seen, _ in each]
    found = [*chain.from_iterable(findings for _, findings, _, _ in each)]
    for name in dict.fromkeys(name for *_, name in each):
        found.append(answer(f"rules of {name}", _instead, ops, name))
    return Plotted(found, None, f"{within}.", panels, within)


def _instead(ops: Connection, name: str) -> Finding:
    """Whether a rule answers a part of the requests itself; that one answers all is maintenance."""
    import jmespath

    asked = Question(f"rules of {name}", "none answers with an error", "elbv2 DescribeRules")
    told = []
    for rule in jmespath.search(_RULES, [*networks.listener_rules(ops, name).values()]):
        every = "maintenance_mode" in ops.target.facts and "/*" in rule["of"]
        if str(rule["status"]) >= "500" and not every:
            told.append(f"rule {rule['at']}: {rule['status']} for {', '.join(rule['of'])}")
    seen = "; ".join(told) + ": what it is for does not reach its service" * bool(told)
    return asked.judged(not told, seen or "none does", cause=ANSWERS, next="changes/who")


_RULES = """[] | [?!IsDefault && Actions[-1].FixedResponseConfig].{
    at: Priority, status: Actions[-1].FixedResponseConfig.StatusCode,
    of: Conditions[].[Values, PathPatternConfig.Values, HostHeaderConfig.Values][][]}"""


def _told(service: Service, within: Window) -> list[tuple[str, list[Finding], Frame, str]]:
    """Of each of its target groups, and the name of the load balancer before it."""
    found = []
    for group in measures.groups(service):
        seen = measures.read(service, group, within)
        findings = [_by_balancer(service, seen, within), _by_targets(service, seen, within)]
        found.append((service.key, findings, seen, group["LoadBalancer"].split("/")[1]))
    return found


def _by_balancer(service: Service, seen: Frame, within: Window) -> Finding:
    """Its own answers. What no target could be chosen for is not among its requests."""
    asked = Question(f"5xx of the load balancer of {service.key}", _RULE, "GetMetricData ELB")
    of = seen["of_all"] + seen["elb_503"]
    if not of.sum():
        return asked.unknown(f"no request, {within}", next="health/quick")
    wrong = seen["elb_5xx"]
    said = _said(wrong, of, within)
    codes = [(int(seen[f"elb_{sign.pattern}"].sum()), sign) for sign in CODES]
    named = sorted((each for each in codes if each[0]), key=lambda each: -each[0])
    seen_too = "; ".join(f"{many} × {sign.pattern}: {sign.means}" for many, sign in named)
    said += f". {seen_too}" * bool(seen_too)
    if not _is_bad(wrong, of):
        return asked.ok(said, cause=TOO_SLOW)
    first = named[0][1] if named else None
    return asked.answer(
        _status(wrong, of),
        said,
        cause=first.name if first else "",
        next=first.next if first else "services/health",
    )


def _by_targets(service: Service, seen: Frame, within: Window) -> Finding:
    asked = Question(f"5xx that {service.key} answers itself", _RULE, "GetMetricData ELB, ecs")
    of, wrong = seen["requests"], seen["target_5xx"]
    if not of.sum():
        return asked.unknown(f"no request reached it, {within}", next="services/health")
    said = _said(wrong, of, within)
    if not _is_bad(wrong, of):
        return asked.ok(said, cause=THROWS)
    status = _status(wrong, of)
    if deployment := measures.brought(service.deployments(10), _bad(wrong, of)):
        said += f". It began with {measures.told(deployment, within)}; before it all was well"
        return asked.answer(status, said, cause=THROWS, next="services/rollback")
    said += ". No deployment stands at its beginning: its lines say why"
    return asked.answer(status, said, next="logs/errors")


def _bad(wrong: pd.Series, of: pd.Series) -> pd.Series:
    """In which periods it was bad."""
    return (wrong >= 2) & (wrong > _OF_A_PERIOD * of)


def _is_bad(wrong: pd.Series, of: pd.Series) -> bool:
    """In all; or where it was worst, which a long window would hide."""
    worst = wrong[_bad(wrong, of)].sum() >= _FEW
    return bool(wrong.sum() >= _FEW and wrong.sum() > _SHARE * of.sum()) or bool(worst)


def _status(wrong: pd.Series, of: pd.Series) -> str:
    """Critical while it goes on."""
    lately, all_lately = wrong.iloc[-_LATELY:].sum(), of.iloc[-_LATELY:].sum()
    going = lately >= 2 and lately > _SHARE * all_lately
    return "critical" if going else "warn"


def _said(wrong: pd.Series, of: pd.Series, within: Window) -> str:
    """How many, what share, since when, and the worst period."""
    share = 100 * wrong.sum() / max(1.0, of.sum())
    text = f"{int(wrong.sum()):,} of {count(int(of.sum()), 'request')} ({number(share, '%')})"
    if not (found := measures.episode(_bad(wrong, of))):
        return text
    worst = (wrong / of.clip(lower=1)).idxmax()
    first, last = (clock(time, within.end) for time in found)
    most = number(100 * wrong[worst] / max(1.0, of[worst]), "%")
    return f"{text}, since {first}, last at {last}, at worst {most} at {worst:%H:%M}"


def _panel(key: str, seen: Frame) -> Panel:
    names = {
        "target_5xx": "app 5xx",
        **{f"elb_{sign.pattern}": f"balancer {sign.pattern}" for sign in CODES},
    }
    lines = [Line(label, seen[name]) for name, label in names.items() if seen[name].any()]
    return Panel(f"5xx in front of {key}", "count", lines or [Line("app 5xx", seen["target_5xx"])])


def unanswered(seen: Frame) -> Json:
    """What the load balancer did not wait for: how many, and whether that is too much."""
    wrong, of = seen["elb_504"], seen["of_all"] + seen["elb_503"]
    return {"many": int(wrong.sum()), "bad": _is_bad(wrong, of)}
