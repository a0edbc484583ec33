"""Maintenance mode: a rule of the load balancer that answers everybody in place of the system.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html
"""

from typing import Any

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Json,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    UsageError,
    answer,
    check,
    count,
    maintenance,
    networks,
    planner,
    poll,
    result,
)

SECTION, LEFT_ON = "maintenance_mode", "maintenance-mode-left-on"
ON, OFF = "on", "off"
_ELB, _FIXED, _LAST = "elbv2", "fixed-response", 50_000
_STATUS, _TYPE, _BODY = 503, "text/plain", "We are working on it and will be back soon."
_FIELDS = {"path-pattern": "PathPatternConfig", "host-header": "HostHeaderConfig"}
Listeners = dict[str, list[Json]]  # by ARN: its rules


@check("Is maintenance mode off?")
def check_mode(ops: Connection, wanted: str = "") -> Findings:
    """Does the load balancer answer in place of the system? Inside of a maintenance window it may.

    `wanted`: on or off, after a change; then the first probe is asked as users ask it, too.
    """
    if SECTION not in ops.target.facts:
        return Findings(note=f"{ops.target.key}.yaml describes no {SECTION}.")
    rules = [each for held in _held(ops, _listeners(ops)).values() for each in held]
    inside = bool(maintenance.openings(ops)) and not maintenance.outside(ops)
    asked = Question(
        f"maintenance mode of {ops.target[SECTION]['load_balancer']}",
        wanted or "off outside of the maintenance window",
        "elbv2 DescribeRules",
    )
    seen = f"on: {count(len(rules), 'rule')} before all others, nobody reaches the system"
    well = (wanted == ON) == bool(rules) if wanted else not rules or inside
    cause = "" if wanted == ON else LEFT_ON
    follows = "edge/maintenance-mode"
    found = [asked.judged(well, seen if rules else OFF, cause=cause, next=follows)]
    for path in [*ops.target.at("api").get("probes", ())][: bool(wanted)]:
        found.append(answer(f"GET {path}", _asked, ops, path, wanted == ON))
    return Findings(found)


def is_on(ops: Connection) -> bool:
    """Whether nobody gets through; no where the target's file describes no maintenance mode."""
    return SECTION in ops.target.facts and any(_held(ops, _listeners(ops)).values())


def _asked(ops: Connection, path: str, on: bool) -> Finding:
    """Looks for some seconds: a rule is everywhere a moment later."""
    status = int(_answer(ops)["StatusCode"])
    asked = Question(f"GET {path}", f"{'' if on else 'not '}{status}", "the system's address")
    told, _ = poll(lambda: ops.http("GET", path).status, lambda got: (got == status) == on, 8)
    return asked.judged((told == status) == on, str(told), next="health/quick")


def _listeners(ops: Connection) -> Listeners:
    """Those of the load balancer that send requests to the system, not only elsewhere."""
    every = networks.listener_rules(ops, ops.target[SECTION]["load_balancer"])
    return {arn: rules for arn, rules in every.items() if any(map(_forwards, rules))}


def _forwards(rule: Json) -> bool:
    return any(each["Type"] == "forward" for each in rule["Actions"])


def _priority(rule: Json) -> int:
    """The default rule is the last."""
    return int(rule["Priority"]) if rule["Priority"].isdigit() else _LAST + 1


def _held(ops: Connection, listeners: Listeners) -> Listeners:
    """Rules that answer all that maintenance mode is for before any that forwards."""
    wanted = _conditions(ops)

    def covers(rule: Json) -> bool:
        given = {each["Field"]: {*_values(each)} for each in rule["Conditions"]}
        return rule["Actions"][-1]["Type"] == _FIXED and all(
            "/*" in values or {*wanted.get(field, ["?"])} <= values
            for field, values in given.items()
        )

    return {
        arn: [each for each in rules if covers(each) and _priority(each) < _lowest(rules)]
        for arn, rules in listeners.items()
    }


def _lowest(rules: list[Json]) -> int:
    return min(map(_priority, filter(_forwards, rules)))


def _values(condition: Json) -> list[str]:
    inner = condition.get(_FIELDS.get(condition["Field"], ""), condition)
    return list(inner.get("Values") or ())


def _conditions(ops: Connection) -> dict[str, list[str]]:
    facts = ops.target[SECTION].plain()
    hosts = {"host-header": facts["hosts"]} if "hosts" in facts else {}
    return {"path-pattern": facts.get("paths", ["/*"]), **hosts}


def _answer(ops: Connection) -> Json:
    facts = ops.target[SECTION]
    told = {"ContentType": facts.get("type", _TYPE), "MessageBody": facts.get("body", _BODY)}
    return {"StatusCode": str(facts.get("status", _STATUS)), **told}


@planner
def plan_mode(ops: Connection, mode: str = ON) -> Planned:
    """Have the load balancer answer everybody itself, or let requests through again.

    Raises UsageError (neither on nor off, none is described), Refused: no rule can be the first.
    """
    if mode not in (ON, OFF):
        raise UsageError(f"mode={mode!r} is neither {ON!r} nor {OFF!r}.")
    listeners = _listeners(ops)
    held = _held(ops, listeners)
    if mode == OFF:
        steps = [_ended(arn, rule) for arn, rules in held.items() for rule in rules]
    else:
        steps = [_begun(ops, arn, rules) for arn, rules in listeners.items() if not held[arn]]
    if not steps:
        return Planned(f"maintenance mode stays {mode}", notes=[f"It is {mode} already."])
    return Planned(f"turn maintenance mode {mode}", steps, [_TO_ALL if mode == ON else _AT_ONCE])


def _begun(ops: Connection, listener: str, rules: list[Json]) -> Step:
    taken = {*map(_priority, rules)}
    first = next((at for at in range(1, min(_lowest(rules), _LAST)) if at not in taken), 0)
    if not first:
        raise Refused(
            f"No rule of {_named(listener)} can stand before the one of priority "
            f"{_lowest(rules)}. Nothing was changed. Give it another: elbv2 SetRulePriorities."
        )
    conditions, told = _conditions(ops), _answer(ops)
    wanted = " of ".join(", ".join(values) for values in conditions.values())
    return Step(
        f"{told['StatusCode']} for {wanted} on {_named(listener)}",
        _made(listener, first, conditions, told),
        None,
        _FIXED,
        [
            Aws(
                _ELB,
                "delete_rule",
                RuleArn=result(f"{listener.rpartition('/')[2]}.Rules[0].RuleArn"),
            )
        ],
        _observed(listener, first),
        listener.rpartition("/")[2],
    )


def _ended(listener: str, rule: Json) -> Step:
    conditions = {each["Field"]: _values(each) for each in rule["Conditions"]}
    told, priority = rule["Actions"][-1]["FixedResponseConfig"], _priority(rule)
    return Step(
        f"Rule {priority} goes from {_named(listener)}",
        Aws(_ELB, "delete_rule", RuleArn=rule["RuleArn"]),
        _FIXED,
        None,
        [_made(listener, priority, conditions, told)],
        _observed(listener, priority),
    )


def _observed(listener: str, priority: int) -> Action:
    path = f"Rules[?Priority=='{priority}'].Actions[-1].Type | [0]"
    return Read(_ELB, "describe_rules", path, ListenerArn=listener)


def _made(listener: str, priority: int, conditions: dict[str, list[str]], told: Any) -> Action:
    given = [{"Field": of, _FIELDS[of]: {"Values": values}} for of, values in conditions.items()]
    actions = [{"Type": _FIXED, "Order": 1, "FixedResponseConfig": told}]
    at = {"ListenerArn": listener, "Priority": priority}
    return Aws(_ELB, "create_rule", **at, Conditions=given, Actions=actions)


def _named(listener: str) -> str:
    balancer, *_, id = listener.partition(":listener/app/")[2].split("/")
    return f"{balancer}, listener {id}"


_AT_ONCE = "Requests go to the system again at once: see that it is well first."
_TO_ALL = (
    "Everybody gets it at once, also probes, webhooks and your own smoke tests through the load "
    "balancer: the tasks' targets are checked without it (services/health). Alarms on its 5xx may "
    "ring: silence them (alarms/silence). It ends only when somebody turns it off."
)
