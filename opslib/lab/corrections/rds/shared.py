"""What instances, their replicas and their restores have in common."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from moto.rds.models import DBInstance

from opslib.core.errors import OpsError
from opslib.lab.aws.operations import AwsError, Call
from opslib.lab.corrections.rds.clusters import later, utc


def earliest(instance: DBInstance) -> datetime:
    return max(
        utc(instance.instance_create_time),
        datetime.now(UTC) - timedelta(days=instance.backup_retention_period),
    )


def find(call: Call, name: str) -> DBInstance:
    instance = call.backend().databases.get(name)
    if instance is None:
        raise AwsError("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
    return instance


def require_available(instance: DBInstance) -> None:
    if instance.status != "available":
        raise invalid_state(f"Database instance is not in available state: {instance.status}.")


def invalid_state(message: str) -> AwsError:
    return AwsError("InvalidDBInstanceState", message, 400)


def require_new(call: Call, name: str) -> None:
    if name in call.backend().databases:
        raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)


def begin(
    call: Call, instance: DBInstance, status: str, work: Callable[[], None], then: str = "available"
) -> None:
    """The instance has a status until a work is done; `failed` when the work fails."""
    instance.status = status

    def run() -> None:
        try:
            work()
        except OpsError:
            instance.status = "failed"
            raise
        if instance.status == status:  # else something else happened to it meanwhile
            instance.status = then

    later(call, run)


def limit(call: Call, instance: DBInstance) -> None:
    """As many connections as its parameter group says.

    A default group says nothing that could be reached here.
    """
    group = call.backend().db_parameter_groups.get(instance.db_parameter_group_name or "")
    most = (
        group.parameters.get("max_connections", {}).get("ParameterValue", "-1") if group else "-1"
    )
    if instance.db_name in call.world.postgres.databases():
        call.world.postgres.limit_connections(instance.db_name, int(most))
