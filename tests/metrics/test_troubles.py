"""What AWS counts as trouble is told with what it means, and a healthy system's numbers are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jmespath
import pytest

from opslib import changes, connect
from opslib.changes.resources import Described
from opslib.core import NotAllowed, beside, frame
from opslib.core.reads import metrics
from opslib.metrics import troubles
from tests.changes.test_differences import Ops

NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
TABLE = beside(troubles.__file__, "troubles")
ARN = "arn:aws:{}:eu-west-1:111122223333:"
MODEL = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
SHOP = {
    ("account", "functions"): {"ConcurrentExecutions": 1000},
    ("function", "api"): {
        "FunctionName": "api",
        "Environment": {"Variables": {"MODEL": MODEL, "STAGE": "eu", "BUCKET": "pictures"}},
    },
    ("api", "h2"): {"ApiId": "h2"},
    ("stream", "s"): {"StreamName": "orders"},
    ("file system", "fs-1"): {"FileSystemId": "fs-1"},
    ("state machine", "flow"): {"stateMachineArn": ARN.format("states") + "stateMachine:flow"},
    ("rule", "nightly"): {"Name": "nightly"},
    ("topic", ARN.format("sns") + "alerts"): {"TopicArn": ARN.format("sns") + "alerts"},
    ("queue", "orders"): {"QueueArn": ARN.format("sqs") + "orders"},
    ("table", "items"): {"TableArn": ARN.format("dynamodb") + "table/items"},
    ("load balancer", "shop"): {
        "LoadBalancerArn": ARN.format("elasticloadbalancing") + "loadbalancer/app/shop/1a2b"
    },
    ("schedule group", "cron"): {"Name": "cron"},
    ("health check", "h1"): {"Id": "h1"},
    ("REST API", "a1"): {"name": "shop"},
    ("distribution", "E1"): {"Id": "E1"},
    ("route table", "rtb-1"): {"Routes": [{"NatGatewayId": "nat-1"}, {"GatewayId": "igw-1"}]},
    ("app client", "p c"): {"UserPoolId": "p", "ClientId": "c"},
    ("search domain", "texts"): {"DomainName": "texts", "ARN": ARN.format("es") + "domain/texts"},
    ("cache cluster", "redis-1"): {"CacheClusterId": "redis-1"},
    ("database instance", "db"): {"DBInstanceIdentifier": "db"},
    ("log group", "/app"): {"logGroupName": "/app"},
    ("security group", "sg-1"): "[unread]",
}
OF = {
    "AWS/Lambda": {"FunctionName": "api"},
    "AWS/States": {"StateMachineArn": ARN.format("states") + "stateMachine:flow"},
    "AWS/Events": {"RuleName": "nightly"},
    "AWS/SNS": {"TopicName": "alerts"},
    "AWS/SQS": {"QueueName": "orders"},
    "AWS/DynamoDB": {"TableName": "items", "Operation": "PutItem"},
    "AWS/ApplicationELB": {"LoadBalancer": "app/shop/1a2b"},
    "AWS/Scheduler": {"ScheduleGroup": "cron"},
    "AWS/Route53": {"HealthCheckId": "h1"},
    "AWS/ApiGateway": {"ApiName": "shop"},
    "AWS/CloudFront": {"DistributionId": "E1", "Region": "Global"},
    "AWS/NATGateway": {"NatGatewayId": "nat-1"},
    "AWS/Cognito": {"UserPool": "p", "UserPoolClient": "c"},
    "AWS/ES": {"DomainName": "texts", "ClientId": "111122223333"},
    "AWS/ElastiCache": {"CacheClusterId": "redis-1"},
    "AWS/RDS": {"DBInstanceIdentifier": "db"},
    "AWS/Logs": {"LogGroupName": "/app"},
    "AWS/Bedrock": {"ModelId": MODEL},
    "AWS/Kinesis": {"StreamName": "orders"},
    "AWS/EFS": {"FileSystemId": "fs-1"},
}
OTHERWISE = {metric: {"ApiId": "h2"} for metric in ("4xx", "5xx", "IntegrationLatency")}
OTHERWISE["ConcurrentExecutions"] = {}


def told(
    monkeypatch: pytest.MonkeyPatch,
    counted: dict[tuple[str, str], float],
    hours_ago: float = 0,
    lost: Any = None,
) -> list[tuple[str, str]]:
    """Statuses and what is told, where CloudWatch has these for a quarter of an hour, of what OF
    says; and what is well, since.
    """

    def answered(_: Any, asked: Any, within: Any) -> Any:
        rows = [
            (within.end - timedelta(hours=hours_ago, minutes=minutes), each.key, value)
            for each in asked
            if (value := counted.get((each.namespace, each.metric))) is not None
            and dict(each.dimensions) == OTHERWISE.get(each.metric, OF[each.namespace])
            for minutes in (15, 10, 5)
        ]
        rows += [
            (
                within.end - timedelta(minutes=5),
                key,
                50.0 * ("%" in key or "HealthCheckStatus" in key) + 1e12 * ("Credit" in key),
            )
            for _, key, _ in rows[:1]
            if hours_ago
        ]
        return frame([{"time": t, "label": key, "value": v} for t, key, v in rows], metrics.SERIES)

    monkeypatch.setattr(changes, "read_resources", lambda *_: Described(SHOP, unread=lost or {}))
    monkeypatch.setattr(metrics, "answered", answered)
    ops: Any = Ops(0, {})
    ops.now = lambda: NOW
    return [(each.status, each.check + each.seen) for each in troubles.check_troubles(ops)]


ROWS = [(row, named, rule) for row in TABLE for named, rule in row["metrics"].items()]


@pytest.mark.some(4)
@pytest.mark.parametrize(("row", "named", "rule"), ROWS)
def test_each_of_the_table_is_told_beyond_its_bounds_and_not_within(
    monkeypatch: pytest.MonkeyPatch, row: Any, named: str, rule: Any
) -> None:
    _, warn, critical, means, follows = rule
    metric, _, share = named.partition(" ")
    body = next(body for (kind, _), body in SHOP.items() if kind == row["kind"])
    most = jmespath.search(share, body) if share else 1
    aside = -0.01 if row.get("below") else 0.01
    known = row["space"], metric
    wanted = [(warn, 0, "warn"), (critical, 0, "critical"), (critical, 9, "warn")]  # it is over
    for bound, hours_ago, status in wanted[warn == critical :]:
        [found] = told(monkeypatch, {known: (bound + aside) * most}, hours_ago)
        assert found[0] == status
        assert means in found[1]
    [(status, seen)] = told(monkeypatch, {known: warn * most})
    assert (status, "none: " in seen) == ("ok", True)
    assert row["source"].startswith("https://docs.aws.amazon.com/")
    assert (Path("notebooks") / f"{follows}.ipynb").exists()


def test_what_is_healthy_is_not_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = {
        ("AWS/Lambda", "ConcurrentExecutions"): 640,
        ("AWS/Lambda", "IteratorAge"): 4_000,
        ("AWS/Lambda", "AsyncEventsDropped"): 0,
        ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): 9_000,
        ("AWS/DynamoDB", "SystemErrors"): 3,  # the SDK tries again
        ("AWS/ApplicationELB", "TargetConnectionErrorCount"): 6,  # as a task ends
        ("AWS/ES", "JVMMemoryPressure"): 41,  # the least: it was cleaned
        ("AWS/ES", "ThreadpoolWriteQueue"): 4,
        ("AWS/ElastiCache", "AuthenticationFailures"): 2,
        ("AWS/ElastiCache", "CurrConnections"): 1_900,
        ("AWS/ElastiCache", "ReplicationLag"): 0.4,
        ("AWS/ElastiCache", "SwapUsage"): 40e6,
        ("AWS/ElastiCache", "NetworkBandwidthOutAllowanceExceeded"): 20,
        ("AWS/RDS", "EBSIOBalance%"): 88,
        ("AWS/RDS", "OldestReplicationSlotLag"): -1,  # it has no slot
    }
    assert [status for status, _ in told(monkeypatch, healthy)] == ["ok"]


def test_what_could_not_be_read_is_unknown_where_the_table_looks_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: Any = {"rds:DescribeDBInstances": (NotAllowed("no"), [("database instance", "db")])}
    [(status, seen)] = told(monkeypatch, {}, lost=lost)
    assert (status, "1 resource (database instance db" in seen) == ("unknown", True)
    lost = {"ec2:DescribeSecurityGroups": (NotAllowed("no"), [("security group", "sg-1")])}
    assert [status for status, _ in told(monkeypatch, {}, lost=lost)] == ["ok"]


@pytest.mark.slow
def test_the_practice_copies_have_none(lab: Any) -> None:
    for name in ("ai-studio-production", "dms-dev", "image-caption-prod"):
        [found] = troubles.check_troubles(connect(f"lab/{name}"))
        assert (found.status, found.seen[:6]) == ("ok", "none: ")
