"""Terraform's bucket: the state of each apply so far, and the newest plan, which says that there is nothing to do.

What the state names is what stands in the lab: identifiers, ARNs and settings are read there.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.terraform import Planned, Resource, plan, state

_VERSION = "1.9.8"
# Days before the lab's start, serial, Terraform's version, and what was not yet there (or different) then.
_APPLIES = (
    (62, 31, "1.8.5", ("aws_cloudwatch_dashboard.main", 'aws_cloudwatch_metric_alarm.stage0["duration"]', "aws_lambda_alias.loader")),
    (41, 34, "1.8.5", ("aws_cloudwatch_dashboard.main", 'aws_cloudwatch_metric_alarm.stage0["duration"]')),
    (24, 36, "1.9.8", ("aws_cloudwatch_dashboard.main",)),
    (11, 38, "1.9.8", ()),
    (3, 41, "1.9.8", ()),
)  # fmt: skip
_PLAN_MINUTES = 52  # before the lab's start; the pipeline plans each hour
OPENED = {
    "cidr_blocks": ["0.0.0.0/0"], "description": "temporary", "from_port": 5432, "ipv6_cidr_blocks": [],
    "prefix_list_ids": [], "protocol": "tcp", "security_groups": [], "self": False, "to_port": 5432,
}  # fmt: skip


def seed(place: Place) -> None:
    """The bucket with its versions on, one version of the state for each apply, and a plan. After all that they name."""
    facts, s3 = place.facts["terraform"], place.client("s3")
    s3.create_bucket(Bucket=facts["bucket"])
    s3.put_bucket_versioning(Bucket=facts["bucket"], VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(
        Bucket=facts["bucket"],
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    lineage = _lineage(place)
    for days, serial, version, without in _APPLIES:
        kept = [r for r in resources(place) if r.address not in without]
        _put(place, facts["state"], state(kept, serial, lineage, version, _outputs(place)), _applied(place, days))
    made = names.start(place) - timedelta(minutes=_PLAN_MINUTES)
    _put(place, facts["plan"], unchanged(place, made), made)


def _lineage(place: Place) -> str:
    digits = f"{names.generator(place, 'terraform').getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _applied(place: Place, days: int) -> datetime:
    return names.start(place) - timedelta(days=days, minutes=names.number(place, f"apply/{days}") % 240)


def _put(place: Place, key: str, body: bytes, when: datetime) -> None:
    """An object, as uploaded at that time."""
    bucket = str(place.facts["terraform"]["bucket"])
    held = place.backend("s3").put_object(bucket, key, body, disable_notification=True)
    held.last_modified = when.replace(tzinfo=None)
    held.set_metadata({"Content-Type": "application/json"})


def _outputs(place: Place) -> dict[str, str]:
    return {
        "api_url": str(place.facts["api"]["url"]),
        "database_endpoint": f"{place.facts['database']['instance']}.c9x2k7q1m3.{place.region}.rds.amazonaws.com:5432",
        "database_password": _login(place)["password"],
    }


def _login(place: Place) -> dict[str, Any]:
    name = str(place.facts["database"]["secret"])
    found: dict[str, Any] = json.loads(place.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    return found


def resources(place: Place) -> list[Resource]:
    """What Terraform manages, as it is."""
    return [*_networks(place), *_database(place), *_functions(place), *_watching(place)]


def _networks(place: Place) -> list[Resource]:
    ec2 = place.client("ec2")
    group = ec2.describe_security_groups(GroupIds=[group_id(place)])["SecurityGroups"][0]
    vpc = ec2.describe_vpcs(VpcIds=[group["VpcId"]])["Vpcs"][0]
    return [
        Resource("aws_vpc", "main", {"id": vpc["VpcId"], "cidr_block": vpc["CidrBlock"], "enable_dns_hostnames": True}, module="module.network"),
        security_group(place, group),
    ]  # fmt: skip


def group_id(place: Place) -> str:
    """The security group that the database instance is in."""
    name = str(place.facts["database"]["instance"])
    described = place.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return str(described["VpcSecurityGroups"][0]["VpcSecurityGroupId"])


def security_group(place: Place, group: dict[str, Any] | None = None) -> Resource:
    """The database's security group: PostgreSQL from the functions only."""
    if group is None:
        group = place.client("ec2").describe_security_groups(GroupIds=[group_id(place)])["SecurityGroups"][0]
    vpc = place.client("ec2").describe_vpcs(VpcIds=[group["VpcId"]])["Vpcs"][0]
    rule = OPENED | {"cidr_blocks": [vpc["CidrBlock"]], "description": "PostgreSQL from the functions"}
    values = {
        "id": group["GroupId"], "arn": names.arn(place, "ec2", f"security-group/{group['GroupId']}"), "name": group["GroupName"],
        "description": group["Description"], "vpc_id": group["VpcId"], "ingress": [rule], "egress": [],
        "tags": {"app": place.target.system},
    }  # fmt: skip
    return Resource("aws_security_group", "database", values, module="module.network", schema_version=1)


def instance(place: Place) -> Resource:
    """The database instance, with its password as Terraform keeps it: in clear text."""
    name = str(place.facts["database"]["instance"])
    described = place.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    values = {
        "id": f"db-{names.number(place, 'resource id'):08X}", "identifier": name, "arn": described["DBInstanceArn"],
        "engine": described["Engine"], "engine_version": described["EngineVersion"], "instance_class": described["DBInstanceClass"],
        "allocated_storage": described["AllocatedStorage"], "storage_type": described["StorageType"],
        "storage_encrypted": described["StorageEncrypted"], "multi_az": described["MultiAZ"], "db_name": described.get("DBName"),
        "username": described["MasterUsername"], "password": _login(place)["password"],
        "backup_retention_period": described["BackupRetentionPeriod"], "deletion_protection": described["DeletionProtection"],
        "vpc_security_group_ids": [group_id(place)], "skip_final_snapshot": False,
        "latest_restorable_time": "2026-01-01T00:00:00Z", "tags": {"app": place.target.system},
    }  # fmt: skip
    return Resource("aws_db_instance", "ledger", values, sensitive=("password",), schema_version=2)


def _database(place: Place) -> list[Resource]:
    facts = place.facts["database"]
    secret = place.client("secretsmanager").describe_secret(SecretId=facts["secret"])
    group = f"{place.name}-postgres16"
    text = json.dumps(_login(place))
    return [
        instance(place),
        Resource("aws_db_parameter_group", "ledger", {"id": group, "name": group, "family": "postgres16"}),
        Resource("aws_secretsmanager_secret", "database", {"id": secret["ARN"], "arn": secret["ARN"], "name": secret["Name"]}),
        Resource("aws_secretsmanager_secret_version", "database",
                 {"id": f"{secret['ARN']}|terraform", "secret_id": secret["ARN"], "secret_string": text}, ("secret_string",)),
    ]  # fmt: skip


def _functions(place: Place) -> list[Resource]:
    found = []
    for key, facts in place.facts["functions"].items():
        settings = place.client("lambda").get_function_configuration(FunctionName=facts["name"])
        values = {
            "id": facts["name"], "function_name": facts["name"], "arn": settings["FunctionArn"], "role": settings["Role"],
            "timeout": settings["Timeout"], "memory_size": settings["MemorySize"], "runtime": settings["Runtime"],
            "environment": [{"variables": settings["Environment"]["Variables"]}], "last_modified": settings["LastModified"],
        }  # fmt: skip
        found.append(Resource("aws_lambda_function", key.replace("-", "_"), values))
        if "alias" in facts:
            alias = {
                "id": f"{settings['FunctionArn']}:{facts['alias']}",
                "name": facts["alias"],
                "function_name": facts["name"],
            }
            found.append(Resource("aws_lambda_alias", key.replace("-", "_"), alias))
    role = names.arn(place, "iam", f"role/{place.name}-lambda").replace(place.region, "")
    return [Resource("aws_iam_role", "functions", {"id": f"{place.name}-lambda", "arn": role}), *found]


def _watching(place: Place) -> list[Resource]:
    gateway, dashboard = names.gateway(place), next(iter(place.facts["dashboards"].values()))
    alarms = [
        Resource(
            "aws_cloudwatch_metric_alarm", "stage0", {"id": name, "alarm_name": name}, index=name.rsplit("-", 1)[-1]
        )
        for name in place.facts["alarms"]["expected"]
    ]
    return [
        Resource("aws_apigatewayv2_api", "main", {"id": gateway, "name": place.name, "protocol_type": "HTTP"}),
        *alarms,
        Resource("aws_cloudwatch_dashboard", "main", {"id": dashboard, "dashboard_name": dashboard}),
    ]


def unchanged(place: Place, made: datetime) -> bytes:
    """A plan with nothing to do."""
    return _plan(place, made, {}, ())


def drifted(place: Place, made: datetime) -> bytes:
    """A plan after somebody opened the database to the world by hand, and a commit renamed what the instance holds.

    The security group would be put back; the instance, with all that it holds, would be made anew.
    """
    group, held = security_group(place), instance(place)
    open_to_all = {**group.values, "ingress": [*group.values["ingress"], OPENED]}
    was_opened = Planned(group, ("update",), open_to_all)
    as_now = Resource(group.type, group.name, open_to_all, module=group.module, schema_version=group.schema_version)
    anew = {k: v for k, v in held.values.items() if k not in ("id", "arn", "latest_restorable_time")} | {
        "db_name": "ledger"
    }
    planned = {
        group.address: Planned(as_now, ("update",), group.values),
        held.address: Planned(
            held, ("delete", "create"), anew, {"id": True, "arn": True, "latest_restorable_time": True},
            "replace_because_cannot_update", [["db_name"]],
        ),
    }  # fmt: skip
    return _plan(place, made, planned, (was_opened,))


def _plan(place: Place, made: datetime, planned: dict[str, Planned], drift: tuple[Planned, ...]) -> bytes:
    every = [planned.get(r.address) or Planned(r) for r in resources(place)]
    given = {"environment": place.target.environment, "database_password": _login(place)["password"]}
    return plan(every, made, _VERSION, drift, given, _outputs(place))


def put_plan(place: Place, body: bytes, made: datetime) -> None:
    """The pipeline puts a new plan there."""
    _put(place, str(place.facts["terraform"]["plan"]), body, made)


def take_back_plan(place: Place, body: bytes) -> None:
    """The bucket as if that plan had never been put there, whatever came after it."""
    bucket = place.backend("s3").buckets[place.facts["terraform"]["bucket"]]
    key = str(place.facts["terraform"]["plan"])
    kept = [v for v in bucket.keys.getlist(key) if getattr(v, "value", None) != body]
    bucket.keys.setlist(key, kept)
