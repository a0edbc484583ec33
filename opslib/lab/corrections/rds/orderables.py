"""Which classes of RDS instances can be had.

Moto knows none for PostgreSQL, and takes every word for a class.
"""

import re
from typing import Any

from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.pages import digest, paged

_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_FAMILIES = {
    "t4g": ("micro", "small", "medium", "large", "xlarge", "2xlarge"),
    "m6g": _SIZES,
    "m7g": _SIZES,
    "r6g": _SIZES,
    "r7g": _SIZES,
}
_ZONES = {"r6g": "abd"}  # not every family is in every zone
CLASSES = tuple(f"db.{family}.{size}" for family, sizes in _FAMILIES.items() for size in sizes)
_MAJORS = ("13", "14", "15", "16", "17")


def _zones(region: str, name: str) -> list[str]:
    return [f"{region}{letter}" for letter in _ZONES.get(name.split(".")[1], "abcd")]


@answers("rds", "DescribeOrderableDBInstanceOptions")
def describe_orderable_db_instance_options(call: Call) -> Result:
    given = call.params
    if given["Engine"] != "postgres":
        return call.moto()
    version, wanted = given.get("EngineVersion", _MAJORS[-1]), given.get("DBInstanceClass")
    names = (
        [name for name in CLASSES if wanted in (None, name)]
        if version.split(".")[0] in _MAJORS
        else []
    )
    options = [_option(call, name, version) for name in names]
    bound = digest(version, wanted)
    shown, marker = paged(
        options, given.get("MaxRecords") or 100, given.get("Marker"), bound, "InvalidParameterValue"
    )
    return {"OrderableDBInstanceOptions": shown} | ({"Marker": marker} if marker else {})


def _option(call: Call, name: str, version: str) -> dict[str, Any]:
    return {
        "Engine": "postgres",
        "EngineVersion": version,
        "DBInstanceClass": name,
        "LicenseModel": "postgresql-license",
        "AvailabilityZones": [{"Name": zone} for zone in _zones(call.region, name)],
        "MultiAZCapable": True,
        "ReadReplicaCapable": True,
        "Vpc": True,
        "SupportsStorageEncryption": True,
        "StorageType": "gp3",
        "MinStorageSize": 20,
        "MaxStorageSize": 65536,
    }


def require(call: Call, engine: str, version: str, name: str, zone: str | None = None) -> None:
    """A class that PostgreSQL can be had in, there. Other engines have moto's word."""
    if engine != "postgres":
        return
    if not re.fullmatch(r"db\.[a-z0-9-]+\.[a-z0-9]+", name):
        raise AwsError("InvalidParameterValue", f"Invalid DB Instance class: {name}")
    if name not in CLASSES or (zone is not None and zone not in _zones(call.region, name)):
        where = f", AvailabilityZone={zone}" if zone else ""
        raise AwsError(
            "InvalidParameterCombination",
            "RDS does not support creating a DB instance with the following combination: "
            f"DBInstanceClass={name}, "
            f"Engine={engine}, EngineVersion={version}, LicenseModel=postgresql-license{where}.",
        )


def require_storage(size: int, wanted: int | None) -> None:
    """It grows by a tenth or more, and never shrinks."""
    if wanted is None or wanted == size:
        return
    if wanted < size:
        raise AwsError(
            "InvalidParameterCombination", f"The allocated storage of {size} GB cannot be reduced."
        )
    if 10 * wanted < 11 * size:
        raise AwsError(
            "InvalidParameterCombination",
            f"An increase from {size} to {wanted} GB is less than 10%; RDS takes no less.",
        )
