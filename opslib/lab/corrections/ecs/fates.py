"""What becomes of a task that is started: what its definition needs, held against what is there.

Looked at are ECR (the image), Secrets Manager (its secrets), and what the estate says that its
containers need: `place.memory["containers"] = {family: {"memory_mb": 900, "variables": [...]}}`.
A fault of the place goes before all that: `place.faults["tasks"] = {family or "*": kind}`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from opslib.core.connections.identities import partition
from opslib.lab.aws.ground import Ground, Standing

Shape = dict[str, Any]
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)[:@](.+)")
_SECRET = re.compile(r"(arn:aws[\w-]*:secretsmanager:[^:]+:\d+:secret:[^:]+)(?::([^:]*))?")


class Fate(NamedTuple):
    """How a task ends. `lives`: whether its containers ran at all before that."""

    code: str  # its stopCode
    reason: str  # its stoppedReason
    exit_code: int | None = None
    container: str = ""  # the container's own reason
    lives: bool = True
    unhealthy: bool = False  # it runs, and is stopped for its health checks


UNPLACED = Fate(
    "",
    "Capacity is unavailable at this time. Please try again later or in a different "
    "availability zone",
    lives=False,
)
KINDS: Mapping[str, Fate] = {
    "capacity": UNPLACED,
    "exit": Fate("EssentialContainerExited", "Essential container in task exited", 1),
    "memory": Fate(
        "EssentialContainerExited",
        "OutOfMemoryError: Container killed due to memory usage",
        137,
        "OutOfMemoryError: Container killed due to memory usage",
    ),
    "unhealthy": Fate(
        "ServiceSchedulerInitiated", "Task failed container health checks", 137, unhealthy=True
    ),
}


def of(world: Ground[Standing], account: str, region: str, definition: Any) -> Fate | None:
    """None: it runs. `definition`: moto's TaskDefinition."""
    for place in world.places_in(account, region):
        faults = place.faults.get("tasks", {})
        kind = faults.get(f"{definition.family}:{definition.revision}") or faults.get(
            definition.family, faults.get("*")
        )
        if kind and kind != "denied":
            return KINDS[kind]
    for container in definition.container_definitions:
        failed = (
            _image(world, region, container)
            or _secrets(world, account, region, definition, container)
            or _app(world, account, region, definition, container)
        )
        if failed:
            return failed
    return None


def _image(world: Ground[Standing], region: str, container: Shape) -> Fate | None:
    """An image of ECR has to be there; others are. Its manifest may say what becomes of it."""
    if not (named := _ECR.fullmatch(container["image"])):
        return None
    account, where, name, tag = named.groups()
    repository = world.backend("ecr", account, where).repositories.get(name)
    ref = f"failed to resolve ref {container['image']}"
    if repository is None:
        return _unpulled(
            f"{ref}: pull access denied, repository does not exist or may require "
            "authorization: server message: insufficient_scope: authorization failed"
        )
    found = [each for each in repository.images if tag in (*each.image_tags, each.image_digest)]
    if not found:
        return _unpulled(f"{ref}: {container['image']}: not found")
    return KINDS.get(json.loads(found[0].image_manifest).get("lab", ""))


def _unpulled(why: str) -> Fate:
    reason = f"CannotPullContainerError: pull image manifest has been retried 7 time(s): {why}"
    return Fate("TaskFailedToStart", reason, None, reason, lives=False)


def _secrets(
    world: Ground[Standing], account: str, region: str, definition: Any, container: Shape
) -> Fate | None:
    denied = _is_denied(world, account, region, definition.family)
    for secret in container.get("secrets", ()):
        if not (found := _SECRET.match(secret["valueFrom"])):
            continue
        arn, key = found[1], found[2]
        if denied:
            user = (
                f"arn:{partition(region)}:sts::{account}:assumed-role/{definition.family}-execution"
            )
            return _unread(
                f"failed to fetch secret {arn} from secrets manager: AccessDeniedException: User: "
                f"{user} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
                f"{arn} because no identity-based policy allows the secretsmanager:GetSecretValue "
                "action"
            )
        value = _value(world, account, region, arn)
        if value is None:
            return _unread(
                f"failed to fetch secret {arn} from secrets manager: ResourceNotFoundException: "
                "Secrets Manager can't find the specified secret."
            )
        if key and key not in _object(value):
            return _unread(f"retrieved secret from Secrets Manager did not contain json key {key}")
    return None


def _unread(why: str) -> Fate:
    reason = (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        "retrieval failed: unable to retrieve secret from asm: service call has been retried 1 "
        f"time(s): {why}"
    )
    return Fate("TaskFailedToStart", reason, lives=False)


def _is_denied(world: Ground[Standing], account: str, region: str, family: str) -> bool:
    return any(
        "denied" in (place.faults.get("tasks", {}).get(each) for each in (family, "*"))
        for place in world.places_in(account, region)
    )


def _value(world: Ground[Standing], account: str, region: str, arn: str) -> str | None:
    """The current value; None when the secret is gone, or is to be deleted."""
    for secret in world.backend("secretsmanager", account, region).secrets.values():
        if secret.arn == arn or secret.arn.rpartition("-")[0] == arn:
            current = secret.versions.get(secret.default_version_id) or {}
            return None if secret.is_deleted() else str(current.get("secret_string", ""))
    return None


def _object(text: str) -> Shape:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _app(
    world: Ground[Standing], account: str, region: str, definition: Any, container: Shape
) -> Fate | None:
    """What the estate says that the app in the container needs."""
    for place in world.places_in(account, region):
        needs = place.memory.get("containers", {}).get(definition.family)
        if needs is None:
            continue
        memory = int(container.get("memory") or definition.memory or 0)
        if memory and memory < needs.get("memory_mb", 0):
            return KINDS["memory"]
        given = {
            each["name"]
            for each in (*container.get("environment", ()), *container.get("secrets", ()))
        }
        if missing := sorted(set(needs.get("variables", ())) - given):
            return KINDS["exit"]._replace(container=f"no {', '.join(missing)}")
    return None
