"""Verbs about ECS services: a revision that cannot live, no room, targets that fail, images."""

import copy
from collections.abc import Callable
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.corrections.ecs import alone, targets
from opslib.lab.corrections.ecs import services as ecs
from opslib.lab.corrections.ecs.schedulers import Scheduler
from opslib.lab.forms.values import Duration
from opslib.lab.resources import names, services
from opslib.lab.traffic import tasks
from opslib.lab.verbs.verbs import Stage, Verb, verb

_STEP = timedelta(seconds=10)


def _scheduler(stage: Stage, key: str) -> Scheduler:
    facts = stage.place.facts["services"][key]
    return ecs.find(stage.place.account, stage.place.region, facts["cluster"], facts["name"])


def _keep(stage: Stage, key: str) -> None:
    stage.kept = copy.deepcopy(vars(_scheduler(stage, key)))


def _put_back(stage: Stage, key: str) -> None:
    if stage.kept:
        vars(_scheduler(stage, key)).update(stage.kept)
    tasks.observe(stage.place)


def _since(stage: Stage, key: str, when: datetime, change: Callable[[Scheduler], None]) -> None:
    """What the scheduler has made of a change from then until now."""
    service, now = _scheduler(stage, key), stage.place.now()
    change(service)
    while when < now:
        ecs.step(stage.place.world, service, when)
        when += _STEP
    tasks.observe(stage.place)


@verb("release", "ecs", "elbv2", "ecr")
class Release(Verb):
    """A new revision of a service's task definition, deployed since a while.

    tag:      of its image, which is not in the registry
    memory:   MB, of which the app needs more
    lost:     variables that it has no longer
    secret:   the key of the secret that it asks for, which is not there
    breaker:  whether the circuit breaker takes it back
    ahead:    its code is of the next migration, which nobody has run
    """

    service: str
    since: Duration = timedelta(minutes=12)
    tag: str = ""
    memory: int = 0
    lost: frozenset[str] = frozenset()
    secret: str = ""
    breaker: bool = False
    ahead: bool = False

    def touched(self) -> frozenset[str]:
        return self.touches | ({"database"} if self.ahead else set())

    def apply(self, stage: Stage) -> None:
        _keep(stage, self.service)
        place, when = stage.place, stage.ago(self.since)
        arn = services.register(
            place, self.service, place.memory["data"].services, change=self._changed(stage)
        )

        def deploy(scheduler: Scheduler) -> None:
            given = copy.deepcopy(scheduler.shown["deploymentConfiguration"])
            given["deploymentCircuitBreaker"] = {"enable": self.breaker, "rollback": self.breaker}
            scheduler.shown["deploymentConfiguration"] = given
            scheduler.deploy(arn, when)

        _since(stage, self.service, when, deploy)
        stage.retell(when)
        stage.place.memory.setdefault("released", {})[stage.drill] = arn

    def _changed(self, stage: Stage) -> Callable[[dict[str, Any]], None]:
        def change(given: dict[str, Any]) -> None:
            (container,) = given["containerDefinitions"]
            if self.tag:
                container["image"] = services.image(stage.place, self.service, self.tag)
            if self.memory:
                given["memory"] = str(self.memory)
            for each in container["environment"] if self.ahead else ():
                migrations = stage.place.memory["migrations"]
                each["value"] = each["value"].replace(migrations.head, migrations.next)
            for kind in ("environment", "secrets"):
                container[kind] = [e for e in container[kind] if e["name"] not in self.lost]
            if self.secret:
                for each in container["secrets"]:
                    arn = ":".join(each["valueFrom"].split(":")[:7])
                    each["valueFrom"] = f"{arn}:{self.secret}::"

        return change

    def holds(self, stage: Stage) -> bool:
        now = _scheduler(stage, self.service).shown["taskDefinition"]
        return bool(now == stage.place.memory.get("released", {}).get(stage.drill))

    def undo(self, stage: Stage) -> None:
        _put_back(stage, self.service)
        stage.retell(stage.ago(self.since))
        if self.ahead:
            migrations = stage.place.memory["migrations"]
            with stage.place.database(names.database(stage.place)) as database:
                migrations.downgrade(database, migrations.head)
        if arn := stage.place.memory.get("released", {}).pop(stage.drill, ""):
            family, revision = arn.rpartition("/")[2].rsplit(":", 1)
            stage.place.backend("ecs").task_definitions[family].pop(int(revision), None)


@verb("turned_on", "elbv2", "api")
class TurnedOn(Verb):
    """Maintenance mode, as edge/maintenance-mode turns it on, and nobody turned it off."""

    def apply(self, stage: Stage) -> None:
        facts, elb = stage.place.facts["maintenance_mode"], stage.place.client("elbv2")
        _, listener = stage.place.memory["balancers"][str(facts["load_balancer"])]
        answer = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "Soon."}
        condition = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}
        elb.create_rule(
            ListenerArn=listener,
            Priority=1,
            Conditions=[condition],
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
        )

    def undo(self, stage: Stage) -> None:
        """Also one that somebody made in its place."""
        elb = stage.place.backend("elbv2")
        for rule in targets.rules(elb):
            if int(rule.priority) == 1:
                elb.delete_rule(rule.arn)


@verb("ran", "ecs", "logs", "database")
class Ran(Verb):
    """Somebody had a task of its own run the target's migrations a while ago: it really runs.

    ECS has forgotten those of before.
    """

    ago: Duration = timedelta(minutes=9)

    def apply(self, stage: Stage) -> None:
        place, when = stage.place, stage.ago(self.ago)
        about = place.facts["database"]["migrate"]
        service = _scheduler(stage, about["service"])
        family, revision = service.shown["taskDefinition"].rpartition("/")[2].rsplit(":", 1)
        definition = place.backend("ecs").task_definitions[family][int(revision)]
        name = definition.container_definitions[0]["name"]
        override = {"name": name, "command": [*about["command"]]}
        given = {"overrides": {"containerOverrides": [override]}}
        cluster = place.facts["services"][about["service"]]["cluster"]
        key = place.account, place.region, str(cluster)
        alone.held.pop(key, None)
        stage.kept = task = alone.start(key, given, definition, service.shown["clusterArn"], when)
        task |= ecs.of_definition(definition, task["taskArn"])
        for seconds in (1, 2, 3):
            alone.go_on(place.world, key, task, when + timedelta(seconds=seconds))

    def undo(self, stage: Stage) -> None:
        if stage.kept:
            alone.forget(stage.place.world, stage.kept)


@verb("no_room", "ecs", "elbv2")
class NoRoom(Verb):
    """There is no capacity for tasks, while more are desired since a while."""

    service: str
    tasks: int
    since: Duration = timedelta(minutes=12)

    def apply(self, stage: Stage) -> None:
        _keep(stage, self.service)
        family = services.family(stage.place, self.service)
        stage.place.faults.setdefault("tasks", {})[family] = "capacity"
        _since(
            stage,
            self.service,
            stage.ago(self.since),
            lambda scheduler: scheduler.shown.update(desiredCount=self.tasks),
        )

    def undo(self, stage: Stage) -> None:
        stage.place.faults["tasks"].pop(services.family(stage.place, self.service), None)
        if not stage.place.faults["tasks"]:
            del stage.place.faults["tasks"]
        _put_back(stage, self.service)


@verb("targets", "elbv2", "metrics")
class Targets(Verb):
    """How the health checks of a service's target group are answered: a status, or `timeout`."""

    service: str
    answers: str
    since: Duration = timedelta(minutes=12)

    def apply(self, stage: Stage) -> None:
        group = stage.place.facts["services"][self.service]["target_group"]
        stage.place.faults.setdefault("targets", {})[group] = self.answers
        since = stage.ago(self.since)
        stage.place.faults.setdefault("targets since", {})[group] = since.timestamp()
        stage.retell(since)

    def undo(self, stage: Stage) -> None:
        stage.place.faults.pop("targets", None)
        stage.place.faults.pop("targets since", None)
        stage.retell(stage.ago(self.since))


@verb("image", "ecr")
class Image(Verb):
    """An image of a service that was never pushed; or in which its scan found so many.

    found:    how many of each severity; none: it is not there
    """

    service: str
    tag: str
    found: dict[str, int] = field(default_factory=dict)

    def _held(self, stage: Stage) -> list[Any]:
        name = services.family(stage.place, self.service)
        held: list[Any] = stage.place.backend("ecr").repositories[name].images
        return held

    def apply(self, stage: Stage) -> None:
        held = self._held(stage)
        stage.kept = image = next((each for each in held if self.tag in each.image_tags), None)
        if image and self.found:
            image.lab_scan = dict(self.found)
        elif image:
            held.remove(image)

    def undo(self, stage: Stage) -> None:
        if stage.kept and self.found:
            vars(stage.kept).pop("lab_scan", None)
        elif stage.kept and not any(self.tag in e.image_tags for e in self._held(stage)):
            self._held(stage).append(stage.kept)


@verb("busy", "ecs", "elbv2", "metrics")
class Busy(Verb):
    """The app needs more CPU since a while, and auto-scaling has started tasks for it.

    needs:  in tasks that are wholly busy
    tasks:  how many are desired since then
    """

    service: str
    needs: float
    tasks: int
    since: Duration = timedelta(minutes=40)

    def apply(self, stage: Stage) -> None:
        _keep(stage, self.service)
        when = stage.ago(self.since)
        held = stage.place.faults.setdefault("busy", {}).setdefault(self.service, [])
        held.append((when.timestamp(), self.needs))
        _since(
            stage,
            self.service,
            when,
            lambda scheduler: scheduler.shown.update(desiredCount=self.tasks),
        )
        stage.retell(when)

    def undo(self, stage: Stage) -> None:
        held = stage.place.faults["busy"][self.service]
        held.remove((stage.ago(self.since).timestamp(), self.needs))
        _put_back(stage, self.service)
        stage.retell(stage.ago(self.since))


@verb("revoke", "iam")
class Revoke(Verb):
    """The role of a service's tasks has lost actions: somebody has narrowed its policy."""

    service: str
    actions: frozenset[str]

    def apply(self, stage: Stage) -> None:
        stage.kept = self._allowed(stage)
        allowed = stage.place.memory["data"].services.allows
        self._put(stage, services.policy({*allowed} - self.actions))

    def holds(self, stage: Stage) -> bool:
        return not any(f'"{each}"' in self._allowed(stage) for each in self.actions)

    def undo(self, stage: Stage) -> None:
        if stage.kept:
            self._put(stage, stage.kept)

    def _allowed(self, stage: Stage) -> str:
        held = stage.place.backend("iam").get_role(services.role(stage.place, self.service))
        return str(held.policies.get("app", ""))

    def _put(self, stage: Stage, document: str) -> None:
        name = services.role(stage.place, self.service)
        stage.place.client("iam").put_role_policy(
            RoleName=name, PolicyName="app", PolicyDocument=document
        )
