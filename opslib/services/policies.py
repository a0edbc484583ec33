"""Target tracking: the value that auto-scaling aims at, and what another one would do."""

import math
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

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
    Step,
    UsageError,
    Window,
    check,
    count,
    dtypes,
    frame,
    metrics,
    planner,
    require_known,
)
from opslib.core.actions.actions import Merge
from opslib.services.counts import SCALING, bounds, named
from opslib.services.reading import Service

POLICIES = dtypes("""
    service                    str
    policy                     str
    type                       str
    metric                     str
    target                     float64
    scale_in_cooldown_seconds  Int64
    scale_out_cooldown_seconds Int64
    scale_in_disabled          bool
""")
_TRACKING, _CONFIGURATION = "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration"
_ROW = f"""{{
    policy: PolicyName, type: PolicyType,
    metric: {_CONFIGURATION}.[
        PredefinedMetricSpecification.PredefinedMetricType,
        CustomizedMetricSpecification && (CustomizedMetricSpecification.MetricName || 'of its own')
    ][?@] | [0] || '',
    target: {_CONFIGURATION}.TargetValue,
    scale_in_cooldown_seconds: {_CONFIGURATION}.ScaleInCooldown,
    scale_out_cooldown_seconds: {_CONFIGURATION}.ScaleOutCooldown,
    scale_in_disabled: {_CONFIGURATION}.DisableScaleIn || `false`
}}"""
_CPU = "ECSServiceAverageCPUUtilization"
_PERCENT = {  # predefined metrics that are a share of what a task has
    _CPU: "CPUUtilization",
    "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
}
_LEAST, _MOST = 10, 90
_SPAN = timedelta(minutes=15)
_LOW = 0.9  # target tracking takes tasks away below so much of its target


def _policies(service: Service) -> list[Json]:
    """Its scaling policies (DescribeScalingPolicies)."""
    asked = SCALING, "describe_scaling_policies", "ScalingPolicies[]"
    return service.ops.pages(*asked, **named(service))


def _metric(policy: Json) -> str:
    """What a policy measures: the predefined metric, or the name of one of its own."""
    return str(_told_of(policy)["metric"])


def _told_of(policy: Json) -> Json:
    """A row of POLICIES."""
    import jmespath

    found: Json = jmespath.search(_ROW, policy)
    return found


@check("What does auto-scaling aim at?")
def check_policies(ops: Connection, service: str = "") -> Findings:
    """Each service's policies: does one track CPU with the value that the file describes?

    Evidence: POLICIES.
    """
    told = Service.each(ops, service, lambda of: (of, _policies(of)), "policies of {}")
    rows = [_told_of(e) | {"service": of.key} for of, policies in told for e in policies]
    return Findings((_judged(*each) for each in told), frame(rows, POLICIES))


def _judged(service: Service, policies: list[Json]) -> Finding:
    described = service.facts.get("cpu_target")
    rule = f"CPU of {described:g} %" if described else "a target, where bounds are described"
    asked = Question(f"scaling policies of {service.key}", rule, f"{SCALING} ScalingPolicies")
    seen = "; ".join(map(_told, policies)) or "none"
    aims = [p[_CONFIGURATION]["TargetValue"] for p in policies if _metric(p) == _CPU]
    passed = (
        aims == [described] if described else bool(policies) or "max_tasks" not in service.facts
    )
    return asked.judged(passed, seen, otherwise="warn", next="services/autoscaling")


def _told(policy: Json) -> str:
    config = policy.get(_CONFIGURATION)
    if config is None:
        return f"{policy['PolicyName']}, {policy['PolicyType']}"
    kept = ", takes no tasks away" * config.get("DisableScaleIn", False)
    return f"{policy['PolicyName']} holds {_metric(policy)} at {config['TargetValue']:g}{kept}"


@planner
def plan_target(ops: Connection, service: str, value: float, policy: str = "") -> Planned:
    """Another value for a policy that tracks a target; everything else of it is kept.

    `policy`: its name, where there are several. Raises UsageError: no such policy (a wrong name
    would add a second one), a value that no percentage should be.
    """
    known = Service(ops, service)
    every = _policies(known)
    if not policy and not any(each["PolicyType"] == _TRACKING for each in every):
        note = "No policy tracks a target: what deploys the service (Terraform) brings it back."
        return Planned(f"{service}: auto-scaling aims at nothing", notes=[note])
    chosen = _chosen(service, every, policy)
    config, name = chosen[_CONFIGURATION], chosen["PolicyName"]
    was, percent = config["TargetValue"], _PERCENT.get(_metric(chosen))
    if not value or value == was:
        return Planned(f"{name} stays at {was:g}", notes=["Choose another: value."])
    if value < 0 or (percent and not _LEAST <= value <= _MOST):
        rule = f"between {_LEAST} and {_MOST} %" if percent else "more than 0"
        raise UsageError(f"value={value:g}: {_metric(chosen)} is to be held {rule}.")

    at, path = named(known), f"ScalingPolicies[0].{_CONFIGURATION}"
    read = partial(Read, SCALING, "describe_scaling_policies", PolicyNames=[name], **at)
    write = Aws(SCALING, "put_scaling_policy", PolicyName=name, PolicyType=_TRACKING, **at)

    def put(aim: float) -> Action:
        return Merge(read(path), write, _CONFIGURATION, {"TargetValue": aim})

    seen = read(f"{path}.TargetValue")
    title = f"{name}: {_metric(chosen)} of {was:g} becomes {value:g}"
    step = Step(title, put(value), was, float(value), [put(was)], seen)
    notes = [*_estimate(known, percent, value), *_warned(known, chosen, every, value)]
    return Planned(f"{service}: auto-scaling aims at {value:g}", [step], notes)


def _chosen(service: str, every: list[Json], policy: str) -> Json:
    tracking = {p["PolicyName"]: p for p in every if p["PolicyType"] == _TRACKING}
    if policy:
        require_known("policy", policy, tracking, f" of {service} that tracks a target")
    if not policy and len(tracking) != 1:
        told = ", ".join(tracking) or "none"
        raise UsageError(f"{service} has {told} to track a target. Say which: policy=…")
    return tracking[policy or next(iter(tracking))]


def _estimate(service: Service, percent: str | None, value: float) -> Iterator[str]:
    """What it would do now, as AWS says that it reckons: count x measured / aimed at, rounded up.

    https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
    """
    if percent is None:
        yield "What it would do now is not reckoned for this metric."
        return
    ops, tasks = service.ops, service.described["desiredCount"]
    asked = {"": ("AWS/ECS", percent, service.dimensions, "Average", 60)}
    found = metrics.series(ops, asked, Window(ops.now() - _SPAN, ops.now()))[""]
    if found.empty or not tasks:
        yield "What it would do now is not known: no value, or no task, of the last minutes."
        return
    now = float(found.mean())
    need = tasks if _LOW * value <= now <= value else max(1, math.ceil(tasks * now / value))
    scaled = bounds(service)
    low, high = scaled.get("MinCapacity", 0), scaled.get("MaxCapacity", need)
    held = f", held at {min(max(need, low), high)} by its bounds {low} to {high}"
    yield (
        f"{percent} was {now:.0f} in the last 15 minutes with {count(tasks, 'task')}: at {value:g} "
        f"about {count(need, 'task')}{held * (not low <= need <= high)}. An estimate."
    )


def _warned(service: Service, chosen: Json, every: list[Json], value: float) -> Iterator[str]:
    if chosen[_CONFIGURATION].get("DisableScaleIn"):
        yield "This policy takes no tasks away (DisableScaleIn), and that stays."
    if others := [_told(p) for p in every if p is not chosen]:
        yield f"Left as they are: {'; '.join(others)}. The one that wants the most tasks wins."
    suspended = bounds(service).get("SuspendedState", {})
    if off := [name for name, value in suspended.items() if value]:
        yield f"Suspended, so it does not act: {', '.join(off)}."
    described = service.facts.get("cpu_target", value)
    if _metric(chosen) == _CPU and described != value:
        yield (
            f"The target's file says {described:g}: change it there and in what deploys it "
            "(Terraform), or the next deployment takes this back."
        )
