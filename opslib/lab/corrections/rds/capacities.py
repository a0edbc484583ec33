"""Bounds of Aurora Serverless v2: moto takes any, and knows no version's limits.

What a new upper bound makes of max_connections waits, as in AWS, until an instance is restarted;
the lab's PostgreSQL itself goes on as it is.
"""

from typing import Any

from moto.rds.models import DBCluster, DBInstance, DBInstanceClustered

from opslib.lab.aws.operations import AwsError, Call, Result, answers

_LIMITS = {"MinCapacity": 0.0, "MaxCapacity": 256.0}  # of Aurora PostgreSQL 16.3 and later
_moto_groups = DBInstance.db_parameter_group_status_list


def install() -> None:
    DBInstance.db_parameter_group_status_list = property(_groups)


@answers("rds", "DescribeDBEngineVersions")
def describe_db_engine_versions(call: Call) -> Result:
    engine, version = call.params.get("Engine"), call.params.get("EngineVersion")
    if engine != "aurora-postgresql" or version is None:
        return {"DBEngineVersions": []}
    told = {"Engine": engine, "EngineVersion": version, "ServerlessV2FeaturesSupport": _LIMITS}
    return {"DBEngineVersions": [told]}


def require_bounds(bounds: dict[str, Any] | None) -> None:
    if not bounds:
        return
    least, most = bounds.get("MinCapacity"), bounds.get("MaxCapacity")
    seconds = bounds.get("SecondsUntilAutoPause")
    if (
        least is None
        or most is None
        or not 0 <= least <= most <= 256
        or most < 1
        or (2 * least) % 1
        or (2 * most) % 1
    ):
        raise AwsError(
            "InvalidParameterValue",
            f"Serverless v2 capacity {least} isn't valid with maximum {most}: half steps from 0 to "
            "256, the minimum not above the maximum, the maximum 1 or more.",
        )
    if seconds is not None and (least > 0 or not 300 <= seconds <= 86_400):
        raise AwsError(
            "InvalidParameterCombination",
            "SecondsUntilAutoPause is 300 to 86400, with a minimum capacity of 0 only.",
        )


def bounded(cluster: DBCluster, before: dict[str, Any] | None) -> None:
    """After a change: what a version adds by itself, and what each instance runs with."""
    bounds = cluster.serverless_v2_scaling_configuration
    if bounds and not bounds["MinCapacity"]:
        bounds.setdefault("SecondsUntilAutoPause", 300)
    for member in cluster._members:
        member.__dict__.setdefault("lab_sized", _sized(before))


def restarted(instance: DBInstance) -> None:
    instance.__dict__.pop("lab_sized", None)


def _sized(bounds: dict[str, Any] | None) -> tuple[float, bool] | None:
    """What max_connections is made of."""
    return (bounds["MaxCapacity"], bounds["MinCapacity"] < 1) if bounds else None


def _groups(self: DBInstance) -> Any:
    groups = _moto_groups.fget(self)
    if isinstance(self, DBInstanceClustered) and "lab_sized" in self.__dict__:
        now = _sized(self.cluster.serverless_v2_scaling_configuration)
        for group in groups if self.__dict__["lab_sized"] != now else ():
            group.ParameterApplyStatus = "pending-reboot"
    return groups
