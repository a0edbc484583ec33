"""Why tasks stopped, in the words that ECS has for it, and what follows from each.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from collections import Counter

from opslib.core.checks.signs import Sign, sign_of, signs
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json

MEANT = "meant to stop"
UNHEALTHY = "task-unhealthy"
EXITS = "task-exits"
WELL = (MEANT, "host-ended")
ITS_OWN = (EXITS, UNHEALTHY, "container-not-started")  # may be the revision's own fault
_KILLED, _ENDED = 137, 143
STOPS = signs(beside(__file__, "stops"))


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
