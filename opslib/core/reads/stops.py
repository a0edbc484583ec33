"""Why tasks stopped, in the words that ECS has for it, and what follows from each.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

from collections import Counter

from opslib.core.checks.signs import Sign, sign_of
from opslib.core.tables import Json

MEANT = "meant to stop"
NOT_UNDERSTOOD = "task-stopped"
OUT_OF_MEMORY, UNHEALTHY = "task-out-of-memory", "task-unhealthy"
EXITS = "task-exits"
WELL = (MEANT, "host-ended")
ITS_OWN = (EXITS, UNHEALTHY, "container-not-started")  # may be the revision's own fault
_KILLED, _ENDED = 137, 143
STOPS = (
    Sign(
        "task-without-network",
        r"(ResourceInitialization|CannotPull|CannotStart|pull image|registry auth).*(time-?d? ?out"
        r"|deadline exceeded|dial tcp|no route|unreachable|connection (refused|reset)|no such host)"
        r"|network interface provisioning",
        "it cannot reach the registry or a service: no way out of its subnets",
        next="network/endpoints",
    ),
    Sign(
        "image-not-pulled",
        r"CannotPull\w*|pull access denied|manifest (unknown|for .* not found)|toomanyrequests"
        r"|failed to resolve ref|image .*(not found|does not exist)|ImageNotFound",
        "its image cannot be pulled",
        next="services/rollback",
    ),
    Sign(
        "log-group-missing",
        r"(log group|log stream|awslogs|logging driver|logger).{0,80}(does not exist|not exist"
        r"|failed|AccessDenied|not authorized)|failed to (validate|create) log",
        "the log group that it writes to is not there, or closed to it",
        next="services/health",
    ),
    Sign(
        "secret-denied",
        r"ResourceInitializationError.*(AccessDenied|not authorized|AccessDeniedException)",
        "its execution role may not read a secret, a parameter or the registry",
        next="services/health",
    ),
    Sign(
        "secret-missing",
        r"ResourceInitializationError.*(ResourceNotFound|can't find|did not contain json key"
        r"|invalid (ssm )?parameters?|ParameterNotFound|marked (for deletion|deleted))"
        r"|AsmFetching|SecretNotFound",
        "a secret, or its key, that the task definition names is not there",
        next="services/rollback",
    ),
    Sign(
        "no-capacity",
        r"capacity is unavailable|unable to place|RESOURCE:|insufficient (cpu|memory|capacity)"
        r"|no container instances|InsufficientFreeAddresses|not enough .{0,20}addresses"
        r"|outofcapacity|vcpu limit|reached the limit on the number of",
        "there is no capacity for it where it may run",
        next="services/scale",
    ),
    Sign(
        "spot-interrupted",
        r"spot(interruption| (task|instance|capacity).*interrupted)",
        "its Spot capacity was taken back",
        next="services/scale",
    ),
    Sign(
        OUT_OF_MEMORY,
        r"out ?of ?memory|oom[- ]?kill|killed due to memory",
        "a container used more memory than it may",
        next="services/size",
    ),
    Sign(
        UNHEALTHY,
        r"(failed|failing).{0,30}health checks?|health checks? fail|is unhealthy",
        "its health checks failed",
        next="services/health",
    ),
    Sign(
        "container-not-started",
        r"Cannot(Start|Create|Inspect)Container|exec format error|executable file not found"
        r"|no such file or directory|exec: |ContainerRuntime|permission denied: unknown",
        "its container cannot be started: command, architecture or files",
        next="services/rollback",
    ),
    Sign(
        "volume-not-mounted",
        r"CannotCreateVolume|mount.*(failed|denied|timed)|EFS|file ?system",
        "a volume cannot be mounted",
        next="services/health",
    ),
    Sign(
        "host-ended",
        r"terminationnotice|host.*(maintenance|retire|terminat)|infrastructure|instance.*terminat"
        r"|FARGATE.*(patch|update|platform)|maintenance on the",
        "what it ran on was ended or renewed by AWS",
    ),
    Sign(
        MEANT,
        r"scaling activity initiated by|stopped by user|user ?initiated|service was deleted"
        r"|(replacement|deployment|draining|rebalanc|deregist)",
        "somebody or a deployment stopped it",
    ),
    Sign(
        EXITS,
        r"essential container|exited|exit ?code",
        "its app ended by itself: its log says why",
        next="services/health",
    ),
    Sign(NOT_UNDERSTOOD, "", "for a reason that is not understood", next="services/health"),
)


def reason(task: Json) -> str:
    """All that ECS says of it: stop code, reason, each container's exit code and reason."""
    told = [task.get("stopCode", ""), task.get("stoppedReason", "")]
    for container in task.get("containers", ()):
        code = container.get("exitCode")
        said = [f"{container.get('name')} exited with {code}" * (code is not None)]
        told += [*said, container.get("reason", "")]
    return "; ".join(dict.fromkeys(filter(None, told)))


def sign(task: Json) -> Sign:
    """What it shows. A task that was meant to stop, and ended by SIGTERM or SIGKILL, was well."""
    found = sign_of(STOPS, reason(task))
    codes = {each.get("exitCode") for each in task.get("containers", ())} - {None, 0}
    if found.name == MEANT and codes - {_KILLED, _ENDED, 130}:
        return next(each for each in STOPS if each.name == EXITS)
    return found


def counted(tasks: list[Json]) -> list[tuple[Sign, int, Json]]:
    """Each sign with how many tasks show it and the newest of them; the most frequent first."""
    by: Counter[str] = Counter(sign(task).name for task in tasks)
    newest = {sign(task).name: task for task in sorted(tasks, key=_stopped)}
    signs = {each.name: each for each in STOPS}
    return [(signs[name], many, newest[name]) for name, many in by.most_common()]


def _stopped(task: Json) -> str:
    return str(task.get("stoppedAt") or task.get("stoppingAt") or task.get("createdAt"))
