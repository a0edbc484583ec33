"""All that a procedure could change in a target, as one tree of plain values that can be compared.

Read from moto's backends and PostgreSQL directly: reading changes nothing. Left out is what changes
by itself or with
every call: times, revision ids, receive counts, metrics and logs. Secrets and passwords are there
as hashes.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from opslib.lab.corrections.cloudwatch import mute_rules
from opslib.lab.corrections.ecs import services, targets
from opslib.lab.corrections.users import client_secrets, invitations
from opslib.lab.corrections.workflows import executions
from opslib.lab.places import Place
from opslib.lab.resources.databases import caches
from opslib.lab.resources.search import indices

Tree = dict[str, Any]
_FUNCTION = (
    "CodeSha256 Description Handler MemorySize Role Runtime State Timeout VpcConfig Layers "
    "TracingConfig Architectures "
    "EphemeralStorage Environment"
)
_CLUSTER = (
    "engine engine_version status database_name master_username backup_retention_period "
    "deletion_protection "
    "db_subnet_group_name vpc_security_group_ids serverless_v2_scaling_configuration "
    "parameter_group "
    "preferred_backup_window storage_encrypted tags"
)
_INSTANCE = (
    "db_cluster_identifier db_instance_class engine engine_version status db_name master_username "
    "multi_az "
    "availability_zone allocated_storage storage_type backup_retention_period deletion_protection "
    "vpc_security_group_ids db_parameter_group_name preferred_backup_window "
    "preferred_maintenance_window "
    "source_db_instance_identifier replicas pending_modified_values tags"
)
_CLUSTER_SNAPSHOT = "db_cluster_identifier snapshot_type status engine"
_SNAPSHOT = "db_instance_identifier snapshot_type status engine tags"
_ENDPOINT = (
    "vpc_id service_name vpc_endpoint_type state subnet_ids route_table_ids "
    "security_group_ids policy_document"
)
_ALARM = (
    "namespace metric_name comparison_operator evaluation_periods datapoints_to_alarm period "
    "threshold statistic "
    "extended_statistic description actions_enabled alarm_actions ok_actions treat_missing_data "
    "rule"
)


def state(place: Place) -> Tree:
    """{"lambda", "sqs", "s3", "cognito", "secrets", "rds", "ec2", "alarms", "dashboards",
    "search", "sources", "rules", "sql"} of a target.
    """
    tree = {
        "lambda": _functions(place),
        "sqs": _queues(place),
        "s3": _buckets(place),
        "cognito": _pools(place),
        "secrets": _secrets(place),
        "rds": _rds(place),
        "ec2": {"endpoints": _each(place.backend("ec2").vpc_end_points, _ENDPOINT)},
        "alarms": _each(place.backend("cloudwatch").alarms, _ALARM),
        "dashboards": {
            name: _hash(board.body)
            for name, board in place.backend("cloudwatch").dashboards.items()
        },
        "executions": _executions(place),
        "sql": _databases(place),
        **({"cache": _cached(place)} if "cache" in place.facts else {}),
        **{name: found for name, found in _containers(place).items() if found},
        **{name: found for name, found in _triggers(place).items() if found},
        **({"search": _search(place)} if "search" in place.facts else {}),
    }
    plain: Tree = json.loads(json.dumps(tree, sort_keys=True, default=_plain))
    return plain


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _each(held: Mapping[str, Any], attributes: str) -> Tree:
    return {
        name: {key: getattr(each, key, None) for key in attributes.split()}
        for name, each in dict(held).items()
    }


def _hash(value: str | bytes | None) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else (value or "").encode()).hexdigest()


def _cached(place: Place) -> Tree:
    """What each key holds, as a hash, and whether it ends; nothing while it is stopped."""
    from redis import RedisError

    try:
        with caches.of(place).client() as client:
            keys = sorted(client.scan_iter(count=1_000))
            return {
                key.decode("utf-8", "replace"): [_hash(client.dump(key)), client.ttl(key) >= 0]
                for key in keys
            }
    except RedisError:
        return {}


def _functions(place: Place) -> Tree:
    storage = place.backend("lambda")._lambdas
    return {
        name: {
            "config": _function(held["latest"]),
            "versions": {str(version.version): _function(version) for version in held["versions"]},
            "aliases": {alias.name: alias.function_version for alias in storage.list_aliases(name)},
            "concurrency": held["latest"].reserved_concurrency,
        }
        for name, held in dict(storage._functions).items()
    }


def _triggers(place: Place) -> Tree:
    """Whether each mapping of a queue, and each rule, calls what it is to call."""
    mappings = place.backend("lambda")._event_source_mappings.values()
    rules = place.backend("events").event_buses["default"].rules
    return {
        "sources": {each.event_source_arn: each.enabled for each in mappings},
        "rules": {name: rule.state for name, rule in rules.items()},
    }


def _function(function: Any) -> Tree:
    config = function.get_configuration()
    return {key: config.get(key) for key in _FUNCTION.split()}


def _search(place: Place) -> Tree:
    held = indices.held(place)
    return {
        "aliases": held["aliases"],
        "indices": {
            name: {key: value for key, value in each.items() if key not in ("uuid", "created")}
            | {"documents": _hash(json.dumps(each["documents"], sort_keys=True, default=str))}
            for name, each in held["indices"].items()
        },
    }


def _queues(place: Place) -> Tree:
    left_out = ("ApproximateNumber", "LastModified", "Created")
    return {
        name: {
            "attributes": {
                key: value
                for key, value in queue.attributes.items()
                if not key.startswith(left_out)
            },
            "messages": sorted(message.body for message in list(queue._messages)),
        }
        for name, queue in dict(place.backend("sqs").queues).items()
    }


def _buckets(place: Place) -> Tree:
    return {
        name: {
            "versioning": bucket.versioning_status,
            "encryption": bucket.encryption,
            "cors": [vars(rule) for rule in bucket.cors],
            "public": vars(bucket.public_access_block) if bucket.public_access_block else None,
            "policy": _hash(bucket.policy),
            "keys": {
                key: [_version(each) for each in bucket.keys.getlist(key)]
                for key in list(bucket.keys)
            },
        }
        for name, bucket in dict(place.backend("s3").buckets).items()
    }


def _version(version: Any) -> Any:
    return [version.etag, version.size] if hasattr(version, "etag") else "deleted"


def _pools(place: Place) -> Tree:
    return {
        pool.name: {
            "users": {user.username: _user(user) for user in list(pool.users.values())},
            "clients": {client.id: _client(client) for client in list(pool.clients.values())},
            "mfa": pool.mfa_config,
            "invitations": list(invitations(pool)),
        }
        for pool in list(place.backend("cognito-idp").user_pools.values())
    }


def _client(client: Any) -> Tree:
    held = [_hash(each["value"]) for each in client_secrets(client)]
    return {**client.extended_config, **({"secrets": held} if held else {})}


def _user(user: Any) -> Tree:
    return {
        "status": user.status,
        "enabled": user.enabled,
        "attributes": user.attribute_lookup,
        "mfa": [
            user.software_token_mfa_enabled,
            user.sms_mfa_enabled,
            user.preferred_mfa_setting or None,
        ],
        "groups": sorted(group.group_name for group in user.groups),
        "password": _hash(user.password),
    }


def _secrets(place: Place) -> Tree:
    return {
        name: {
            stage: _hash(version.get("secret_string") or version.get("secret_binary"))
            for version in secret.versions.values()
            for stage in version["version_stages"]
        }
        for name, secret in dict(place.backend("secretsmanager").secrets).items()
    }


def _rds(place: Place) -> Tree:
    rds = place.backend("rds")
    return {
        "clusters": _each(rds.clusters, _CLUSTER),
        "instances": _each(rds.databases, _INSTANCE),
        "snapshots": _each(rds.cluster_snapshots, _CLUSTER_SNAPSHOT)
        | _each(rds.database_snapshots, _SNAPSHOT),
        "parameter groups": {
            name: group.parameters for name, group in dict(rds.db_parameter_groups).items()
        },
    }


def _containers(place: Place) -> Tree:
    """Services, their revisions and bounds; tables with their items, and backups of them."""
    ecs, dynamo = place.backend("ecs"), place.backend("dynamodb")
    scaled = place.backend("application-autoscaling").targets
    return {
        "ecs": {
            name: [service.shown["taskDefinition"], service.desired]
            for (account, region, *_, name), service in services.every()
            if (account, region) == (place.account, place.region)
        },
        "revisions": {
            family: sorted(number for number, each in known.items() if each.status == "ACTIVE")
            for family, known in ecs.task_definitions.items()
        },
        "scaling": {
            name: [each.min_capacity, each.max_capacity]
            for known in scaled.values()
            for name, each in known.items()
        },
        "policies": {
            each.policy_name: each.target_tracking_scaling_policy_configuration
            for each in place.backend("application-autoscaling").policies.values()
        },
        "images": {
            f"{name}:{tag}": each.__dict__.get("lab_scan", {})
            for name, held in place.backend("ecr").repositories.items()
            for each in held.images
            for tag in each.image_tags
        },
        "dynamodb": {
            name: _hash(json.dumps([item.to_json() for item in table.all_items()], default=str))
            for name, table in dynamo.tables.items()
        },
        "backups": dict.fromkeys(sorted(dynamo.backups), True),
        "answered": targets.answered(place.backend("elbv2")),
        "silences": dict.fromkeys(sorted(mute_rules.every(place.account, place.region)), True),
        "blocked": {
            each.name: sorted(each.addresses)
            for region in ("aws", place.region)  # moto keeps CloudFront's in the first
            for each in place.world.backend("wafv2", place.account, region).ip_sets.values()
        },
    }


def _executions(place: Place) -> Tree:
    machines = place.backend("stepfunctions").state_machines
    found = (each for machine in machines for each in executions.every(machine.arn))
    return {each.arn: [each.status, each.input] for each in found}


def _databases(place: Place) -> Tree:
    """{database: {table: [rows, hash of all rows]}}; None for a database that takes no logins."""
    rds = place.backend("rds")
    names = {cluster.database_name for cluster in rds.clusters.values()} | {
        i.db_name for i in rds.databases.values()
    }
    return {
        name: _tables(place, name) for name in place.world.postgres.databases() if name in names
    }


def _tables(place: Place, database: str) -> Tree | None:
    try:
        connection = place.database(database)
    except psycopg.OperationalError:
        return None
    with connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', "
            "'information_schema')"
        ).fetchall()
        # Put back with all else, as the number of PostgreSQL's next transaction is.
        known = place.memory.setdefault("rows", {})
        return {
            ".".join(table): _rows(connection, sql.Identifier(*table), known) for table in tables
        }


# What there is of a table: of its columns, and of its rows by the transactions that wrote them.
_VERSION = """
SELECT count(*), sum(xmin::text::bigint)::text, (SELECT array_agg(a::text ORDER BY attnum)::text
    FROM pg_attribute AS a WHERE attrelid = {name}::regclass) FROM {table}
"""


def _rows(
    connection: psycopg.Connection[Any], table: sql.Identifier, known: dict[Any, str]
) -> list[Any]:
    """How many, and a hash of them in whatever order they are; made once of each version."""
    name = sql.Literal(table.as_string(connection))
    asked = sql.SQL(_VERSION).format(name=name, table=table)
    version: tuple[Any, ...] = connection.execute(asked).fetchone() or (0,)
    if version not in known:
        query = sql.SQL("SELECT sum(hashtextextended(r::text, 0))::text FROM {} r")
        known[version] = (connection.execute(query.format(table)).fetchone() or ("",))[0]
    return [version[0], known[version]]
