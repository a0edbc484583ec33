"""Maintenance mode: a rule of the load balancer that answers everybody in place of the system.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from opslib.core import (
    Aws,
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    UsageError,
    answer,
    check,
    count,
    frame,
    planner,
    poll,
    result,
)
from opslib.core.plans import maintenance

RULES = {"listener": "str", "priority": "str", "paths": "str", "status": "str"}
SECTION, LEFT_ON = "maintenance_mode", "maintenance-mode-left-on"
ON, OFF = "on", "off"
_ELB, _FIRST, _FIXED = "elbv2", 1, "fixed-response"
_EVERYTHING, _STATUS, _TYPE = ["/*"], 503, "text/plain"
_BODY = "We are working on it and will be back soon."


@check("Is maintenance mode off?")
def check_mode(ops: Connection, wanted: str = "") -> Findings:
    """Does the load balancer answer in place of the system? Inside of a maintenance window it may.

    `wanted`: on or off, after a change. Evidence: RULES, those that do.
    """
    if SECTION not in ops.target.facts:
        return Findings(note=f"{ops.target.key}.yaml describes no {SECTION}.")
    name = ops.target[SECTION]["load_balancer"]
    rules = [rule for _, each in _listeners(ops) for rule in each if _covers(ops, rule)]
    mode = ON if rules else OFF
    inside = bool(maintenance.openings(ops)) and not maintenance.outside(ops)
    rule = wanted or "off outside of the maintenance window"
    asked = Question(f"maintenance mode of {name}", rule, "elbv2 DescribeRules")
    seen = mode
    if rules:
        seen += f": {count(len(rules), 'rule')} before all others, so nobody reaches the system"
    rows = [_row(each) for each in rules]
    well = mode == wanted if wanted else not rules or inside
    cause = "" if wanted == ON else LEFT_ON
    found = [asked.judged(well, seen, cause=cause, next="edge/maintenance-mode")]
    if wanted and ops.target.facts.get("api", {}).get("probes"):
        path = next(iter(ops.target["api"]["probes"]))
        found.append(answer(f"GET {path} as users see it", partial(_seen, ops, path, wanted)))
    return Findings(found, frame(rows, RULES) if rows else None)


def _seen(ops: Connection, path: str, wanted: str) -> Finding:
    """Looks for some seconds: a rule is everywhere a moment later."""
    status = int(_wanted(ops)["answer"]["StatusCode"])
    asked = Question(
        f"GET {path} as users see it",
        f"{status}, by the rule" if wanted == ON else f"not {status}",
        "the system's address",
    )
    told, _ = poll(
        lambda: ops.http("GET", path).status, lambda got: (got == status) == (wanted == ON), 8
    )
    return asked.judged((told == status) == (wanted == ON), str(told), next="health/quick")


@check("Is the system well behind its load balancer?")
def check_behind(ops: Connection) -> Findings:
    """The targets of each group that its listeners send requests to: at least one, all healthy.

    The load balancer asks them itself, so this is seen also while maintenance mode is on.
    """
    if SECTION not in ops.target.facts:
        return Findings(note=f"{ops.target.key}.yaml describes no {SECTION}.")
    actions = [a for _, rules in _listeners(ops) for rule in rules for a in rule["Actions"]]
    groups = [
        each["TargetGroupArn"]
        for action in actions
        if action["Type"] == "forward"
        for each in action.get("ForwardConfig", {}).get("TargetGroups") or [action]
    ]
    return Findings(ops.each(partial(_healthy, ops), [*dict.fromkeys(groups)], "{}").values())


def _healthy(ops: Connection, group: str) -> Finding:
    told = ops.call(_ELB, "describe_target_health", TargetGroupArn=group)
    states = Counter(e["TargetHealth"]["State"] for e in told["TargetHealthDescriptions"])
    rule = "all healthy, at least one"
    asked = Question(f"targets of {group.split('/')[1]}", rule, "elbv2 DescribeTargetHealth")
    seen = ", ".join(f"{many} {state}" for state, many in states.items()) or "none is registered"
    passed = {*states} == {"healthy"}
    otherwise = "warn" if states["healthy"] else "critical"
    return asked.judged(passed, seen, otherwise=otherwise, next="services/health")


def _row(rule: Json) -> Json:
    listener = rule["RuleArn"].replace(":listener-rule/", ":listener/").rpartition("/")[0]
    fixed = rule["Actions"][-1]["FixedResponseConfig"]
    told = {"listener": listener.partition(":listener/app/")[2], "status": fixed["StatusCode"]}
    return told | {"priority": rule["Priority"], "paths": ", ".join(_paths(rule))}


def _listeners(ops: Connection) -> list[tuple[str, list[Json]]]:
    """ARNs of the listeners that send requests to the system, each with all its rules."""
    name = ops.target[SECTION]["load_balancer"]
    found = ops.pages(_ELB, "describe_load_balancers", "LoadBalancers", Names=[name])
    if not found:
        raise NotFound(f"Load balancer {name} not found in {ops.where}.")
    of = found[0]["LoadBalancerArn"]
    arns = ops.pages(_ELB, "describe_listeners", "Listeners[].ListenerArn", LoadBalancerArn=of)
    every = ops.each(partial(_rules, ops), arns)
    return [(arn, rules) for arn, rules in every.items() if any(map(_forwards, rules))]


def _rules(ops: Connection, listener: str) -> list[Json]:
    return ops.pages(_ELB, "describe_rules", "Rules", ListenerArn=listener)


def _forwards(rule: Json) -> bool:
    return any(each["Type"] == "forward" for each in rule["Actions"])


def _paths(rule: Json) -> list[str]:
    """The paths for which it is; none of one that wants something else, too."""
    if len(rule["Conditions"]) != 1 or rule["Conditions"][0].get("Field") != "path-pattern":
        return []
    (condition,) = rule["Conditions"]
    return list(condition.get("PathPatternConfig", condition).get("Values") or ())


def _covers(ops: Connection, rule: Json) -> bool:
    """Whether it answers all that maintenance mode is for, in place of the system."""
    fixed = any(each["Type"] == _FIXED for each in rule["Actions"])
    everything = rule.get("IsDefault") or not rule["Conditions"]
    paths = _wanted(ops)["paths"]
    return fixed and (everything or {*paths} <= {*_paths(rule)} or _paths(rule) == _EVERYTHING)


def _wanted(ops: Connection) -> Json:
    """The answer as the target's file describes it: paths, and FixedResponseConfig."""
    facts = ops.target[SECTION]
    return {
        "paths": list(facts.get("paths", _EVERYTHING)),
        "answer": {
            "StatusCode": str(facts.get("status", _STATUS)),
            "ContentType": str(facts.get("type", _TYPE)),
            "MessageBody": str(facts.get("body", _BODY)),
        },
    }


@planner
def plan_mode(ops: Connection, mode: str = ON) -> Planned:
    """Have the load balancer answer everybody itself, or let requests through again.

    Raises UsageError (neither on nor off, none is described), Refused: another rule is the first.
    """
    if mode not in (ON, OFF):
        raise UsageError(f"mode={mode!r} is neither {ON!r} nor {OFF!r}.")
    listeners = _listeners(ops)
    held = [
        (arn, [each for each in rules if _covers(ops, each) and not each.get("IsDefault")])
        for arn, rules in listeners
    ]
    if mode == OFF:
        steps = [_ended(arn, rule) for arn, rules in held for rule in rules]
        notes = ["Requests go to the system again at once: see that it is well first."]
    else:
        free = {arn: rules for arn, rules in listeners if not dict(held)[arn]}
        steps = [_begun(ops, arn, rules, at) for at, (arn, rules) in enumerate(free.items(), 1)]
        notes = [_TO_ALL]
    if not steps:
        return Planned(f"maintenance mode stays {mode}", notes=[f"It is {mode} already."])
    return Planned(f"turn maintenance mode {mode}", steps, notes)


def _observed(listener: str) -> Read:
    path = f"Rules[?Priority=='{_FIRST}'].Actions[-1].Type | [0]"
    return Read(_ELB, "describe_rules", path, ListenerArn=listener)


def _begun(ops: Connection, listener: str, rules: list[Json], number: int) -> Step:
    first = next((each for each in rules if each["Priority"] == str(_FIRST)), None)
    if first:
        raise Refused(
            f"Rule 1 of the listener is another one ({first['RuleArn']}): none can stand before "
            "it. Nothing was changed. Give it another priority: elbv2 SetRulePriorities."
        )
    wanted, name = _wanted(ops), f"rule{number}"
    do = _made(listener, _FIRST, wanted["paths"], wanted["answer"])
    undo = [Aws(_ELB, "delete_rule", RuleArn=result(f"{name}.Rules[0].RuleArn"))]
    title = (
        f"{wanted['answer']['StatusCode']} for {', '.join(wanted['paths'])} on {_port(listener)}"
    )
    return Step(title, do, None, _FIXED, undo, _observed(listener), name)


def _ended(listener: str, rule: Json) -> Step:
    fixed = rule["Actions"][-1]["FixedResponseConfig"]
    back = _made(listener, int(rule["Priority"]), _paths(rule) or _EVERYTHING, fixed)
    title = f"Rule {rule['Priority']} goes from {_port(listener)}"
    do = Aws(_ELB, "delete_rule", RuleArn=rule["RuleArn"])
    path = f"Rules[?Priority=='{rule['Priority']}'].Actions[-1].Type | [0]"
    return Step(
        title, do, _FIXED, None, [back], Read(_ELB, "describe_rules", path, ListenerArn=listener)
    )


def _made(listener: str, priority: int, paths: list[str], answer: Any) -> Aws:
    return Aws(
        _ELB,
        "create_rule",
        ListenerArn=listener,
        Priority=priority,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}],
        Actions=[{"Type": _FIXED, "Order": 1, "FixedResponseConfig": answer}],
    )


def _port(listener: str) -> str:
    """`app/shop/…/0467ef3c8400ae65` of its ARN, in short: the load balancer and its listener."""
    parts = listener.partition(":listener/app/")[2].split("/")
    return f"{parts[0]}, listener {parts[-1]}"


_TO_ALL = (
    "Everybody gets it at once, also probes, webhooks and your own smoke tests through the load "
    "balancer: the tasks' targets are checked without it (services/health). Alarms on its 5xx may "
    "ring: silence them (alarms/silence). It ends only when somebody turns it off."
)
