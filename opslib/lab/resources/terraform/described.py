"""Terraform's bucket: the state of each apply so far, and the newest plan: nothing to do.

What the state names is what stands in the lab: identifiers, ARNs and settings are read there.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.forms import data
from opslib.lab.places import Place
from opslib.lab.resources import buckets, names
from opslib.lab.resources.terraform.files import Planned, Resource, plan, state

OPENED = {
    "cidr_blocks": ["0.0.0.0/0"],
    "description": "temporary",
    "from_port": 5432,
    "ipv6_cidr_blocks": [],
    "prefix_list_ids": [],
    "protocol": "tcp",
    "security_groups": [],
    "self": False,
    "to_port": 5432,
}
_UNKNOWN = ("id", "arn", "latest_restorable_time")  # what a new instance's plan does not say


def seed(place: Place, about: data.Terraform) -> None:
    """The bucket with its versions on, a version of the state for each apply, and a plan."""
    bucket = str(place.facts["terraform"]["bucket"])
    buckets.create(place, bucket)
    place.client("s3").put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    lineage, key = _lineage(place), place.facts["terraform"]["state"]
    every = [*resources(place)]
    for days, serial, version, without in about.applies:
        kept = [each for each in every if each.address not in without]
        _put(place, key, state(kept, serial, lineage, version, _outputs(place)), _at(place, days))
    made = names.start(place) - timedelta(minutes=about.plan_minutes)
    put_plan(place, told(place, made), made)


def _lineage(place: Place) -> str:
    digits = f"{names.generator(place, 'terraform').getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _at(place: Place, days: int) -> datetime:
    minutes = names.number(place, f"apply/{days}") % 240
    return names.start(place) - timedelta(days=days, minutes=minutes)


def _put(place: Place, key: str, body: bytes, when: datetime) -> None:
    buckets.put(place, place.facts["terraform"]["bucket"], key, body, when, "application/json")


def _outputs(place: Place) -> dict[str, str]:
    found = {"api_url": str(place.facts["api"]["url"])} if "api" in place.facts else {}
    if "instance" in place.facts.get("database", {}):
        host = f"{place.facts['database']['instance']}.c9x2k7q1m3.{place.region}.rds.amazonaws.com"
        found["database_endpoint"] = f"{host}:5432"
        found["database_password"] = _login(place)["password"]
    return found


def _login(place: Place) -> dict[str, Any]:
    name = names.login_secret(place)
    held = place.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    found: dict[str, Any] = json.loads(held)
    return found


def resources(place: Place) -> Iterator[Resource]:
    """What Terraform manages, as it is."""
    if "database_group" in place.memory:
        yield _vpc(place)
        yield security_group(place)
    if "instance" in place.facts.get("database", {}):
        yield instance(place)
        yield from _beside_database(place)
    yield from _functions(place)
    yield from _watching(place)


def _called(place: Place, what: str, otherwise: str = "main") -> str:
    """The name that the configuration has for a thing."""
    return str(place.memory["data"].terraform.names.get(what, otherwise))


def _module(place: Place, what: str) -> str:
    return str(place.memory["data"].terraform.modules.get(what, ""))


def _group(place: Place) -> dict[str, Any]:
    ids = [place.memory["database_group"]]
    found: dict[str, Any]
    found = place.client("ec2").describe_security_groups(GroupIds=ids)["SecurityGroups"][0]
    return found


def _network(place: Place) -> dict[str, Any]:
    found: dict[str, Any]
    found = place.client("ec2").describe_vpcs(VpcIds=[_group(place)["VpcId"]])["Vpcs"][0]
    return found


def _vpc(place: Place) -> Resource:
    vpc = _network(place)
    values = {"id": vpc["VpcId"], "cidr_block": vpc["CidrBlock"], "enable_dns_hostnames": True}
    return Resource("aws_vpc", _called(place, "vpc"), values, module=_module(place, "network"))


def security_group(place: Place) -> Resource:
    """The database's security group: PostgreSQL from the functions only."""
    group, vpc = _group(place), _network(place)
    inside = {"cidr_blocks": [vpc["CidrBlock"]], "description": "PostgreSQL from the functions"}
    values = {
        "id": group["GroupId"],
        "arn": names.arn(place, "ec2", f"security-group/{group['GroupId']}"),
        "name": group["GroupName"],
        "description": group["Description"],
        "vpc_id": group["VpcId"],
        "ingress": [OPENED | inside],
        "egress": [],
        "tags": {"app": place.target.system},
    }
    name, module = _called(place, "security_group", "database"), _module(place, "network")
    return Resource("aws_security_group", name, values, module=module, schema_version=1)


def instance(place: Place) -> Resource:
    """The database instance, with its password as Terraform keeps it: in clear text."""
    name = str(place.facts["database"]["instance"])
    found = place.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    values = {
        "id": f"db-{names.number(place, 'resource id'):08X}",
        "identifier": name,
        "arn": found["DBInstanceArn"],
        "engine": found["Engine"],
        "engine_version": found["EngineVersion"],
        "instance_class": found["DBInstanceClass"],
        "allocated_storage": found["AllocatedStorage"],
        "storage_type": found["StorageType"],
        "storage_encrypted": found["StorageEncrypted"],
        "multi_az": found["MultiAZ"],
        "db_name": found.get("DBName"),
        "username": found["MasterUsername"],
        "password": _login(place)["password"],
        "backup_retention_period": found["BackupRetentionPeriod"],
        "deletion_protection": found["DeletionProtection"],
        "vpc_security_group_ids": [
            each["VpcSecurityGroupId"] for each in found["VpcSecurityGroups"]
        ],
        "skip_final_snapshot": False,
        "latest_restorable_time": "2026-01-01T00:00:00Z",
        "tags": {"app": place.target.system},
    }
    called = _called(place, "database")
    return Resource("aws_db_instance", called, values, sensitive=("password",), schema_version=2)


def _beside_database(place: Place) -> Iterator[Resource]:
    """Its parameter group, and the secret that opens it."""
    group, called = f"{place.called}-postgres16", _called(place, "database")
    about = {"id": group, "name": group, "family": "postgres16"}
    yield Resource("aws_db_parameter_group", called, about)
    name = names.login_secret(place)
    secret = place.client("secretsmanager").describe_secret(SecretId=name)
    arn, called = secret["ARN"], _called(place, "secret", "database")
    about = {"id": arn, "arn": arn, "name": secret["Name"]}
    yield Resource("aws_secretsmanager_secret", called, about)
    held = {"id": f"{arn}|terraform", "secret_id": arn, "secret_string": json.dumps(_login(place))}
    yield Resource("aws_secretsmanager_secret_version", called, held, ("secret_string",))


def _functions(place: Place) -> Iterator[Resource]:
    role = names.arn(place, "iam", f"role/{place.called}-lambda").replace(place.region, "")
    about = {"id": f"{place.called}-lambda", "arn": role}
    yield Resource("aws_iam_role", _called(place, "role", "functions"), about)
    for key, facts in place.facts.get("functions", {}).items():
        asked = {"FunctionName": facts["name"]}
        found = place.client("lambda").get_function_configuration(**asked)
        arn, called = found["FunctionArn"], key.replace("-", "_")
        values = {
            "id": facts["name"],
            "function_name": facts["name"],
            "arn": arn,
            "role": found["Role"],
            "timeout": found["Timeout"],
            "memory_size": found["MemorySize"],
            "runtime": found["Runtime"],
            "environment": [{"variables": found.get("Environment", {}).get("Variables", {})}],
            "last_modified": found["LastModified"],
        }
        yield Resource("aws_lambda_function", called, values)
        if alias := facts.get("alias"):
            about = {"id": f"{arn}:{alias}", "name": alias, "function_name": facts["name"]}
            yield Resource("aws_lambda_alias", called, about)


def _watching(place: Place) -> Iterator[Resource]:
    if "api" in place.facts:
        gateway = names.gateway(place)
        about = {"id": gateway, "name": place.called, "protocol_type": "HTTP"}
        yield Resource("aws_apigatewayv2_api", _called(place, "api"), about)
    called = _called(place, "alarms")
    for name in place.facts.get("alarms", {}).get("expected", {}):
        index, about = name.rsplit("-", 1)[-1], {"id": name, "alarm_name": name}
        yield Resource("aws_cloudwatch_metric_alarm", called, about, index=index)
    for name in place.facts.get("dashboards", {}).values():
        about = {"id": name, "dashboard_name": name}
        yield Resource("aws_cloudwatch_dashboard", _called(place, "dashboard"), about)


def told(
    place: Place,
    made: datetime,
    planned: dict[str, Planned] | None = None,
    drift: tuple[Planned, ...] = (),
) -> bytes:
    """A plan: nothing to do but what is `planned`, by address."""
    every = [(planned or {}).get(each.address) or Planned(each) for each in resources(place)]
    outputs = _outputs(place)
    given = {"environment": place.target.environment}
    if "database_password" in outputs:
        given["database_password"] = outputs["database_password"]
    version = place.memory["data"].terraform.version
    return plan(every, made, version, drift, given, outputs)


def drifted(place: Place, made: datetime, database: str) -> bytes:
    """A plan after somebody opened the database to the world, and a commit renamed what it holds.

    The security group would be put back; the instance, with all that it holds, would be made anew.
    """
    group, held = security_group(place), instance(place)
    opened = {**group.values, "ingress": [*group.values["ingress"], OPENED]}
    was_opened = Planned(group, ("update",), opened)
    as_now = Resource(
        group.type, group.name, opened, module=group.module, schema_version=group.schema_version
    )
    anew = {key: value for key, value in held.values.items() if key not in _UNKNOWN}
    replaced = Planned(
        held,
        ("delete", "create"),
        anew | {"db_name": database},
        dict.fromkeys(_UNKNOWN, True),
        "replace_because_cannot_update",
        [["db_name"]],
    )
    planned = {group.address: Planned(as_now, ("update",), group.values), held.address: replaced}
    return told(place, made, planned, (was_opened,))


def put_plan(place: Place, body: bytes, made: datetime) -> None:
    """The pipeline puts a new plan there."""
    _put(place, str(place.facts["terraform"]["plan"]), body, made)


def take_back_plan(place: Place, body: bytes) -> None:
    """The bucket as if that plan had never been put there, whatever came after it."""
    bucket = place.backend("s3").buckets[place.facts["terraform"]["bucket"]]
    key = str(place.facts["terraform"]["plan"])
    kept = [each for each in bucket.keys.getlist(key) if getattr(each, "value", None) != body]
    bucket.keys.setlist(key, kept)
