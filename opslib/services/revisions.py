"""Another revision for a service: back to one that worked, or the same with another size."""

from collections.abc import Iterator
from typing import Any

from opslib.core import (
    Aws,
    Connection,
    Frame,
    Json,
    OpsError,
    Planned,
    Refused,
    Rollout,
    Step,
    UsageError,
    beside,
    planner,
    result,
    unknown_name,
)
from opslib.services.reading import Service, lacks_image, list_revisions, number

COMPLETED = "SUCCESSFUL"


@planner
def plan_rollback(ops: Connection, service: str, to: int = 0) -> Planned:
    """Give a service an earlier revision: the last one whose deployment completed, or `to`.

    Raises UsageError (no such revision), Refused (none that completed is known, or its image is
    gone).
    """
    known = Service(ops, service)
    found, present = list_revisions(ops, service), known.described["taskDefinition"]
    row = _chosen(service, found, number(present), to)
    if row.revision == number(present):
        note = f"It has revision {row.revision} already."
        return Planned(f"{service} stays at revision {row.revision}", notes=[note])
    known.require_ecs("do it there")
    notes = [*_doubts(ops, row)]
    steps = deployed(known, row.arn, f"revision {number(present)} to {row.revision}")
    return Planned(f"roll {service} back to revision {row.revision}", steps, notes)


def _chosen(service: str, found: Frame, live: int, to: int) -> Any:
    if to:
        if to not in set(found["revision"]):
            raise unknown_name("revision", str(to), map(str, found["revision"]), f" of {service}")
        return next(row for row in found.itertuples() if row.revision == to)
    well = found[(found["outcome"] == COMPLETED) & (found["revision"] != live)]
    well = well.sort_values("deployed", ascending=False)
    if not len(well):
        raise Refused(
            f"No other revision of {service} is known to have been deployed to its end (ECS tells "
            "of 90 days). Nothing was changed; choose one: to=…"
        )
    return next(well.itertuples())


def _doubts(ops: Connection, row: Any) -> Iterator[str]:
    if row.outcome and row.outcome != COMPLETED:
        yield f"The last deployment of revision {row.revision} ended as {row.outcome}."
    if not row.outcome:
        yield f"Nothing tells how a deployment of revision {row.revision} ended."
    try:
        missing = lacks_image(ops, row.image)
    except OpsError as exc:
        yield f"Whether its image {row.image} is still there is not known: {exc}"
        return
    if missing:
        raise Refused(
            f"The image of revision {row.revision} is gone: {missing} Nothing was changed; choose "
            "another: to=…"
        )


def deployed(
    service: Service, definition: Any, title: str, *, taken_back: bool = False
) -> list[Step]:
    """Steps that give it a task definition and watch its deployment until it is complete.

    `taken_back`: where it fails, and ECS's circuit breaker does not, the service gets the present
    one again.
    """
    thing, present = service.thing, service.described["taskDefinition"]
    do = thing.call("update_service", taskDefinition=definition)
    undo = [thing.call("update_service", taskDefinition=present)]
    what = f"Service {service.facts['name']}: {title}"
    watch = Rollout(
        str(service.facts["cluster"]), thing.name, definition, undo[0] if taken_back else None
    )
    return [
        Step(what, do, present, definition, undo, thing.read("taskDefinition")),
        Step(f"Watch until {thing} runs it", watch, None, "COMPLETED", [], thing.status()),
    ]


def registered(service: Service, title: str, told: tuple[Any, Any], **other: Any) -> list[Step]:
    """Steps to a new revision that keeps every other field of the present one, and its deployment.

    `told`: before and after, in words. It is taken back when it fails.
    """
    old, tags = present_definition(service)
    shape = service.ops.client("ecs").meta.service_model.operation_model("RegisterTaskDefinition")
    # It takes all of a description but what ECS adds by itself.
    kept = {k: v for k, v in old.items() if k in shape.input_shape.members and v not in (None, [])}
    kept |= {"tags": tags} if tags else {}
    made = result("revision.taskDefinition.taskDefinitionArn")
    register = Step(
        f"New revision of {old['family']}: {title}",
        Aws("ecs", "register_task_definition", **kept | other),
        *told,
        [Aws("ecs", "deregister_task_definition", taskDefinition=made)],
        name="revision",
    )
    onward = f"from revision {old['revision']} to the new one"
    return [register, *deployed(service, made, onward, taken_back=True)]


def present_definition(service: Service) -> tuple[Json, list[Json]]:
    """The task definition that it has, and the tags of that."""
    answer = service.ops.call(
        "ecs",
        "describe_task_definition",
        taskDefinition=service.described["taskDefinition"],
        include=["TAGS"],
    )
    return answer["taskDefinition"], answer.get("tags", [])


@planner
def plan_size(ops: Connection, service: str, cpu: int = 0, memory_mb: int = 0) -> Planned:
    """Give its tasks another size, by a new revision that keeps every other field of its present.

    0: as it is. Raises UsageError (no size that Fargate has).
    """
    known = Service(ops, service)
    old, _ = present_definition(known)
    was = int(old.get("cpu") or 0), int(old.get("memory") or 0)
    wanted = cpu or was[0], memory_mb or was[1]
    if wanted == was:
        return Planned(f"{service} stays at {_told(was)}", notes=["Choose: cpu, memory_mb."])
    if "FARGATE" in old.get("requiresCompatibilities", ()):
        _require_size(*wanted)
    _require_room(old, wanted[1])
    sizes = _told(was), _told(wanted)
    given = {"cpu": str(wanted[0]), "memory": str(wanted[1])}
    steps = registered(known, f"{sizes[0]} becomes {sizes[1]}", sizes, **given)
    facts, notes = known.facts, list[str]()
    described = facts.get("cpu", wanted[0]), facts.get("memory_mb", wanted[1])
    if described != wanted:
        notes.append(
            f"The target's file says {_told(described)}: change it there and in what deploys it "
            "(Terraform), or the next deployment takes this back."
        )
    return Planned(f"{service}: tasks of {sizes[1]}", steps, notes)


def _told(size: tuple[int, int]) -> str:
    return f"{size[0] / 1024:g} vCPU and {size[1]:,} MB"


def _require_size(cpu: int, memory_mb: int) -> None:
    known = beside(__file__, "ecs")["fargate"]
    if cpu not in known:
        raise UsageError(f"cpu={cpu}: Fargate has {', '.join(map(str, known))}.")
    if memory_mb not in (sizes := known[cpu]):
        raise UsageError(
            f"memory_mb={memory_mb}: with cpu={cpu} Fargate has {sizes[0]:,} to {sizes[-1]:,} MB, "
            f"in steps of {sizes[1] - sizes[0]:,}."
        )


def _require_room(old: Json, memory_mb: int) -> None:
    """Its containers' own limits have to fit into the task's."""
    limits = [
        each.get("memory") or each.get("memoryReservation") or 0
        for each in old["containerDefinitions"]
    ]
    if sum(limits) > memory_mb:
        raise UsageError(
            f"memory_mb={memory_mb}: the containers of revision {old['revision']} are given "
            f"{sum(limits):,} MB themselves; that stays as it is here."
        )
