"""Is each service as it is meant to be: its count, its deployment, its tasks, its targets?"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

import jmespath

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    Sign,
    answer,
    beside,
    check,
    count,
    dtypes,
    frame,
    services,
    sign_of,
    signs,
    stops,
)
from opslib.services.reading import Service, number

TASKS = dtypes("""
    service  str
    task     str
    revision int64
    status   str
    health   str
    started  utc
    stopped  utc
    reason   str
""")
_ROW = "{status: lastStatus, health: healthStatus || '', started: startedAt, stopped: stoppedAt}"
STUCK, BAD_REVISION = "deployment-stuck", "bad-revision"
OF_REVISION = Sign(BAD_REVISION, "", "the revision does not work", next="services/rollback")
_UNDER_WAY = timedelta(minutes=30)  # a deployment that takes longer is stuck
_LATELY = timedelta(hours=1)
_DESCRIBE = "ecs DescribeServices"
EVENTS = signs(beside(__file__, "ecs")["events"])


@check("Do the services run what they are meant to?")
def check_services(ops: Connection, service: str = "") -> Findings:
    """Count against what is desired, the newest deployment, and what ECS's events say of the last
    hour; of one service, or of all that the target's file names.
    """
    found = Service.each(ops, service, lambda of: [*_judged(of)], "service {}")
    return Findings(chain.from_iterable(found))


def _judged(service: Service) -> Iterator[Finding]:
    yield _counted(service)
    yield answer(f"deployment of {service.key}", _deployment, service)
    yield _events(service)


def _counted(service: Service) -> Finding:
    told, facts = service.described, service.facts
    running, wanted, pending = (told[f"{of}Count"] for of in ("running", "desired", "pending"))
    least = facts.get("min_tasks", facts.get("tasks", 1))
    asked = Question(f"tasks of {service.key}", f"as many as desired, at least {least}", _DESCRIBE)
    seen = f"{running} of {wanted} run" + f", {pending} begin" * bool(pending)
    if told["status"] != "ACTIVE":
        seen += f"; the service is {told['status']}: somebody deleted it"
        return asked.critical(seen, next="changes/configuration")
    if wanted < least:
        status = "critical" if not running and least else "warn"
        return asked.answer(
            status, f"{seen}; fewer are desired than described", next="services/scale"
        )
    few = "critical" if running < max(1, least) else "warn"
    well = running >= wanted or (few == "warn" and running + pending >= wanted and _begin(service))
    return asked.judged(well, seen, otherwise=few, next="services/health")


def _begin(service: Service) -> bool:
    """Whether what does not run yet was begun just now, and none before it ended by itself."""
    lately = service.ops.now() - _LATELY / 6
    started = [each["createdAt"] for each in service.tasks("RUNNING")]
    ended = {each.get("stopCode") for each in service.stopped} - {"ServiceSchedulerInitiated"}
    return not ended and sum(at > lately for at in started) >= service.described["pendingCount"]


def _deployment(service: Service) -> Finding:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html"""
    told = service.described
    rule = f"completed, or under way for less than {_UNDER_WAY.seconds // 60} minutes"
    asked = Question(f"deployment of {service.key}", rule, _DESCRIBE)
    kind = told.get("deploymentController", {}).get("type", "ECS")
    primary = services.primary(told)
    if kind != "ECS" or primary is None:
        seen = f"deployed by {kind}: ECS does not tell how it went"
        return asked.unknown(seen, next="deployments/verify")
    age, state = service.ops.now() - primary["createdAt"], primary.get("rolloutState")
    failed = primary.get("failedTasks", 0)
    seen = f"revision {number(primary['taskDefinition'])}, since "
    seen += f"{primary['createdAt']:%m-%d %H:%M} UTC: {state}"
    seen += f", {count(failed, 'task')} failed" * bool(failed)
    if state == "COMPLETED":
        return _taken_back(service, asked, seen) or asked.ok(seen, cause=BAD_REVISION)
    if state == "IN_PROGRESS" and age < _UNDER_WAY and not failed:
        return asked.ok(f"{seen}, ends by itself", cause=STUCK)
    why = primary.get("rolloutStateReason", "")
    if state == "FAILED" or failed:
        shown = _shown(service, primary["taskDefinition"])
        return asked.critical(f"{seen}: {why}", cause=shown.name, next=shown.next)
    if state == "IN_PROGRESS":
        seen += f", for {age.total_seconds() / 60:.0f} min"
        return asked.critical(seen, cause=STUCK, next="services/health")
    return asked.unknown(f"{seen}: {why}")


def _taken_back(service: Service, asked: Question, seen: str) -> Finding | None:
    """A deployment of the last day that ECS itself took back."""
    for each in service.latest:
        age, of = service.ops.now() - each["createdAt"], each.get("taskDefinition") or ""
        over = _is_over(service, of) or age > timedelta(days=1)
        if each["status"].startswith("ROLLBACK") and not over:
            which = f"revision {number(of)}" if of else "the newest"
            why = each.get("statusReason") or each["status"]
            seen += f"; {which}, of {each['createdAt']:%m-%d %H:%M}, was taken back: {why}"
            cause = _shown(service, of).name if of else BAD_REVISION
            return asked.warn(seen, cause=cause, next="services/health")
    return None


def _is_over(service: Service, definition: str) -> bool:
    """Whether a deployment that failed is the past: a newer revision has completed since."""
    now = service.described["deployments"][0]
    later = definition and number(now["taskDefinition"]) > number(definition)
    return bool(later) and now.get("rolloutState") == "COMPLETED"


def _failed(service: Service) -> list[str]:
    """Task definitions whose deployment failed, or fails now, newest first."""
    found = [
        each["taskDefinition"]
        for each in service.described["deployments"]
        if each.get("rolloutState") != "COMPLETED" and each.get("failedTasks")
    ]
    old = [each for each in service.latest if each["status"].startswith("ROLLBACK")]
    return [*found, *(each["taskDefinition"] for each in old if each["taskDefinition"])]


def _shown(service: Service, definition: str) -> Sign:
    """What its stopped tasks show: what it lacks, else that it is the revision's own fault."""
    tasks = [each for each in service.stopped if each["taskDefinitionArn"] == definition]
    found = [sign for sign, *_ in stops.counted(tasks) if sign.name not in stops.WELL]
    return found[0] if found and found[0].name not in stops.ITS_OWN else OF_REVISION


def _events(service: Service) -> Finding:
    now = service.ops.now()
    asked = Question(f"events of {service.key}", "none that is a trouble within an hour", _DESCRIBE)
    since, failed = now - _LATELY, _failed(service)
    if failed and _is_over(service, max(failed, key=number)):
        since = service.described["deployments"][0]["createdAt"]
    told = [each for each in service.described.get("events", ()) if each["createdAt"] > since]
    shown = [(each, sign_of(EVENTS, each["message"])) for each in told]
    bad = [(each, sign) for each, sign in shown if sign.name]
    if not bad:
        return asked.ok(f"{count(len(told), 'event')}, none of them a trouble")
    (first, sign), many = bad[0], len(bad)
    seen = f"{sign.means}: {first['message']}" + f" ({many} like it)" * (many > 1)
    status = "critical" if sign.name in ("no-capacity", BAD_REVISION) else "warn"
    if sign.name == BAD_REVISION and failed:
        sign = _shown(service, failed[0])
    return asked.answer(status, seen, cause=sign.name, next=sign.next)


@check("Why did tasks stop?")
def check_tasks(ops: Connection, service: str = "") -> Findings:
    """Tasks that run, and those that stopped within the last hour, by what ECS says of each.

    Evidence: TASKS. ECS forgets stopped tasks after an hour.
    """
    told = Service.each(ops, service, _tasks, "tasks of {}")
    rows = [row for _, tasks in told for row in tasks]
    return Findings((each for findings, _ in told for each in findings), frame(rows, TASKS))


def _tasks(service: Service) -> tuple[list[Finding], list[Json]]:
    every = service.tasks("RUNNING", "STOPPED")
    stopped = [each for each in every if each["lastStatus"] == "STOPPED"]
    words, rule = f"stopped tasks of {service.key}", "only those that were meant to"
    asked = Question(words, rule, "ecs DescribeTasks")
    found, failed = [], _failed(service)
    for sign, many, newest in stops.counted(stopped):
        if sign.name in stops.WELL:
            continue
        seen = f"{count(many, 'task')} within an hour, {sign.means}: {stops.reason(newest)}"
        alive = service.described["runningCount"] >= max(1, service.described["desiredCount"])
        status = "warn" if alive or many == 1 else "critical"
        if sign.name in stops.ITS_OWN and newest["taskDefinitionArn"] in failed:
            sign = OF_REVISION
        found.append(asked.answer(status, seen, cause=sign.name, next=sign.next))
    if not found:
        seen = f"{count(len(stopped), 'task')} within an hour" + ", as meant" * bool(stopped)
        found = [asked.ok(seen, cause=stops.UNHEALTHY)]
    bad = [
        each for each in every if each.get("healthStatus") == "UNHEALTHY" and each not in stopped
    ]
    if bad:
        seen = f"{count(len(bad), 'task')} unhealthy by the container's own health check"
        found.append(asked.critical(seen, cause=stops.UNHEALTHY, next="services/health"))
    return found, [
        jmespath.search(_ROW, each)
        | {
            "service": service.key,
            "task": each["taskArn"].rpartition("/")[2],
            "revision": number(each["taskDefinitionArn"]),
            "reason": stops.reason(each),
        }
        for each in every
    ]


@check("Does the load balancer take its tasks for healthy?")
def check_targets(ops: Connection, service: str = "") -> Findings:
    """The targets of each service's target groups, with the load balancer's reason for each."""
    found = Service.each(ops, service, lambda of: [*_targets(of)], "targets of {}")
    return Findings(chain.from_iterable(found))


def _targets(service: Service) -> Iterator[Finding]:
    """One finding a target group; none for a service that no load balancer knows."""
    for group in service.target_groups:
        told = service.ops.call("elbv2", "describe_target_health", TargetGroupArn=group)
        every = [each["TargetHealth"] for each in told["TargetHealthDescriptions"]]
        words = f"targets of {service.key} in {group.split('/')[1]}"
        asked = Question(words, "all healthy, at least one", "elbv2 DescribeTargetHealth")
        states = Counter(each["State"] for each in every)
        seen = ", ".join(f"{many} {state}" for state, many in states.items())
        bad = [each for each in every if each["State"] in ("unhealthy", "unavailable", "unused")]
        said = {each.get("Reason", ""): each.get("Description", "") for each in reversed(bad)}
        for reason, many in Counter(each.get("Reason", "") for each in bad).items():
            means = beside(__file__, "ecs")["reasons"].get(reason, "not understood")
            seen += f"; {many} {reason}: {means} ({said[reason]})"
        few = "warn" if states["healthy"] else "critical"
        yield asked.judged(
            bool(states["healthy"]) and not bad,
            seen or "none is registered",
            otherwise=few,
            cause="targets-unhealthy",
            next="services/health",
        )
