"""How many tasks run: the count, and the bounds within which auto-scaling moves it."""

import inspect
from collections.abc import Iterable, Iterator

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Json,
    Planned,
    Read,
    Step,
    UsageError,
    Wait,
    beside,
    check,
    count,
    planner,
    sayings,
)
from opslib.services.reading import SERVICE, Service

SCALING = "application-autoscaling"
AT_CAPACITY = "at-capacity"  # the cause that findings name


def named(service: Service) -> Json:
    facts = service.facts
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{facts['cluster']}/{facts['name']}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }


def bounds_of(service: Service, path: str = "") -> Action:
    """Its scalable target (DescribeScalableTargets), which is None where nothing scales it."""
    at = named(service)
    return Read(
        SCALING,
        "describe_scalable_targets",
        f"ScalableTargets[0]{path}",
        ServiceNamespace=at["ServiceNamespace"],
        ResourceIds=[at["ResourceId"]],
    )


def bounds(service: Service) -> Json:
    """Its scalable target: between which counts it is moved; empty where nothing scales it."""
    return dict(bounds_of(service).perform(service.ops) or {})


@check("Is there room to scale?")
def check_scaling(ops: Connection, service: str = "") -> Findings:
    """Each service's count against its bounds: at the upper one, nothing more can be started."""
    return Findings(Service.each(ops, service, _judged, "scaling of {}"))


def _judged(service: Service) -> Finding:
    held, facts = bounds(service), service.facts
    low, high = held.get("MinCapacity", 0), held.get("MaxCapacity", 0)
    tasks = service.described["desiredCount"]
    off = [name for name, value in held.get("SuspendedState", {}).items() if value]
    of = count(tasks, "task")
    told = facts | {
        "key": service.key,
        "tasks": tasks,
        "of": of,
        "scaled": bool(held),
        "low": low,
        "high": high,
        "bounds": f"{of}, between {low} and {high}",
        "off": ", ".join(off),
        "least": facts.get("min_tasks", low),
        "most": facts.get("max_tasks", high),
    }
    return next(sayings(beside(__file__, "counts"), told))


@planner
def plan_scale(
    ops: Connection, service: str, tasks: int = -1, least: int = -1, most: int = -1
) -> Planned:
    """Another count, and bounds that let it stay: auto-scaling pulls back what is outside them.

    -1: as it is; bounds that the count would break are moved with it. Raises UsageError.
    """
    known = Service(ops, service)
    told, scaled = known.described, bounds(known)
    present = told["desiredCount"]
    wanted = present if tasks < 0 else tasks
    steps, notes = list[Step](), list[str]()
    if not scaled and max(least, most) >= 0:
        raise UsageError(f"Nothing scales {service}: least and most have no meaning here.")
    if scaled:
        was = scaled["MinCapacity"], scaled["MaxCapacity"]
        low = least if least >= 0 else min(was[0], wanted)
        high = most if most >= 0 else max(was[1], wanted)
        if not low <= wanted <= high:
            raise UsageError(f"{wanted} tasks are not between least={low} and most={high}.")
        steps += _moved(known, was, (low, high))
        notes = [f"Auto-scaling goes on between {low} and {high}: within them it moves the count."]
    if wanted != present:
        title = f"Service {told['serviceName']}: {present} tasks become {wanted}"
        put, read = known.thing.put, known.thing.read("desiredCount")
        do, undo = (put("desiredCount", tasks) for tasks in (wanted, present))
        steps.append(Step(title, do, present, wanted, [undo], read))
        steps.append(Step(f"Wait until {count(wanted, 'task')} run", _until(known), None, True, []))
        notes += _warned(known, wanted)
    if not steps:
        notes = ["Choose what to change: tasks, least, most."]
    return Planned(f"{service}: {count(wanted, 'task')}", steps, notes)


def _until(service: Service) -> Action:
    all_run = "[runningCount == desiredCount && pendingCount == `0`] | [0]"
    return service.thing.until(all_run, [False], [True], SERVICE.seconds)


def steps_stopped(ops: Connection, service: str) -> Iterable[Step]:
    """No task of it, and bounds that let auto-scaling start none; undo brings both back."""
    none = [0, 0] if bounds(Service(ops, service)) else []
    planned: Planned = inspect.unwrap(plan_scale)(ops, service, 0, *none)
    return planned.steps


def steps_running(ops: Connection, service: str) -> Iterator[Step]:
    """Waits until as many of its tasks run as are wanted, and its load balancers take some."""
    known = Service(ops, service)
    yield Step(f"Wait until the tasks of {service} run", _until(known), undo=[])
    asked = "elbv2", "describe_target_health", _TAKEN
    for group in known.target_groups:
        taken = Wait(*asked, [False], [True], SERVICE.seconds, TargetGroupArn=group)
        yield Step(f"Wait until the load balancer takes those of {service}", taken, undo=[])


_STATES = "TargetHealthDescriptions[].TargetHealth.State"
_TAKEN = f"contains({_STATES}, 'healthy') && !contains({_STATES}, 'initial')"


def _moved(service: Service, was: tuple[int, int], wanted: tuple[int, int]) -> Iterator[Step]:
    if was == wanted:
        return
    at = named(service)

    def put(bounds: tuple[int, int]) -> Action:
        given = {"MinCapacity": bounds[0], "MaxCapacity": bounds[1]}
        return Aws(SCALING, "register_scalable_target", **at, **given)

    title = f"Bounds of {service.name}: {was[0]} to {was[1]} become {wanted[0]} to {wanted[1]}"
    read = bounds_of(service, ".[MinCapacity, MaxCapacity]")
    yield Step(title, put(wanted), [*was], [*wanted], [put(was)], read)


def _warned(service: Service, wanted: int) -> Iterator[str]:
    if wanted == 0:
        yield "With no task nothing answers: the load balancer says 503."
    described = service.facts.get("tasks", wanted)
    if described != wanted:
        yield f"The target's file says {described} tasks: what deploys it may set that again."
