"""Verbs about what stands around the app: permissions, network, buckets, users."""

import copy
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from moto.iam.models import AccessKeyLastUsed

from opslib.lab.corrections.ecs import services as ecs
from opslib.lab.forms.data import Person
from opslib.lab.forms.values import Duration
from opslib.lab.resources import names, secrets, users
from opslib.lab.resources.terraform import described
from opslib.lab.verbs.verbs import Stage, Verb, verb

AREAS = {
    "cloudwatch": "metrics",
    "cognito-idp": "cognito",
    "es": "opensearch",
    "secretsmanager": "secrets",
}


@verb("deny")
class Deny(Verb):
    """Operations that everyone is denied: `rds:DescribeDBInstances`."""

    bare: ClassVar[str] = "operations"
    operations: list[str]

    def touched(self) -> frozenset[str]:
        services = {operation.partition(":")[0] for operation in self.operations}
        return frozenset(AREAS.get(service, service) for service in services)

    def apply(self, stage: Stage) -> None:
        for operation in self.operations:
            stage.place.deny(operation)

    def undo(self, stage: Stage) -> None:
        for operation in self.operations:
            stage.place.allow(operation)


@verb("lose_region", "ec2")
class LoseRegion(Verb):
    """No service of the target's region answers but STS: the lab pretends, and is there itself.

    It touches all that there is, for which ec2 stands: who reads any of it sees only that.
    """

    says: str = "The lab pretends that this region is lost."

    def apply(self, stage: Stage) -> None:
        stage.place.faults["region"] = self.says

    def undo(self, stage: Stage) -> None:
        stage.place.faults.pop("region", None)


@verb("open", "ec2")
class Open(Verb):
    """Somebody opens the database's security group by hand.

    Where two drills do, it is closed when the last of them is mended.
    """

    port: int = 5432
    to: str = "0.0.0.0/0"

    def _rule(self, stage: Stage) -> dict[str, Any]:
        ports = {"IpProtocol": "tcp", "FromPort": self.port, "ToPort": self.port}
        rule = {**ports, "IpRanges": [{"CidrIp": self.to}]}
        return {"GroupId": stage.place.memory["database_group"], "IpPermissions": [rule]}

    def apply(self, stage: Stage) -> None:
        self._by(stage).append(stage.drill)
        with suppress(ClientError):  # another drill opened it already
            stage.place.client("ec2").authorize_security_group_ingress(**self._rule(stage))

    def undo(self, stage: Stage) -> None:
        self._by(stage).remove(stage.drill)
        if self._by(stage):
            return
        with suppress(ClientError):  # somebody closed it meanwhile
            stage.place.client("ec2").revoke_security_group_ingress(**self._rule(stage))

    def _by(self, stage: Stage) -> list[str]:
        """The drills that hold it open."""
        held: list[str] = stage.place.memory.setdefault("opened", {}).setdefault(self, [])
        return held


@verb("lose_endpoint", "ec2", "api")
class LoseEndpoint(Verb):
    """The VPC has no endpoint for a service any more."""

    bare: ClassVar[str] = "service"
    service: str

    def apply(self, stage: Stage) -> None:
        endpoints = stage.place.backend("ec2").vpc_end_points
        stage.kept = {key: endpoints[key] for key in self._found(stage)}
        for key in stage.kept:
            del endpoints[key]

    def undo(self, stage: Stage) -> None:
        """Puts the endpoint back, in place of any that was made meanwhile."""
        endpoints = stage.place.backend("ec2").vpc_end_points
        for key in self._found(stage):
            del endpoints[key]
        endpoints.update(stage.kept)

    def _found(self, stage: Stage) -> list[str]:
        name = f"com.amazonaws.{stage.place.region}.{self.service}"
        endpoints = stage.place.backend("ec2").vpc_end_points
        return [key for key, held in endpoints.items() if held.service_name == name]


@verb("lose_bucket", "s3", "api")
class LoseBucket(Verb):
    """A bucket of the target's file is gone with all that it holds."""

    bare: ClassVar[str] = "bucket"
    bucket: str

    def apply(self, stage: Stage) -> None:
        name = self._name(stage)
        stage.kept = stage.place.backend("s3").buckets.pop(name)
        _owners().pop(name, None)

    def undo(self, stage: Stage) -> None:
        """Puts it back, in place of any that was made meanwhile."""
        name = self._name(stage)
        stage.place.backend("s3").buckets[name] = stage.kept
        _owners()[name] = ("aws", stage.place.account)

    def _name(self, stage: Stage) -> str:
        return str(stage.place.facts["buckets"][self.bucket]["name"])


def _owners() -> dict[str, tuple[str, str]]:
    from moto.s3.models import s3_backends

    held: dict[str, tuple[str, str]] = s3_backends.bucket_accounts
    return held


@verb("user", "cognito", "database")
class User(Verb):
    """A user in the pool whom no row names. `table`: where a row of his is taken away again."""

    person: Person
    table: str = "users"

    def apply(self, stage: Stage) -> None:
        users.add(stage.place, self.person)

    def undo(self, stage: Stage) -> None:
        users.remove(stage.place, self.person.email)
        with stage.place.database(names.database(stage.place)) as database:
            gone = f"DELETE FROM {self.table} WHERE email = %s".encode()
            database.execute(gone, [self.person.email])


@verb("stale_code", "cognito")
class StaleCode(Verb):
    """A user's software token is of a pool that no longer is: his code can never fit."""

    bare: ClassVar[str] = "email"
    email: str

    def apply(self, stage: Stage) -> None:
        user: Any = users.find(stage.place, self.email)
        stage.kept = dict(vars(user))
        user.software_token_mfa_enabled = user.token_verified = True
        user.preferred_mfa_setting = "SOFTWARE_TOKEN_MFA"

    def undo(self, stage: Stage) -> None:
        user = users.find(stage.place, self.email)
        if user is not None and stage.kept:
            vars(user).update(stage.kept)


@verb("access_key", "iam")
class AccessKey(Verb):
    """An IAM user with a key of that many days, used lately from somewhere."""

    user: str
    days: int
    service: str = "s3"
    region: str = ""

    def apply(self, stage: Stage) -> None:
        iam = stage.place.backend("iam")
        iam.create_user(stage.place.region, self.user)
        key = iam.create_access_key(self.user)
        key.create_date = stage.ago(timedelta(days=self.days))
        used = stage.ago(timedelta(hours=5))
        key.last_used = AccessKeyLastUsed(used, self.service, self.region or stage.place.region)

    def undo(self, stage: Stage) -> None:
        iam = stage.place.backend("iam")
        for key in list(iam.users[self.user].access_keys if self.user in iam.users else ()):
            iam.delete_access_key(key.access_key_id, self.user)
        iam.users.pop(self.user, None)


@verb("app_client", "cognito")
class AppClient(Verb):
    """Somebody changed an app client of the target's file. `becomes`: by the names of the API."""

    client: str
    becomes: Mapping[str, Any]

    def apply(self, stage: Stage) -> None:
        held = self._held(stage)
        stage.kept = dict(held.extended_config)
        held.extended_config = {**held.extended_config, **stage.filled(self.becomes)}

    def undo(self, stage: Stage) -> None:
        held = self._held(stage)
        for name in self.becomes if stage.kept else ():
            held.extended_config[name] = stage.kept[name]

    def _held(self, stage: Stage) -> Any:
        place = stage.place
        called = place.facts["users"]["clients"][self.client]["name"]
        clients = place.backend("cognito-idp").user_pools[place.memory["pool"]].clients
        return next(e for e in clients.values() if e.extended_config["ClientName"] == called)


@verb("another_value", "secrets", "ecs")
class AnotherValue(Verb):
    """Somebody gave a secret another value a while ago: the tasks that run are older.

    key: of a JSON secret, whose other keys are as they were
    """

    secret: str
    key: str = ""
    since: Duration = timedelta(hours=3)

    def apply(self, stage: Stage) -> None:
        place, when = stage.place, stage.ago(self.since)
        held = place.backend("secretsmanager").secrets[self.secret]
        every = (each for at, each in ecs.every() if at[:2] == (place.account, place.region))
        tasks = [task for service in every for task in service.tasks]
        young = [task for task in tasks if task.get("startedAt", when) > when]
        stage.kept = copy.deepcopy(vars(held)), [(task, task["startedAt"]) for task in young]
        for task in young:
            task["startedAt"] = when - self.since
        value = "another-" * 5
        if self.key:
            known = json.loads(secrets.read(place, self.secret))
            value = json.dumps({**known, self.key: value})
        secrets.put_again(place, self.secret, value, when)

    def undo(self, stage: Stage) -> None:
        if stage.kept:
            held, young = stage.kept
            vars(stage.place.backend("secretsmanager").secrets[self.secret]).update(held)
            for task, started in young:
                task["startedAt"] = started


@verb("plan", "s3")
class Plan(Verb):
    """The newest plan would put the database's security group back, and make the database anew.

    database: what a commit renamed what the instance holds to
    """

    database: str
    since: Duration = timedelta(minutes=7)

    def apply(self, stage: Stage) -> None:
        made = stage.ago(self.since)
        stage.kept = described.drifted(stage.place, made, self.database)
        described.put_plan(stage.place, stage.kept, made)

    def undo(self, stage: Stage) -> None:
        if stage.kept:
            described.take_back_plan(stage.place, stage.kept)
