"""A service's scheduler: deployments, tasks that start, fail and drain, events in AWS's words."""

import math
import uuid
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.corrections.ecs.fates import UNPLACED, Fate

Shape = dict[str, Any]
PENDING, RUNNING, SETTLED, DRAINED = (timedelta(seconds=each) for each in (0.4, 1.5, 2.2, 1.0))
_KEPT_EVENTS, _KEPT_STOPPED = 100, timedelta(hours=1)
_AGAIN = timedelta(seconds=2)  # before a task is started again in place of one that failed


class Scheduler:
    """One service. What the API shows are dicts by the API's names.

    shown:        of DescribeServices, without what is counted
    deployments:  newest first: PRIMARY, then ACTIVE ones that drain
    history:      every service deployment, newest first, as ListServiceDeployments has it
    not_before:   when the next task may start
    """

    def __init__(self, shown: Shape, arn_of_task: str, when: datetime) -> None:
        self.shown, self._arn = shown, arn_of_task
        self.tasks: list[Shape] = []
        self.deployments: list[Shape] = []
        self.history: list[Shape] = []
        self.fates: dict[str, Fate | None] = {}  # by task
        self.not_before = when

    @property
    def name(self) -> str:
        return str(self.shown["serviceName"])

    @property
    def desired(self) -> int:
        return int(self.shown["desiredCount"])

    def deploy(self, definition: str, when: datetime) -> None:
        """A new deployment of a task definition (its ARN); it replaces what is under way."""
        if self.history and self.history[0]["status"] == "IN_PROGRESS":
            self.history[0] |= {
                "status": "STOPPED",
                "finishedAt": when,
                "statusReason": "A new service deployment was started.",
            }
        number = uuid.uuid4().int % 10**19
        made = {
            "id": f"ecs-svc/{number}",
            "status": "PRIMARY",
            "taskDefinition": definition,
            "failedTasks": 0,
            "createdAt": when,
            "updatedAt": when,
            "launchType": self.shown.get("launchType", "FARGATE"),
            "networkConfiguration": self.shown.get("networkConfiguration", {}),
            "rolloutState": "IN_PROGRESS",
            "rolloutStateReason": f"ECS deployment ecs-svc/{number} in progress.",
        }
        self.deployments.insert(0, made)
        for each in self.deployments[1:]:  # only now: who looks meanwhile sees one that is PRIMARY
            each["status"] = "ACTIVE"
        self.shown["taskDefinition"] = definition
        base = self.shown["serviceArn"].replace(":service/", ":service-deployment/")
        revision = self.shown["serviceArn"].replace(":service/", ":service-revision/")
        self.history.insert(
            0,
            {
                "serviceDeploymentArn": f"{base}/{uuid.uuid4().hex[:20]}",
                "serviceArn": self.shown["serviceArn"],
                "clusterArn": self.shown["clusterArn"],
                "createdAt": when,
                "startedAt": when,
                "targetServiceRevisionArn": f"{revision}/{number}",
                "taskDefinition": definition,
                "deployment": made["id"],
                "status": "IN_PROGRESS",
            },
        )
        self.not_before = when

    def of(self, deployment: Shape) -> list[Shape]:
        """Its tasks that are not stopped."""
        return [
            each
            for each in self.tasks
            if each["startedBy"] == deployment["id"] and each["desiredStatus"] == "RUNNING"
        ]

    def settle(self, when: datetime) -> None:
        """Everything that takes time is over: as it is at the lab's start."""
        for at in range(self.desired + 3):
            self.step(when + timedelta(seconds=3 * at), {})

    def step(self, now: datetime, fates: dict[str, Fate | None]) -> None:
        """Goes on until now. `fates`: what becomes of tasks, by task definition."""
        for task in self.tasks:
            self._go_on(task, now)
        self.tasks = [
            each
            for each in self.tasks
            if "stoppedAt" not in each or now - each["stoppedAt"] < _KEPT_STOPPED
        ]
        if not self.deployments:
            return
        primary, *old = self.deployments
        self._start(primary, now, fates)
        self._drain(primary, old, now)
        self._judge(primary, now)
        self.deployments = [
            each
            for each in self.deployments
            if each["status"] == "PRIMARY" or self.of(each) or self._ending(each)
        ]

    def _go_on(self, task: Shape, now: datetime) -> None:
        age = now - task["createdAt"]
        if task["desiredStatus"] == "STOPPED":
            if task["lastStatus"] != "STOPPED" and now - task["stoppingAt"] >= DRAINED:
                self._stopped(task, now)
            return
        fate = self.fates.get(task["taskArn"])
        if task["lastStatus"] == "PROVISIONING" and age >= PENDING:
            task["lastStatus"] = "PENDING"
        if task["lastStatus"] == "PENDING" and age >= RUNNING:
            if fate and not fate.lives:
                self._fail(task, fate, now)
                return
            task |= {"lastStatus": "RUNNING", "startedAt": now, "connectivity": "CONNECTED"}
            for container in task["containers"]:
                container["lastStatus"] = "RUNNING"
        if task["lastStatus"] == "RUNNING" and now - task["startedAt"] >= SETTLED - RUNNING:
            if fate:
                self._fail(task, fate, now)
            elif task["healthStatus"] == "UNKNOWN":
                task["healthStatus"] = "HEALTHY"

    def _fail(self, task: Shape, fate: Fate, now: datetime) -> None:
        task |= {
            "stopCode": fate.code,
            "stoppedReason": fate.reason,
            "stoppingAt": now,
            "desiredStatus": "STOPPED",
        }
        if fate.unhealthy:
            self.tell(now, f"(task {_short(task)}) failed container health checks.")
            task["healthStatus"] = "UNHEALTHY"
        for container in task["containers"]:
            container |= {"reason": fate.container} if fate.container else {}
            container |= {"exitCode": fate.exit_code} if fate.exit_code is not None else {}
        self._stopped(task, now)
        for each in self.deployments:
            if each["id"] == task["startedBy"]:
                each["failedTasks"] += each["rolloutState"] != "COMPLETED"
                each["updatedAt"] = now
        self.not_before = now + _AGAIN

    def _stopped(self, task: Shape, now: datetime) -> None:
        task |= {"lastStatus": "STOPPED", "stoppedAt": now}
        for container in task["containers"]:
            container["lastStatus"] = "STOPPED"

    def _start(self, primary: Shape, now: datetime, fates: dict[str, Fate | None]) -> None:
        """What is missing, within the deployment's maximum; nothing while the last one failed."""
        given = self.shown.get("deploymentConfiguration", {})
        most = math.floor(self.desired * given.get("maximumPercent", 200) / 100)
        alive = sum(each["desiredStatus"] == "RUNNING" for each in self.tasks)
        missing = min(self.desired - len(self.of(primary)), most - alive)
        if missing <= 0 or now < self.not_before or primary["rolloutState"] == "FAILED":
            return
        fate = fates.get(primary["taskDefinition"])
        if fate is UNPLACED:
            self.tell(now, f"was unable to place a task. Reason: {fate.reason}.")
            self.not_before = now + _AGAIN * 3
            return
        made = [self._task(primary, now) for _ in range(missing)]
        self.fates |= {each["taskArn"]: fate for each in made}
        self.tasks += made
        names = " ".join(f"(task {_short(each)})" for each in made)
        self.tell(now, f"has started {missing} tasks: {names}.")

    def _task(self, deployment: Shape, now: datetime) -> Shape:
        arn = f"{self._arn}/{uuid.uuid4().hex}"
        kept = ("clusterArn", "launchType", "platformVersion")
        about: Shape = {name: self.shown[name] for name in kept if name in self.shown}
        return {
            **about,
            "taskArn": arn,
            "taskDefinitionArn": deployment["taskDefinition"],
            "startedBy": deployment["id"],
            "group": f"service:{self.name}",
            "createdAt": now,
            "desiredStatus": "RUNNING",
            "lastStatus": "PROVISIONING",
            "healthStatus": "UNKNOWN",
            "containers": [],
            "attachments": [
                {
                    "type": "ElasticNetworkInterface",
                    "status": "ATTACHED",
                    "details": [{"name": "privateIPv4Address", "value": self._address(arn)}],
                }
            ],
            "tags": [],
        }

    def _address(self, arn: str) -> str:
        """A private address of its own."""
        number = zlib.crc32(arn.encode())
        return f"10.{90 + number % 9}.{number // 9 % 250}.{4 + number // 2250 % 250}"

    def _drain(self, primary: Shape, old: Iterable[Shape], now: datetime) -> None:
        """Old tasks go as far as enough are healthy without them; then what is too many."""
        given = self.shown.get("deploymentConfiguration", {})
        least = math.ceil(self.desired * given.get("minimumHealthyPercent", 100) / 100)
        ready = [each for each in self.of(primary) if each["healthStatus"] == "HEALTHY"]
        left = [each for deployment in old for each in self.of(deployment)]
        spare = len(ready) + sum(each["lastStatus"] == "RUNNING" for each in left) - least
        going = left[: max(0, spare)] + [each for each in left if each["lastStatus"] != "RUNNING"]
        going += self.of(primary)[self.desired :]
        unique = {each["taskArn"]: each for each in going}
        for task in unique.values():
            stop(
                task,
                now,
                "ServiceSchedulerInitiated",
                f"Scaling activity initiated by (deployment {task['startedBy']})",
            )
        if unique:
            names = " ".join(f"(task {_short(each)})" for each in unique.values())
            self.tell(now, f"has stopped {len(unique)} running tasks: {names}.")

    def _judge(self, primary: Shape, now: datetime) -> None:
        """Whether the deployment is complete, or has failed as its circuit breaker counts."""
        if primary["rolloutState"] != "IN_PROGRESS":
            return
        healthy = sum(each["healthStatus"] == "HEALTHY" for each in self.of(primary))
        others = any(self.of(each) for each in self.deployments[1:])
        if healthy >= self.desired and not others:
            self._ends(primary, now, "COMPLETED", "completed.", "SUCCESSFUL")
            self.tell(now, f"(deployment {primary['id']}) deployment completed.")
            self.tell(now, "has reached a steady state.")
            return
        breaker = self.shown.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
        if not breaker.get("enable") or primary["failedTasks"] < self.threshold:
            return
        back = self.completed(but=primary["id"]) if breaker.get("rollback") else None
        status = "ROLLBACK_SUCCESSFUL" if back else "STOPPED"
        self._ends(primary, now, "FAILED", "circuit breaker: tasks failed to start.", status)
        self.tell(now, f"(deployment {primary['id']}) deployment failed: tasks failed to start.")
        if back:
            self.tell(now, f"rolling back to deployment {back['deployment']}.")
            self.deploy(back["taskDefinition"], now)

    @property
    def threshold(self) -> int:
        """Failed tasks at which the circuit breaker gives up: half of the count, 3 to 200."""
        return min(200, max(3, math.ceil(self.desired * 0.5)))

    def completed(self, but: str = "") -> Shape | None:
        """The last service deployment that was successful."""
        return next(
            (
                each
                for each in self.history
                if each["status"] == "SUCCESSFUL" and each["deployment"] != but
            ),
            None,
        )

    def _ends(self, primary: Shape, now: datetime, state: str, why: str, status: str) -> None:
        reason = f"ECS deployment {primary['id']} {why}"
        primary |= {"rolloutState": state, "rolloutStateReason": reason, "updatedAt": now}
        for each in self.history:
            if each["deployment"] == primary["id"]:
                each |= {"status": status, "finishedAt": now, "statusReason": reason}

    def _ending(self, deployment: Shape) -> bool:
        return any(
            each["startedBy"] == deployment["id"] and each["lastStatus"] != "STOPPED"
            for each in self.tasks
        )

    def tell(self, now: datetime, what: str) -> None:
        """An event, as AWS words it: `(service web) has reached a steady state.`"""
        message = f"(service {self.name}) {what}"
        events = self.shown.setdefault("events", [])
        events.insert(0, {"id": str(uuid.uuid4()), "createdAt": now, "message": message})
        del events[_KEPT_EVENTS:]

    def described(self) -> Shape:
        """As DescribeServices has it."""
        deployments = list(map(self._counted, self.deployments))
        running = sum(each["runningCount"] for each in deployments)
        pending = sum(each["pendingCount"] for each in deployments)
        return {
            **self.shown,
            "runningCount": running,
            "pendingCount": pending,
            "deployments": deployments,
            "taskSets": [],
        }

    def _counted(self, deployment: Shape) -> Shape:
        tasks = self.of(deployment)
        running = sum(each["lastStatus"] == "RUNNING" for each in tasks)
        desired = self.desired if deployment["status"] == "PRIMARY" else 0
        return {
            **deployment,
            "desiredCount": desired,
            "runningCount": running,
            "pendingCount": len(tasks) - running,
        }


def stop(task: Shape, now: datetime, code: str, reason: str) -> None:
    """It drains, and is gone a moment later."""
    task |= {
        "desiredStatus": "STOPPED",
        "stoppingAt": now,
        "stopCode": code,
        "stoppedReason": reason,
    }


def _short(task: Shape) -> str:
    return str(task["taskArn"]).rpartition("/")[2]


def address(task: Shape) -> str:
    """Its private address, as a load balancer knows it."""
    return str(task["attachments"][0]["details"][0]["value"])
