"""Would another task of a service start? What ECS reads before the app begins is looked for.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
"""

import re
from collections.abc import Sequence
from functools import partial
from itertools import chain

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Planned,
    Question,
    Refused,
    answer,
    check,
    planner,
)
from opslib.services.consumers import steps_anew, taken
from opslib.services.reading import Service, lacks_image

_SECRET = "secret-missing"
_UNSET = re.compile(r"(?i)\s*|change.?me|to.?do|replace.?me|placeholder|dummy|x{3,}|none|null|<.*>")


@check("Would another task start?")
def check_startable(ops: Connection, service: str = "") -> Findings:
    """Images, log groups and secrets of each service's task definition, with the keys asked for.

    What runs goes on without them, until a task is replaced: scaled out, deployed, moved by AWS.
    """
    return Findings(chain(*Service.each(ops, service, _judged, "next task of {}")))


def require_startable(ops: Connection, services: Sequence[str]) -> None:
    """Raises Refused: who is started anew would not come up again, or nobody knows."""
    for found in chain(*(_judged(Service(ops, key)) for key in services)):
        if found.status != "ok":
            raise Refused(f"{found.check} {found.seen}. Nothing was changed: mend that first.")


@planner
def plan_restart(ops: Connection, service: str) -> Planned:
    """Its tasks anew, of the same revision and one after the other.

    Raises Refused: they would not come up again, a deployment is under way, or another than ECS
    deploys it.
    """
    known = Service(ops, service)
    known.require_settled()
    require_startable(ops, [service])
    told, notes = known.described, ["The revision stays: only what it reads may be another."]
    if not told["desiredCount"]:
        return Planned(f"{service} has no task", notes=["Start some: services/scale."])
    least = told.get("deploymentConfiguration", {}).get("minimumHealthyPercent", 100)
    if told["desiredCount"] * least < 100:
        notes.append(
            f"Its minimumHealthyPercent is {least}: nothing answers until the first has started."
        )
    return Planned(f"{service}: its tasks anew", steps_anew(ops, [service]), notes)


def _judged(service: Service) -> list[Finding]:
    definition, words = service.definition(), f"next task of {service.key}"
    asked = Question(
        words, "what it reads is there", "ecr DescribeImages, DescribeLogGroups, GetSecretValue"
    )
    looks = [
        partial(look, asked, service, each)
        for each in definition["containerDefinitions"]
        for look in (_image, _log_group)
    ]
    looks += [
        partial(_secret, asked, service, name, of, "".join(rest[:1]))
        for name, of, rest in taken(definition)
        if ":secretsmanager:" in of and not any(rest[1:])
    ]
    found = [answer(words, look) for look in looks]
    return [f for f in found if f.status != "ok"] or [asked.ok("there", cause=_SECRET)]


def _image(asked: Question, service: Service, container: Json) -> Finding:
    why = lacks_image(service.ops, container["image"])
    seen = f"would not start: the image of {container['name']} is gone. {why}"
    return asked.judged(not why, seen, cause="image-not-pulled", next="services/rollback")


def _log_group(asked: Question, service: Service, container: Json) -> Finding:
    options = (container.get("logConfiguration") or {}).get("options") or {}
    name = options.get("awslogs-group", "")
    there = not name or options.get("awslogs-create-group") == "true"
    path = "logGroups[].logGroupName"
    there = there or name in service.ops.pages(
        "logs", "describe_log_groups", path, logGroupNamePrefix=name
    )
    seen = f"would not start: its log group {name} is not there"
    return asked.judged(there, seen, cause="log-group-missing", next="services/rollback")


def _secret(asked: Question, service: Service, name: str, of: str, key: str) -> Finding:
    """No value is told."""
    secret = of.rpartition(":")[2]
    try:
        held = service.ops.secret(of)
    except NotFound as exc:
        seen = f"would not start, or without {name}: {exc}"
        return asked.critical(seen, cause=_SECRET, next="secrets/rotate")
    value = (held.get(key) if isinstance(held, dict) else None) if key else held
    seen = f"would have no {name}: secret {secret} holds nothing there, or a stand-in"
    if value is None:
        seen = f"would not start: secret {secret} has no key {key}, and {name} is made of it"
    passed = value is not None and not _UNSET.fullmatch(str(value))
    # what an editor, an echo or a shell leaves there
    if passed and str(value) != str(value).strip(" \t\r\n\ufeff\"'"):
        seen = f"would take {name} with blanks, quotes or a line's end around it, as in {secret}"
        return asked.warn(seen, cause=_SECRET, next="secrets/rotate")
    return asked.judged(passed, seen, cause=_SECRET, next="secrets/rotate")
