"""Drills in what is deployed: a migration that nobody ran, infrastructure that was changed by hand."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from opslib.lab.estates.loglineos import schema, terraform
from opslib.lab.places import Drill, Place
from opslib.lab.resources import functions, names

PENDING, DRIFT = "migration-pending", "infrastructure-drift"
_MIGRATION, _VARIABLE = "db-migration", "SCHEMA_VERSION"
_OPENED = [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
_DEPLOYED, _PLANNED = timedelta(minutes=25), timedelta(minutes=7)


def deploy_ahead(place: Place) -> None:
    """The migration function is of the next release, and was not run."""

    def change(function: Any) -> None:
        function.environment_vars = {**function.environment_vars, _VARIABLE: schema.MIGRATIONS.next}

    functions.deploy(place, PENDING, _MIGRATION, place.now() - _DEPLOYED, change, schema.MIGRATIONS.next)


def go_back(place: Place) -> None:
    functions.withdraw(place, PENDING, _MIGRATION)
    with place.database(names.database(place)) as database:
        schema.MIGRATIONS.downgrade(database, schema.MIGRATIONS.head)


def drift(place: Place) -> None:
    """Somebody opens the database's security group; the newest plan tells of it, and would replace the database."""
    place.client("ec2").authorize_security_group_ingress(GroupId=terraform.group_id(place), IpPermissions=_OPENED)
    made = place.now() - _PLANNED
    body = terraform.drifted(place, made)
    terraform.put_plan(place, body, made)
    place.memory["drifted plan"] = body


def undrift(place: Place) -> None:
    terraform.take_back_plan(place, place.memory.pop("drifted plan"))
    with suppress(ClientError):  # somebody closed it meanwhile
        place.client("ec2").revoke_security_group_ingress(GroupId=terraform.group_id(place), IpPermissions=_OPENED)


DRILLS = (
    Drill(
        PENDING, "The code is ahead of the database since the last deployment",
        "The last deployment brought a migration that nobody has run.", deploy_ahead, go_back,
        found_by=("databases/migrate", "deployments/verify"),
    ),
    Drill(
        DRIFT, "The next apply would do more than what was committed",
        "A security group was opened by hand, and the database would be replaced.", drift, undrift,
        found_by=("deployments/plan",),
    ),
)  # fmt: skip
