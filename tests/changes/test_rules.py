"""Each rule finds what breaks it, and nothing where it is kept."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from opslib.changes import rules
from opslib.changes.resources import Described, data
from opslib.core.connections.targets import Facts
from tests.changes import edges
from tests.changes.test_differences import START, Ops

ARN = "arn:aws:sqs:eu-west-1:111122223333:"
FACTS: dict[str, Any] = {
    "api": {"url": "https://a1.execute-api.eu-west-1.amazonaws.com/dev"},
    "orphans": {"pictures": {"bucket": "data", "prefix": "pictures/"}},
    "queues": {"orders": {"name": "orders", "dead_letters": "orders-dlq"}},
    "functions": {"work": {"name": "worker"}},
    "jobs": {"orders": {"queue": "orders", "function": "work"}},
    "tables": {"items": {"name": "items", "time_to_live": "expires_at"}},
    "buckets": {"site": {"name": "site", "public": True}, "data": {"name": "data"}},
    **edges.FACTS,
}
BLOCK = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy"), True)
EMPTIED = {"ID": "all", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
TRIGGER = {"EventSourceArn": f"{ARN}orders", "State": "Enabled"}


def queue(name: str = "orders", **more: Any) -> dict[str, Any]:
    redrive = f'{{"deadLetterTargetArn": "{ARN}orders-dlq", "maxReceiveCount": 5}}'
    own = {"RedrivePolicy": redrive} if name == "orders" else {}
    given = {"VisibilityTimeout": "600", "MessageRetentionPeriod": "345600"}
    return {"QueueArn": f"{ARN}{name}", **given, **own, **more}


def watches(what: str, name: str) -> dict[str, Any]:
    return {"Dimensions": [{"Name": what, "Value": name}]}


def at_night(most: int) -> dict[str, Any]:
    target = {"MinCapacity": 0, "MaxCapacity": most}
    return {
        "ScheduledActionName": "night",
        "Schedule": "cron(0 20 * * ? *)",
        "ScalableTargetAction": target,
    }


def denies(*actions: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Deny", "Action": [*actions], "Resource": "*"}
    return {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "x"}, statement | more]}


def letters(whose: str, *of: str) -> dict[str, Any]:
    allows = {"redrivePermission": whose, "sourceQueueArns": [f"{ARN}{name}" for name in of]}
    return queue("orders-dlq", RedriveAllowPolicy=json.dumps(allows))


def redriven(times: int) -> str:
    return f'{{"deadLetterTargetArn": "{ARN}orders-dlq", "maxReceiveCount": {times}}}'


def turned_away(action: str, **more: Any) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | more]})


def trusts(service: str) -> dict[str, Any]:
    who = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}}
    return {"AssumeRolePolicyDocument": {"Statement": [who | {"Action": "sts:AssumeRole"}]}}


def ends_by(attribute: str, status: str = "ENABLED") -> dict[str, Any]:
    return {"time to live": {"TimeToLiveStatus": status, "AttributeName": attribute}}


def keeps(images: int) -> str:
    chosen = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": images}
    return json.dumps({"rules": [{"selection": chosen, "action": {"type": "expire"}}]})


WORKER = "arn:aws:iam::111122223333:role/worker"
TRUSTED: dict[str, Any] = {"attached": []}
TOPIC = "arn:aws:sns:eu-west-1:111122223333:alerts"
HEARD = {"subscriptions": [{"SubscriptionArn": f"{TOPIC}:1"}]}
FILTERED = {"TopicArn": TOPIC, "Endpoint": "on-call@x.example", "FilterPolicy": '{"a": ["b"]}'}
SHUT_OUT = {"RuleAction": "deny", "RuleNumber": 10, "CidrBlock": "0.0.0.0/0", "Protocol": "6"}
HIGH = {"From": 1024, "To": 65535}


def world(kind: str, name: str, of: Any) -> dict[tuple[str, str], Any]:
    return {
        ("queue", "orders"): queue(),
        ("queue", "orders-dlq"): queue("orders-dlq"),
        ("function", "worker"): {
            "FunctionName": "worker",
            "Timeout": 100,
            "triggers": [TRIGGER],
            "Role": WORKER,
        },
        ("alarm", "errors"): {"AlarmActions": [TOPIC]},
        ("database instance", "db"): {"VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1"}]},
        ("cache cluster", "c-001"): {"SecurityGroups": [{"SecurityGroupId": "sg-3"}]},
        (kind, name): of,
    }


def asking() -> Any:
    return Ops(0, Facts(FACTS, "parameters/targets/x.yaml"))


def broken(kind: str, name: str, of: Any, production: bool = True) -> list[tuple[str, str]]:
    ops = asking()
    ops.target.production = production
    found = rules.judged(ops, Described(world(kind, name, of)), lambda _: "")
    return [(f.check.partition(" of ")[0], f.status) for f in found if f.status != "ok"]


def day(days: float) -> datetime:
    return START + timedelta(days=days)


def task(**variables: str) -> dict[str, Any]:
    given = [{"name": name, "value": value} for name, value in variables.items()]
    container = says("awslogs")["definition"]["containerDefinitions"][0]
    return {"definition": {"containerDefinitions": [container | {"environment": given}]}}


def turns_away(who: str, action: str, **more: Any) -> dict[str, Any]:
    """What is read of a bucket whose policy denies one action to one role."""
    return {"policy": turned_away(action, Principal={"AWS": [who]}, **more)}


def routed(**by: str) -> dict[str, Any]:
    """An HTTP API with a route to each path, and how it asks who calls."""
    routes = [{"RouteKey": f"GET /{path}", "AuthorizationType": how} for path, how in by.items()]
    return {"ProtocolType": "HTTP", "routes": [each | {"Target": "x"} for each in routes]}


def kept_out(**other: str) -> str:
    """A policy that denies everything to whoever is another than that."""
    said = {f"aws:{name}": value for name, value in other.items()}
    return turned_away("s3:*", Condition={"StringNotEquals": said})


def colder(prefix: str, to: str = "DEEP_ARCHIVE") -> dict[str, Any]:
    moved = [{"Days": 30, "StorageClass": to}]
    rule = {"Status": "Enabled", "Filter": {"Prefix": prefix}, "Transitions": moved}
    return {"public access block": BLOCK, "lifecycle": [rule]}


def attributes(**of: str) -> dict[str, Any]:
    named = {name.replace("__", "."): value for name, value in of.items()}
    return {"attributes": [{"Key": key, "Value": value} for key, value in named.items()]}


def by_path(*paths: str) -> dict[str, Any]:
    """A listener's rules in their order, each for a path."""
    rules = [
        {"Priority": f"{at}", "Conditions": [{"Field": "path-pattern", "Values": [path]}]}
        for at, path in enumerate(paths, 1)
    ]
    return {"rules": [*rules, {"Priority": "default", "Conditions": []}]}


def through(*resources: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": [*resources]}
    return {
        "ServiceName": "com.amazonaws.eu-west-1.s3",
        "PolicyDocument": json.dumps({"Statement": [statement]}),
    }


def watching(metric: str, sign: str, limit: float, **more: Any) -> dict[str, Any]:
    space, _, name = metric.rpartition("/")
    of = {"Namespace": space, "MetricName": name, "Statistic": "Sum", "Period": 300}
    when = {"ComparisonOperator": f"{sign}ThanThreshold", "Threshold": limit}
    return of | when | {"EvaluationPeriods": 1} | more


def filtered(source: str) -> dict[str, Any]:
    left_out = {"Filters": [{"Pattern": '{"body": {"kind": ["x"]}}'}]}
    trigger = {"EventSourceArn": source, "State": "Enabled", "FilterCriteria": left_out}
    return {"FunctionName": "other", "Timeout": 3, "triggers": [trigger]}


def says(where: str | None) -> dict[str, Any]:
    container = {"name": "web", "essential": True}
    container |= {"logConfiguration": {"logDriver": where}} if where else {}
    return {"definition": {"containerDefinitions": [container]}}


TABLE = "arn:aws:dynamodb:eu-west-1:111122223333:table/items"
STREAM = f"{TABLE}/stream/2026"


def units(read: int, write: int, **more: Any) -> tuple[str, str, dict[str, Any]]:
    return (
        "table",
        "items",
        {"ProvisionedThroughput": [read, write], **ends_by("expires_at"), **more},
    )


def set_to(**variables: str) -> dict[str, Any]:
    return {"FunctionName": "f", "Timeout": 3, "Environment": {"Variables": variables}}


def shown(status: str = "AVAILABLE", by: str = "TLS_1_2", to: str = "a1") -> dict[str, Any]:
    """A host name of API Gateway's."""
    of = [{"DomainNameStatus": status, "SecurityPolicy": by, "CertificateArn": "arn:c"}]
    return {
        "DomainName": "b.example.com",
        "DomainNameConfigurations": of,
        "mappings": [{"ApiId": to}],
    }


def sends(by: str) -> tuple[str, str, dict[str, Any]]:
    """What sends to a queue, as AWS describes it."""
    queued = f"{ARN}orders"
    return {
        "s3": ("bucket", "data", {"notifications": [{"QueueArn": queued}]}),
        "sns": ("topic", "t", {"subscriptions": [{"Endpoint": queued}]}),
        "events": ("rule", "r", {"targets": [{"Arn": queued}]}),
    }[by]


WARN, CRITICAL = "warn", "critical"
BREAKER_OFF = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
SHORT = {"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
CURRENT = {"1": ["AWSCURRENT"]}
EVERYTHING = {"Effect": "Allow", "Action": ["*"], "Resource": "*"}
ANYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
OURS = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
OPEN = {
    "GroupName": "open",
    "IpPermissions": [{"FromPort": 5432, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
}
HTTPS = {"FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
ALL = '{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "*"}]}'
OWN = ALL[:-3] + ', "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:x"}}}]}'
ROUTED = {"ProtocolType": "HTTP", "routes": [{"Target": "integrations/1"}], "integrations": [{}]}
LATEST = {"Name": "live", "FunctionVersion": "$LATEST"}
SHUT = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
BLOCKS: dict[str, Any] = {"Action": {"Block": {}}}
STATES = {"StartAt": "A", "States": {}}
INSIDE = {"CidrBlock": "10.0.0.0/8", "PortRange": {"From": 5000, "To": 6000}}
ONE_AT_ONCE = {
    "FunctionName": "other",
    "Timeout": 3,
    "concurrency": {"ReservedConcurrentExecutions": 1},
}
DAY = {"Period": 86400}
ENCRYPTED = {"TopicArn": TOPIC, "KmsMasterKeyId": "alias/aws/sns"}
UNMOUNTED = {"LifeCycleState": "available", "NumberOfMountTargets": 0}
UNSENT = {"TreatMissingData": "notBreaching"}
CASES = [
    *edges.CASES,
    (*units(1, 5), "ProvisionedThroughput", WARN),
    ("service", "web", task(ITEMS_TABLE="itmes"), "variables", CRITICAL),
    ("function", "f", set_to(TABLE_NAME="gone"), "variables", CRITICAL),
    ("repository", "r", {"policy": turned_away("ecr:BatchGetImage")}, "policy", CRITICAL),
    ("stream", "s", {"StreamStatus": "DELETING"}, "StreamStatus", CRITICAL),
    ("file system", "f", UNMOUNTED, "ThroughputMode", CRITICAL),
    (
        "API host",
        "b.example.com",
        shown("PENDING_CERTIFICATE_REIMPORT"),
        "DomainNameConfigurations",
        WARN,
    ),
    ("API host", "b.example.com", shown(by="TLS_1_0"), "DomainNameConfigurations", WARN),
    ("api", "a", routed(orders="JWT", bills="NONE"), "routes", CRITICAL),
    (
        "api",
        "a",
        {"integrations": [{"TimeoutInMillis": 50}], "ProtocolType": "HTTP"},
        "integrations",
        WARN,
    ),
    (
        "api",
        "a1",
        {"DisableExecuteApiEndpoint": True, "ApiId": "a1"},
        "DisableExecuteApiEndpoint",
        CRITICAL,
    ),
    ("queue", "orders", queue(VisibilityTimeout="43200"), "VisibilityTimeout", WARN),
    ("queue", "orders", queue(DelaySeconds="900"), "DelaySeconds", WARN),
    ("queue", "orders", queue(MaximumMessageSize="1024"), "MaximumMessageSize", WARN),
    ("bucket", "site", {"policy": kept_out(sourceVpce="vpce-9")}, "policy", CRITICAL),
    ("queue", "orders", queue(Policy=kept_out(PrincipalArn="arn:x:role/gone")), "policy", CRITICAL),
    ("bucket", "data", colder(""), "lifecycle", CRITICAL),
    ("bucket", "data", colder("pictures/", "GLACIER"), "lifecycle", CRITICAL),
    ("bucket", "data", {"public access block": BLOCK, "empty files": 2}, "empty files", WARN),
    ("load balancer", "l", attributes(idle_timeout__timeout_seconds="1"), "attributes", WARN),
    (
        "target group",
        "t",
        attributes(deregistration_delay__timeout_seconds="0"),
        "attributes",
        WARN,
    ),
    (
        "target group",
        "t",
        {"HealthCheckIntervalSeconds": 300, "UnhealthyThresholdCount": 2},
        "HealthCheckIntervalSeconds",
        WARN,
    ),
    ("listener", "l", by_path("/*", "/api/*"), "rules", CRITICAL),
    ("access list", "acl", {"Entries": [SHUT_OUT | INSIDE]}, "Entries", CRITICAL),
    ("endpoint", "s3", through("arn:aws:s3:::other/*"), "PolicyDocument", CRITICAL),
    ("service", "web", says(None), "definition", WARN),
    (
        "state machine",
        "s",
        {"type": "STANDARD", "definition": json.dumps(STATES | {"TimeoutSeconds": 1})},
        "definition",
        WARN,
    ),
    ("function", "other", filtered(f"{ARN}orders"), "triggers", WARN),
    ("alarm", "a", watching("AWS/ApiGateway/5xx", "Greater", 10, **DAY), "Period", WARN),
    ("alarm", "a", watching("AWS/SQS/Age", "Greater", 9, EvaluationPeriods=288), "Period", WARN),
    (
        "alarm",
        "a",
        watching("AWS/Lambda/Errors", "Greater", 10, Statistic="Average"),
        "Statistic",
        WARN,
    ),
    (
        "alarm",
        "a",
        watching("AWS/Lambda/Invocations", "Less", 1, **UNSENT),
        "TreatMissingData",
        WARN,
    ),
    ("topic", "t", HEARD | ENCRYPTED, "KmsMasterKeyId", CRITICAL),
    ("database orphans", "db", {"lost": "3 rows of documents.tenant_id"}, "lost", WARN),
    ("queue", "orders", queue(VisibilityTimeout="599"), "VisibilityTimeout", WARN),
    ("queue", "orders", queue(RedrivePolicy=redriven(4)), "RedrivePolicy.maxReceiveCount", WARN),
    ("queue", "orders", queue(RedrivePolicy=None), "RedrivePolicy", CRITICAL),
    (
        "queue",
        "orders-dlq",
        queue("orders-dlq", MessageRetentionPeriod="3600"),
        "MessageRetentionPeriod",
        WARN,
    ),
    ("queue", "orders", queue(MessageRetentionPeriod="60"), "MessageRetentionPeriod", WARN),
    ("queue", "orders-dlq", letters("denyAll"), "RedriveAllowPolicy", CRITICAL),
    ("queue", "orders-dlq", letters("byQueue", "others"), "RedriveAllowPolicy", CRITICAL),
    ("api", "a", ROUTED | {"integrations": []}, "integrations", CRITICAL),
    ("api", "a", ROUTED | {"routes": [{"RouteKey": "GET /x"}]}, "integrations", CRITICAL),
    ("role", WORKER, trusts("lambda") | {"attached": [], "inline": []}, "attached", CRITICAL),
    ("api", "a", {"CorsConfiguration": {"AllowOrigins": ["*"]}}, "CorsConfiguration", WARN),
    ("alarm", "orders-dlq-depth", watches("QueueName", "orders"), "Dimensions", WARN),
    ("security group", "sg-1", {"GroupName": "db", "IpPermissions": []}, "IpPermissions", CRITICAL),
    ("security group", "sg-3", {"GroupName": "c", "IpPermissions": []}, "IpPermissions", CRITICAL),
    ("scaling", "s", {"scheduled": [at_night(2), at_night(0)]}, "scheduled", WARN),
    ("inline policy", "no r", denies("secretsmanager:GetSecretValue"), "Statement", CRITICAL),
    ("policy", "no", denies("iam:*", "ecr:*"), "Statement", CRITICAL),
    ("database instance", "d", {"MultiAZ": False}, "MultiAZ", WARN),
    ("queue", "orders", queue(Policy=ALL), "policy", CRITICAL),
    (
        "topic",
        "alerts",
        {"Policy": ALL, "subscriptions": [{"SubscriptionArn": "arn:x"}]},
        "policy",
        CRITICAL,
    ),
    ("secret", "db", {"policy": ALL}, "policy", CRITICAL),
    (
        "function",
        "other",
        {"FunctionName": "other", "Timeout": 3, "aliases": [LATEST]},
        "aliases",
        WARN,
    ),
    ("database times", "db", {"future": "jobs.started_at up to 2031"}, "future", WARN),
    ("database twins", "db", {"alike": "2 of users.email"}, "alike", WARN),
    ("database silences", "db", {"silent": "jobs.kind video: none"}, "silent", WARN),
    (
        "alarm",
        "cpu",
        {
            "MetricName": "CPUUtilization",
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 8000.0,
        },
        "Threshold",
        WARN,
    ),
    ("database sequences", "db", {"behind": "users_id_seq gives 1 next"}, "behind", CRITICAL),
    ("key", "k", {"KeyState": "PendingDeletion"}, "KeyState", CRITICAL),
    ("vpc", "vpc-1", {"support": False, "names": False}, "support", WARN),
    ("subnet", "s-1", {"AvailableIpAddressCount": 3}, "AvailableIpAddressCount", WARN),
    ("database cluster", "db", {"DeletionProtection": False}, "DeletionProtection", WARN),
    ("database instance", "db", {"PubliclyAccessible": True}, "PubliclyAccessible", CRITICAL),
    ("database instance", "db", {"StorageEncrypted": False}, "StorageEncrypted", WARN),
    ("database instance", "db", {"BackupRetentionPeriod": 6}, "BackupRetentionPeriod", WARN),
    (
        "database instance",
        "db",
        {"CertificateDetails": {"ValidTill": day(6)}},
        "CertificateDetails",
        CRITICAL,
    ),
    (
        "database instance",
        "db",
        {"CACertificateIdentifier": "rds-ca-2019"},
        "CACertificateIdentifier",
        WARN,
    ),
    (
        "database instance",
        "db",
        {"CACertificateIdentifier": "new", "CertificateDetails": {"ValidTill": day(59)}},
        "CACertificateIdentifier",
        WARN,
    ),
    ("security group", "sg-1", OPEN, "IpPermissions", CRITICAL),
    ("security group", "sg-2", OPEN, "IpPermissions", WARN),
    ("security group", "sg-3", OPEN, "IpPermissions", CRITICAL),
    ("replication group", "c", {"AutomaticFailover": "disabled"}, "AutomaticFailover", WARN),
    (
        "replication group",
        "c",
        {"TransitEncryptionEnabled": False},
        "TransitEncryptionEnabled",
        WARN,
    ),
    (
        "service",
        "c app",
        {"loadBalancers": [{}], "deploymentConfiguration": {"minimumHealthyPercent": 0}},
        "deploymentConfiguration.minimumHealthyPercent",
        WARN,
    ),
    (
        "service",
        "c app",
        {"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 100}},
        "deploymentConfiguration.maximumPercent",
        CRITICAL,
    ),
    ("listener", "l", {"DefaultActions": [SHUT]}, "DefaultActions", CRITICAL),
    (
        "web acl",
        "a",
        {"DefaultAction": {"Block": {}}, "Rules": [BLOCKS]},
        "DefaultAction",
        CRITICAL,
    ),
    ("table", "t", {"ItemCount": 0}, "ItemCount", CRITICAL),
    ("bucket", "data", {"public access block": None}, "public access block", CRITICAL),
    (
        "function",
        "api",
        {
            "FunctionName": "api",
            "Timeout": 3,
            "url": {"AuthType": "NONE", "FunctionUrl": "https://x.on.aws/"},
        },
        "url",
        CRITICAL,
    ),
    (
        "bucket",
        "data",
        {"public access block": {**BLOCK, "BlockPublicAcls": False}},
        "public access block",
        CRITICAL,
    ),
    (
        "bucket",
        "data",
        {"public access block": BLOCK, "lifecycle": [EMPTIED]},
        "lifecycle",
        CRITICAL,
    ),
    (
        "function",
        "api",
        {"FunctionName": "api", "Timeout": 3, "Runtime": "python3.9"},
        "Runtime",
        WARN,
    ),
    (
        "function",
        "api",
        {"FunctionName": "api", "Timeout": 3, "concurrency": {"ReservedConcurrentExecutions": 0}},
        "concurrency",
        CRITICAL,
    ),
    (
        "function",
        "api",
        {"FunctionName": "api", "Timeout": 3, "triggers": [{"State": "Disabled"}]},
        "triggers",
        WARN,
    ),
    ("inline policy", "tmp r", {"Statement": EVERYTHING}, "Statement", CRITICAL),
    (
        "role",
        "r",
        {"attached": [{"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]},
        "attached",
        CRITICAL,
    ),
    ("role", "r", {"AssumeRolePolicyDocument": {"Statement": ANYBODY}}, "policy", CRITICAL),
    (
        "search domain",
        "d",
        {"AccessPolicies": json.dumps({"Statement": [ANYBODY | {"Principal": "*"}]})},
        "policy",
        CRITICAL,
    ),
    (
        "search domain",
        "d",
        {"DomainEndpointOptions": {"EnforceHTTPS": False}},
        "DomainEndpointOptions",
        WARN,
    ),
    ("queue", "orders", queue(Policy=turned_away("sqs:SendMessage")), "policy", CRITICAL),
    ("topic", "t", HEARD | {"Policy": turned_away("sns:*")}, "policy", CRITICAL),
    ("secret", "s", {"policy": turned_away("secretsmanager:GetSecretValue")}, "policy", CRITICAL),
    ("role", WORKER, TRUSTED | trusts("ec2"), "AssumeRolePolicyDocument", CRITICAL),
    ("table", "items", ends_by("created_at"), "time to live", CRITICAL),
    ("table", "items", ends_by("expires_at", "DISABLED"), "time to live", CRITICAL),
    ("subscription", "s", FILTERED, "FilterPolicy", CRITICAL),
    ("access list", "acl", {"Entries": [SHUT_OUT]}, "Entries", CRITICAL),
    ("access list", "acl", {"Entries": [SHUT_OUT | {"PortRange": HIGH}]}, "Entries", CRITICAL),
    ("repository", "app", {"lifecycle": keeps(1)}, "lifecycle", WARN),
    ("rule", "nightly", {"State": "DISABLED"}, "State", WARN),
    ("log group", "g", {}, "retentionInDays", WARN),
    ("log group", "g", {"retentionInDays": 1}, "retentionInDays", WARN),
    (
        "topic",
        "t",
        {"subscriptions": [{"SubscriptionArn": "PendingConfirmation"}]},
        "subscriptions",
        WARN,
    ),
    (
        "secret",
        "s",
        {"RotationEnabled": True, "NextRotationDate": day(-2)},
        "RotationEnabled",
        WARN,
    ),
    ("secret", "s", {"VersionIdsToStages": {**CURRENT, "2": ["AWSPENDING"]}}, "stages", WARN),
    ("service", "web", {"deploymentConfiguration": BREAKER_OFF}, "deploymentConfiguration", WARN),
    ("service", "web", task(OPENAI_API_KEY="sk-1"), "definition", WARN),
    ("target group", "web", {"Matcher": {"HttpCode": "200-599"}}, "Matcher", CRITICAL),
    (
        "bucket",
        "data",
        {"public access block": BLOCK, "lifecycle": [{**SHORT, "Filter": {"Prefix": ""}}]},
        "lifecycle",
        WARN,
    ),
]
KEPT = [
    units(5, 5),
    ("service", "web", task(STABLE="x", ITEMS_TABLE="items")),
    ("function", "f", set_to(TABLE_NAME="items")),
    units(1, 1, BillingMode="PAY_PER_REQUEST"),
    units(1, 1, scaled=["dynamodb:table:ReadCapacityUnits"]),
    units(5, 5, TableArn=TABLE),
    ("stream", "s", {"StreamStatus": "UPDATING"}),
    ("API host", "b.example.com", shown()),
    *edges.KEPT,
    ("api", "a", routed(orders="JWT", health="NONE", login="NONE")),
    ("api", "a", routed(orders="NONE", bills="NONE")),
    ("api", "a", {"DisableExecuteApiEndpoint": True, "ApiId": "b2"}),
    ("api", "a", {"integrations": [{"TimeoutInMillis": 30000}]}),
    ("queue", "elsewhere", queue("elsewhere", DelaySeconds="900")),
    ("queue", "orders", queue(MaximumMessageSize="262144")),
    ("bucket", "site", {"policy": kept_out(PrincipalArn=WORKER + "*")}),
    ("bucket", "data", colder("old-reports/")),
    ("bucket", "data", colder("pictures/", "STANDARD_IA")),
    ("bucket", "data-backup", colder("")),
    ("bucket", "data", {"public access block": BLOCK, "empty files": 0}),
    ("load balancer", "l", attributes(idle_timeout__timeout_seconds="60", access_logs="")),
    ("target group", "t", attributes(deregistration_delay__timeout_seconds="30")),
    ("target group", "t", {"HealthCheckIntervalSeconds": 30, "UnhealthyThresholdCount": 3}),
    ("listener", "l", by_path("/api/*", "/*")),
    ("access list", "acl", {"Entries": [SHUT_OUT | INSIDE | {"CidrBlock": "203.0.113.0/24"}]}),
    ("endpoint", "s3", through("arn:aws:s3:::site", "arn:aws:s3:::site/*")),
    ("endpoint", "s3", through("*")),
    ("service", "web", says("awslogs")),
    ("state machine", "s", {"type": "STANDARD", "definition": json.dumps(STATES)}),
    ("function", "other", filtered("arn:aws:dynamodb:eu-west-1:111122223333:table/x/stream/1")),
    ("function", "other", ONE_AT_ONCE),
    ("alarm", "a", watching("AWS/S3/BucketSizeBytes", "Greater", 10, **DAY)),
    (
        "alarm",
        "a",
        watching("AWS/SQS/Age", "Greater", 9, EvaluationPeriods=288, DatapointsToAlarm=3),
    ),
    ("alarm", "a", watching("AWS/Lambda/Errors", "Greater", 0.1, Statistic="Average")),
    ("alarm", "a", watching("AWS/RDS/FreeStorageSpace", "Less", 1e10, **UNSENT)),
    ("database orphans", "db", {"lost": None}),
    ("topic", "t", HEARD | ENCRYPTED | {"KmsMasterKeyId": "alias/alerts"}),
    ("topic", "t", HEARD | ENCRYPTED | {"TopicArn": f"{TOPIC}-of-others"}),
    ("api", "a", ROUTED),
    ("api", "a", {"ProtocolType": "WEBSOCKET", "routes": [{"RouteKey": "$connect"}]}),
    ("role", "arn:x:role/task", trusts("ecs-tasks") | {"attached": [], "inline": []}),
    ("bucket", "site", turns_away(WORKER, "s3:DeleteObject")),
    ("bucket", "site", turns_away(WORKER, "s3:*", Condition={"Bool": {"aws:x": "false"}})),
    ("bucket", "site", turns_away(f"{WORKER}-of-others", "s3:GetObject")),
    ("security group", "sg-9", {"GroupName": "lambda", "IpPermissions": []}),
    ("scaling", "s", {"scheduled": [at_night(1)]}),
    ("scaling", "s", {"scheduled": []}),
    ("inline policy", "no r", denies("iam:*", "s3:DeleteBucket", "kms:ScheduleKeyDeletion")),
    ("inline policy", "no r", denies("s3:*", Resource="arn:aws:s3:::other/*")),
    ("inline policy", "no r", denies("s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})),
    ("alarm", "orders-dlq-depth", watches("QueueName", "orders-dlq")),
    ("alarm", "orders-late", watches("QueueName", "orders")),
    ("alarm", "worker-backlog", watches("QueueName", "orders")),
    ("alarm", "orders-late", watches("ApiId", "a1b2c3")),
    ("queue", "orders-dlq", letters("allowAll")),
    ("queue", "orders-dlq", letters("byQueue", "orders")),
    ("api", "a", {"CorsConfiguration": {"AllowOrigins": ["https://app.example"]}}),
    ("api", "a", {}),
    ("database instance", "d", {"MultiAZ": False, "DBClusterIdentifier": "c"}),
    ("database instance", "d", {"MultiAZ": False, "ReadReplicaSourceDBInstanceIdentifier": "e"}),
    ("database times", "db", {"future": None}),
    ("database silences", "db", {"silent": None}),
    ("database sequences", "db", {"behind": None}),
    ("database twins", "db", {"alike": None}),
    *(
        ("alarm", "cpu", {"MetricName": m, "ComparisonOperator": sign, "Threshold": limit})
        for m, sign, limit in (
            ("CPUUtilization", "GreaterThanThreshold", 80.0),
            ("CPUUtilization", "GreaterThanOrEqualToThreshold", 100.0),
            ("Duration", "GreaterThanThreshold", 25000.0),
            ("DiskUsedPercent", "LessThanThreshold", 100.0),
        )
    ),
    ("key", "k", {"KeyState": "Enabled"}),
    ("vpc", "vpc-1", {"support": True, "names": False}),
    ("subnet", "s-1", {"AvailableIpAddressCount": 4091}),
    ("queue", "orders", queue()),
    ("queue", "other", queue("other", RedrivePolicy=redriven(3), VisibilityTimeout="30")),
    (
        "database instance",
        "db",
        {
            "DBInstanceIdentifier": "db",
            "DBClusterIdentifier": "c",
            "DeletionProtection": False,
            "BackupRetentionPeriod": 1,
        },
    ),
    (
        "database instance",
        "db",
        {"PubliclyAccessible": False, "StorageEncrypted": True, "BackupRetentionPeriod": 7},
    ),
    (
        "database instance",
        "db",
        {"CACertificateIdentifier": "new", "CertificateDetails": {"ValidTill": day(61)}},
    ),
    ("security group", "sg-2", {"IpPermissions": [HTTPS, {"FromPort": 5432, "IpRanges": []}]}),
    (
        "role",
        "app",
        {
            "AssumeRolePolicyDocument": {
                "Statement": ANYBODY | {"Principal": {"Service": "ecs-tasks.amazonaws.com"}}
            },
            "attached": [],
        },
    ),
    (
        "service",
        "c app",
        {"loadBalancers": [{}], "deploymentConfiguration": {"minimumHealthyPercent": 50}},
    ),
    ("service", "c worker", {"deploymentConfiguration": {"minimumHealthyPercent": 0}}),
    ("listener", "l", {"DefaultActions": [{"Type": "forward"}]}),
    ("web acl", "a", {"DefaultAction": {"Allow": {}}, "Rules": [BLOCKS]}),
    ("web acl", "a", {"DefaultAction": {"Block": {}}, "Rules": [{"Action": {"Allow": {}}}]}),
    ("table", "t", {"ItemCount": 7}),
    ("table", "t", {}),
    ("bucket", "site", {"public access block": None}),
    (
        "bucket",
        "data",
        {"public access block": BLOCK, "lifecycle": [{**EMPTIED, "Filter": {"Prefix": "tmp/"}}]},
    ),
    ("bucket", "data", {"public access block": "[unread]", "lifecycle": "[unread]"}),
    (
        "function",
        "api",
        {
            "FunctionName": "api",
            "Timeout": 3,
            "Runtime": "python3.12",
            "concurrency": {},
            "triggers": [TRIGGER],
        },
    ),
    ("queue", "orders", queue(Policy=turned_away("sqs:DeleteQueue"))),
    ("queue", "orders", queue(Policy=turned_away("sqs:SendMessage", Condition=OURS))),
    ("role", WORKER, TRUSTED | trusts("lambda")),
    ("role", "of-nobody", TRUSTED | trusts("ec2")),
    ("table", "items", ends_by("expires_at", "ENABLING")),
    ("subscription", "s", FILTERED | {"FilterPolicyScope": "MessageBody"}),
    ("subscription", "s", FILTERED | {"TopicArn": f"{TOPIC}-orders"}),
    ("access list", "acl", {"Entries": [SHUT_OUT | {"RuleNumber": 32767}]}),
    ("access list", "acl", {"Entries": [SHUT_OUT | {"PortRange": {"From": 22, "To": 22}}]}),
    ("access list", "acl", {"Entries": [SHUT_OUT | {"CidrBlock": "198.51.100.0/24"}]}),
    ("repository", "app", {"lifecycle": keeps(20)}),
    ("rule", "nightly", {"State": "ENABLED"}),
    (
        "replication group",
        "c",
        {"AutomaticFailover": "enabled", "TransitEncryptionEnabled": True},
    ),
    ("inline policy", "s3 r", {"Statement": [EVERYTHING | {"Action": ["s3:*"]}]}),
    ("inline policy", "no r", {"Statement": [EVERYTHING | {"Effect": "Deny", "Condition": OURS}]}),
    ("role", "r", {"AssumeRolePolicyDocument": {"Statement": [ANYBODY | {"Condition": OURS}]}}),
    (
        "search domain",
        "d",
        {"AccessPolicies": json.dumps({"Statement": [ANYBODY]}), "VPCOptions": {"VPCId": "vpc-1"}},
    ),
    ("log group", "g", {"retentionInDays": 30}),
    (
        "topic",
        "t",
        {"subscriptions": [{"SubscriptionArn": "arn:aws:sns:eu-west-1:111122223333:t:1"}]},
    ),
    ("secret", "s", {"RotationEnabled": True, "NextRotationDate": day(3)}),
    ("secret", "s", {}),
    ("secret", "s", {"VersionIdsToStages": {"1": ["AWSCURRENT", "AWSPENDING"]}}),
    ("service", "web", {"deploymentConfiguration": {**BREAKER_OFF, "alarms": {"enable": True}}}),
    ("service", "web", task(API_URL="https://example.com", MAX_TOKENS="900")),
    ("target group", "web", {"Matcher": {"HttpCode": "200,301"}}),
    ("queue", "orders", queue(Policy=OWN)),
    (
        "function",
        "api",
        {
            "FunctionName": "api",
            "Timeout": 3,
            "aliases": [LATEST | {"FunctionVersion": "7"}],
            "policy": OWN,
        },
    ),
    ("topic", "t", "[unread]"),
    ("function", "api", {"FunctionName": "api", "Timeout": 3, "url": {"AuthType": "AWS_IAM"}}),
]


@pytest.mark.parametrize(("kind", "name", "of", "setting", "status"), CASES)
def test_a_broken_rule_is_found(kind: str, name: str, of: Any, setting: str, status: str) -> None:
    assert broken(kind, name, of) == [(setting, status)]


@pytest.mark.parametrize(("kind", "name", "of"), KEPT)
def test_where_it_is_kept_nothing_is_found(kind: str, name: str, of: Any) -> None:
    assert broken(kind, name, of) == []


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (turns_away(WORKER, "s3:GetObject"), CRITICAL),
        (turns_away(WORKER, "s3:DeleteObject"), ""),
        (turns_away(f"{WORKER}-of-others", "s3:GetObject"), ""),
    ],
)
def test_a_policy_that_turns_away_what_works_there_is_found(policy: Any, status: str) -> None:
    found = world("role", WORKER, trusts("lambda") | {"inline": ["app"]})
    found |= {("bucket", "site"): policy}
    seen = list(rules.judged(asking(), Described(found), lambda _: ""))
    assert [f.status for f in seen if f.check.startswith("RoleName")] == [status] * bool(status)


def test_a_function_that_an_api_asks_and_that_may_run_once_at_a_time_is_found() -> None:
    leads = {"integrations": [{"IntegrationUri": "arn:aws:lambda:eu-west-1:1:function:other"}]}
    found = world("function", "other", ONE_AT_ONCE) | {("api", "a"): leads}
    seen = [f for f in rules.judged(asking(), Described(found), lambda _: "") if f.status != "ok"]
    assert [f.check for f in seen] == ["concurrency of function other"]


def beside(*more: tuple[str, str, dict[str, Any]]) -> list[str]:
    """What is found of several things together, by setting and kind."""
    found = {(kind, name): of for kind, name, of in more}
    seen = rules.judged(asking(), Described(found), lambda _: "")
    return [f.check for f in seen if f.status != "ok"]


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        ({"LatestStreamArn": STREAM, "StreamSpecification": {"StreamEnabled": True}}, False),
        (
            {
                "LatestStreamArn": f"{TABLE}/stream/2027",
                "StreamSpecification": {"StreamEnabled": True},
            },
            True,
        ),
        ({"LatestStreamArn": STREAM, "StreamSpecification": None}, True),
    ],
)
def test_a_function_that_reads_what_is_no_stream_of_the_table_any_more_is_found(
    stream: dict[str, Any], told: bool
) -> None:
    reads = ("function", "f", {"triggers": [{"EventSourceArn": STREAM, "State": "Enabled"}]})
    found = beside(units(5, 5, TableArn=TABLE, **stream), reads)
    assert found == ["StreamSpecification of table items"] * told


@pytest.mark.parametrize("by", ["s3", "sns", "events"])
def test_a_queue_that_does_not_let_in_what_sends_to_it_is_found(by: str) -> None:
    who = {"Effect": "Allow", "Principal": {"Service": f"{by}.amazonaws.com"}, "Action": "*"}
    lets = queue(Policy=json.dumps({"Statement": [who]}))
    letters = ("queue", "orders-dlq", queue("orders-dlq"))
    told = "Policy of queue orders"
    assert told in beside(("queue", "orders", queue()), letters, sends(by))
    assert told not in beside(("queue", "orders", lets), letters, sends(by))
    assert told not in beside(("queue", "orders", queue()), letters)


def test_a_function_that_does_not_let_in_the_rule_that_starts_it_is_found() -> None:
    arn = "arn:aws:lambda:eu-west-1:1:function:f"
    rule = ("rule", "r", {"targets": [{"Arn": f"{arn}:live"}]})
    lets = {
        "policy": json.dumps({"Statement": [{"Principal": {"Service": "events.amazonaws.com"}}]})
    }
    assert beside(("function", "f", {"FunctionArn": arn}), rule) == ["policy of function f"]
    by_role = {"targets": [{"Arn": arn, "RoleArn": "arn:aws:iam::1:role/r"}]}
    rests = {"targets": [{"Arn": arn}], "State": "DISABLED"}
    for other in (by_role, rests):
        found = beside(("function", "f", {"FunctionArn": arn}), ("rule", "r", other))
        assert "policy of function f" not in found
    assert (
        beside(("function", "f", {"FunctionArn": arn}), rule, ("live version", "f live", lets))
        == []
    )


@pytest.mark.parametrize(("to", "told"), [("a1", False), ("z9", True)])
def test_a_host_that_leads_to_another_api_than_the_target_s_is_found(to: str, told: bool) -> None:
    name = "b.example.com"
    found = beside(("API host", name, shown(to=to)), ("api", "a1", {"ApiId": "a1", "stages": [{}]}))
    assert found == [f"mappings of API host {name}"] * told


@pytest.mark.parametrize(
    ("names", "told"),
    [(["b.example.com"], False), (["*.example.com"], False), (["c.example.com"], True)],
)
def test_a_host_that_shows_the_certificate_of_another_is_found(
    names: list[str], told: bool
) -> None:
    shows = {"Status": "ISSUED", "NotAfter": day(90), "SubjectAlternativeNames": names}
    host, wrong = ("API host", "b.example.com", shown()), "DomainNameConfigurations of API host"
    for arn in ("arn:c", "arn:of-another"):
        shown_by = ("TLS certificate", arn, {**shows, "CertificateArn": arn})
        assert beside(host, shown_by) == [f"{wrong} b.example.com"] * (told and arn == "arn:c")


def test_outside_production_a_database_needs_less() -> None:
    assert (
        broken(
            "database cluster",
            "c",
            {"DeletionProtection": False, "BackupRetentionPeriod": 1},
            production=False,
        )
        == []
    )
    assert broken("database cluster", "c", {"BackupRetentionPeriod": 0}, production=False) != []


def test_a_job_that_may_take_longer_than_its_message_is_hidden_is_found() -> None:
    """Its function takes from the queue by itself: then once its time-out is enough."""
    found = world("function", "worker", {"FunctionName": "worker", "Timeout": 700, "triggers": []})
    seen = [f for f in rules.judged(asking(), Described(found), lambda _: "") if f.status != "ok"]
    assert [f.check for f in seen] == ["VisibilityTimeout of queue orders"]
    assert "worker may take 700 s" in seen[0].seen


def test_a_job_of_which_only_the_queue_is_described_hinders_no_rule() -> None:
    found = world("function", "worker", {"FunctionName": "worker", "Timeout": 700, "triggers": []})
    ops = asking()
    ops.target.facts["jobs"] = {"mail": {"queue": "orders"}}
    seen = list(rules.judged(ops, Described(found), lambda _: ""))
    assert [f.check for f in seen if f.status != "ok"] == []


def test_an_odd_answer_is_unknown_and_the_other_rules_go_on() -> None:
    odd = {"public access block": 7, "lifecycle": [EMPTIED]}
    assert broken("bucket", "data", odd) == [
        ("public access block", "unknown"),
        ("lifecycle", CRITICAL),
    ]


def test_each_rule_is_proved_and_names_a_document_of_aws() -> None:
    beside_others = {"RoleName", "StreamSpecification", "Policy"}  # above, each with its other
    for rule in data("rules")["rules"]:
        known = ("https://docs.aws.amazon.com/", "https://www.postgresql.org/docs/current/")
        assert rule["source"].startswith(known)
        assert rule["setting"] in beside_others | {setting for *_, setting, _ in CASES}
