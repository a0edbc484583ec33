"""A new image for a service: what is looked at before, the change, what is looked at after."""

from collections.abc import Callable
from datetime import timedelta
from itertools import chain

from opslib import alarms, health
from opslib.core import Connection, Findings, NotFound, Planned, Refused, planner
from opslib.services import images
from opslib.services.balancers import check_answers
from opslib.services.reading import Service, find_image
from opslib.services.revisions import present_definition, registered
from opslib.services.states import check_services, check_targets

Look = Callable[[Connection], Findings]
_LATEST = "latest"
# that answers are looked at; a whole period of five minutes fits into the least
_LEAST, _MOST = timedelta(minutes=10), timedelta(minutes=15)


def _described(ops: Connection, *looks: tuple[str, Look]) -> Findings:
    """What the checks answer whose part the target's file describes."""
    asked = [look for part, look in looks if part in ops.target.facts]
    return Findings(chain.from_iterable(look(ops) for look in asked))


def check_quiet(ops: Connection, service: str) -> Findings:
    """Before: alarms and silences, the service, its targets. After: the same, probes, answers."""
    of_it = [*check_services(ops, service), *check_targets(ops, service)]
    around = _described(ops, ("alarms", alarms.check_alarms), ("alarms", alarms.check_silences))
    return Findings([*of_it, *around])


def check_released(ops: Connection, service: str) -> Findings:
    """As before; and do the probes answer, and how many requests failed since?"""
    probes = _described(ops, ("api", health.check_probes))
    age = ops.now() - Service(ops, service).described["deployments"][0]["createdAt"]
    minutes = min(_MOST, max(_LEAST, age)).total_seconds() / 60
    answers = check_answers(ops, service, minutes=minutes)
    return Findings([*check_quiet(ops, service), *probes, *answers])


@planner
def plan_deploy(ops: Connection, service: str, image: str) -> Planned:
    """Give a service another image, by a new revision that keeps every other field.

    `image`: a tag or digest of its repository. Raises UsageError; Refused: it is not there, a
    deployment is under way, or another than ECS deploys it.
    """
    known = Service(ops, service)
    wanted, notes = _resolved(known, image)
    known.require_ecs("do it there")
    old, _ = present_definition(known)
    container = known.container(old)
    if container["image"] == wanted[0]:
        return Planned(f"{service} stays at {image}", notes=[f"It has {wanted[0]} already."])
    known.require_settled()
    containers = [
        each | {"image": wanted[0]} if each["name"] == container["name"] else each
        for each in old["containerDefinitions"]
    ]
    title = f"image of {container['name']}: {image}"
    told = container["image"], " ".join(wanted)
    steps = registered(known, title, told, containerDefinitions=containers)
    notes.append(f"The way back: revision {old['revision']}, {container['image']}.")
    return Planned(f"deploy {image} to {service}", steps, notes)


def _resolved(service: Service, image: str) -> tuple[list[str], list[str]]:
    """The image's name with its digest, which the plan's own name covers; and notes.

    `latest` moves, so that its digest stands in for it.
    """
    name = images.named(service, image)
    try:
        found = find_image(service.ops, name)
    except NotFound as exc:
        raise Refused(f"{name} cannot be deployed: {exc} Nothing was changed.") from exc
    if found is None and image == _LATEST:
        raise Refused(
            f"{name} moves, and what it is now cannot be asked here. Nothing was changed."
        )
    if found is None:
        return [name], [f"{name} is not in ECR: whether it is there is not known."]
    if image != _LATEST:
        return [name, found["imageDigest"]], []
    note = f"latest moves; it is {images.told(found)}. The revision names that digest instead."
    return [images.named(service, found["imageDigest"])], [note]
