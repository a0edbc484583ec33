"""Configuration is remembered: whatever is altered is named, and nothing else is."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from opslib import changes, connect
from opslib.changes import differences, memory
from opslib.changes.forms import Forms
from opslib.core import redaction
from opslib.core.connections.connection import Connection
from opslib.core.findings import Findings
from tests.conftest import PracticeLab

pytestmark = pytest.mark.slow

ALTERATIONS = yaml.safe_load(Path(__file__).with_name("alterations.yaml").read_text())
SEED, MOST = 20261126, 20
FORMS = Forms(b"of this test" * 3)


def kept(ops: Connection) -> dict[str, Any]:
    """What a check kept last, as it stands in a record."""
    said = [event for event in ops.journal.events if event["event"] == "configuration"][-1]
    return dict(json.loads(json.dumps(redaction.mask_tree(said))))


def after(
    ops: Connection, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **given: Any
) -> Findings:
    """The check with that as the last report's record."""
    remembered = memory.read(said, FORMS, "20261125T060000Z-abcdef", ops.now() - timedelta(days=1))
    with monkeypatch.context() as patch:
        patch.setattr(memory, "last", lambda *_: remembered)
        return changes.check_configuration(ops, **given)


@pytest.fixture
def remembering(lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "own_key", lambda: b"of this test" * 3)


def words(ops: Connection) -> dict[str, str]:
    """The ids of a target's resources, by what alterations call them."""
    from opslib.changes.resources import describe

    found = describe(ops).found
    named = {
        of["GroupName"].rpartition("-")[2]: of["GroupId"]
        for (k, _), of in found.items()
        if k == "security group"
    }
    one = dict(found.keys())
    topic = found["topic", one["topic"]]
    return {
        "url": f"https://sqs.{ops.target.region}.amazonaws.com/{ops.target.account}/",
        "topic": one["topic"],
        "subscription": topic["subscriptions"][0]["SubscriptionArn"],
        "role": one["role"],
        "acl": one.get("access list", ""),
        "vpc": one["vpc"],
        "pool": one.get("pool", ""),
        "admin": next(
            (of["members"][0] for (_, n), of in found.items() if n.endswith(" admin")), ""
        ),
        "client": one.get("app client", " ").split(" ")[1],
        **{f"{name}_group": id for name, id in named.items()},
        "functions_group": named.get("lambda", ""),
        "target_group": one.get("target group", "")
        and found["target group", one["target group"]]["TargetGroupArn"],
        "load_balancer": one.get("load balancer", "")
        and found["load balancer", one["load balancer"]]["LoadBalancerArn"],
        "listener": one.get("listener", ""),
        "subnet": next(
            (of["VpcConfig"]["SubnetIds"][0] for (k, _), of in found.items() if k == "function"), ""
        ),
        "cognito_endpoint": next(
            (
                of["VpcEndpointId"]
                for (k, n), of in found.items()
                if k == "endpoint" and "cognito-idp" in n
            ),
            "",
        ),
        "description": next(
            (
                of["AlarmDescription"]
                for (k, n), of in found.items()
                if n == "loglineos-stage0-errors"
            ),
            "",
        ),
    }


def filled(of: Any, said: dict[str, str]) -> Any:
    if isinstance(of, dict):
        return {filled(key, said): filled(each, said) for key, each in of.items()}
    if isinstance(of, list):
        return [filled(each, said) for each in of]
    if isinstance(of, str):
        for name, value in said.items():
            of = of.replace(f"{{{name}}}", value)
    return of


def altered(target: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Findings, list[Any]]:
    """What is found after some alterations, and which setting of which resource they were."""
    ops = connect(target)
    changes.check_configuration(ops)
    before = kept(ops)
    healthy = after(ops, before, monkeypatch)
    assert healthy.troubles == []
    assert healthy.evidence is None
    every = filled(ALTERATIONS[target], words(ops))
    chosen = random.Random(SEED).sample(every, min(MOST, len(every)))
    for each in chosen:
        service, operation, given = each["call"]
        getattr(ops.client(service), operation)(**given)
    found = after(ops, before, monkeypatch)
    return found, [named for each in chosen for named in each["is"].items()]


def test_each_of_many_alterations_is_named_and_nothing_else(
    lab: PracticeLab, remembering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        both = [altered(target, monkeypatch) for target in ALTERATIONS]
    finally:
        lab.reset()
    for found, wanted in both:
        assert found.evidence is not None
        counting = found.evidence[found.evidence["status"].isin(["warn", "critical"])]
        rows = [(row.resource, row.setting) for row in counting.itertuples()]
        for resource, setting in wanted:
            assert any(r == resource and s.startswith(setting) for r, s in rows), resource
        for resource, setting in rows:
            assert any(r == resource and setting.startswith(s) for r, s in wanted), resource
        named = " ".join(f.check for f in found.troubles)
        assert all(resource in named for resource, _ in wanted)
        assert set(found.evidence["by"].str.partition(":")[0]) <= {"operator", ""}


def test_a_record_keeps_it_and_the_next_look_says_what_is_different(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.projects import ran

    target, name = "lab/bluemoxon-staging", "bluemoxon-staging-analysis"
    record = ran("changes/configuration", target, {})
    assert record.outcome == "ok"
    text = record.path.read_text()
    ops = connect(target)
    variables = ops.call(
        "lambda", "get_function_configuration", FunctionName="bluemoxon-staging-api"
    )["Environment"]["Variables"]
    assert "Environment" in text
    assert variables["SENTRY_DSN"] not in text
    url = ops.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"]
    asked = ops.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
    was = asked["Attributes"]["VisibilityTimeout"]
    assert was != "30"
    for seconds, expected in (("30", 1), (was, 0)):
        settings = {"VisibilityTimeout": seconds}
        ops.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=settings)
        found = changes.check_configuration(ops).troubles
        named = [each for each in found if each.check == f"configuration of queue {name}"]
        assert len(named) == expected
        assert all(f"was {was}, now 30" in each.seen and record.id in each.source for each in named)
    with monkeypatch.context() as patch:  # one that was begun anew has other ids and times
        patch.setattr(memory, "world", lambda _: "another lab")
        assert "no earlier report" in changes.check_configuration(ops)[-1].seen
    recent = changes.check_recent(ops)
    assert f"SetQueueAttributes {name}" in recent[0].seen


def test_a_key_that_a_secret_is_encrypted_with_is_remembered_and_judged(
    lab: PracticeLab, remembering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = connect("lab/image-caption-prod")
    bucket, kms = "image-caption-gen-images-prod", ops.client("kms")
    try:
        id = kms.create_key()["KeyMetadata"]["KeyId"]
        of = {"SecretId": "image-caption-gen-secrets-prod", "KmsKeyId": id}
        ops.client("secretsmanager").update_secret(**of)
        assert not changes.check_configuration(ops).troubles
        before = kept(ops)
        kms.schedule_key_deletion(KeyId=id, PendingWindowInDays=7)
        for number in range(40):
            ops.client("s3").put_object(Bucket=bucket, Key=f"images/{number}", Body=b"")
        found = after(ops, before, monkeypatch).troubles
    finally:
        lab.reset()
    told = {f.check: (f.status, f.seen) for f in found}
    assert told[f"KeyState of key {id}"][0] == "critical"
    assert "DeletionDate: was not set" in told[f"configuration of key {id}"][1]
    assert "without bytes: was 0, now 40" in told[f"configuration of bucket {bucket}"][1]
    assert len(told) == 3


def test_what_is_no_setting_of_a_function_is_remembered_too(
    lab: PracticeLab, remembering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule of the load balancer, a variable of a service, an index, the cache and its keys."""
    ops = connect("lab/ai-studio-production")
    changes.check_configuration(ops)
    before = kept(ops)
    try:
        for change in (_other_image, _other_settings):
            change(ops)
            found = after(ops, before, monkeypatch)
            told = "\n".join(f"{f.check}: {f.seen}" for f in found.troubles)
            assert change is _other_settings or not told, told
    finally:
        lab.reset()
    for words in (
        "listener arn:",
        "service ai-studio-cluster ai-studio-backend: definition.containerDefinitions.backend."
        "environment.MAIL_FROM",
        "target group ai-studio-gateway: Matcher.HttpCode: was 200, now 200-599",
        "load balancer ai-studio-alb: attributes.idle_timeout.timeout_seconds",
        "configuration of database index jobs_user: it is gone",
        "cache AI_STUDIO_REDIS_URL: keys: was",
        "policy: was allkeys-lru, now allkeys-random",
        "log group /ecs/ai-studio-worker: retentionInDays: was 90, now 1",
        "replication group ai-studio-redis: AutomaticFailover",
        "cache cluster ai-studio-redis-002: CacheParameterGroup.CacheParameterGroupName",
        "of ai-studio-production-cache: IpPermissions: was",
        "of HTTP:80: rules.",
        "by operator: ModifyReplicationGroup",
    ):
        assert words in told, told


def test_a_bucket_that_holds_nothing_any_more_is_told_and_one_that_holds_less_is_not(
    lab: PracticeLab, remembering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opslib.core.reads.stores.objects import list_objects

    ops = connect("lab/image-caption-prod")
    bucket = ops.target["buckets"]["backup"]["name"]
    keys = list(list_objects(ops, bucket, "")["key"])
    assert len(keys) > 10

    def leave(some: list[str]) -> Findings:
        for key in [key for key in keys if key not in some]:
            ops.client("s3").delete_object(Bucket=bucket, Key=key)
        return after(ops, before, monkeypatch)

    changes.check_configuration(ops)
    before = kept(ops)
    try:
        assert leave(keys[:1]).troubles == []
        (told,) = leave([]).troubles
        assert told.check == f"configuration of bucket {bucket}"
        assert told.seen.startswith("objects: was 10, now 0")
        changes.check_configuration(ops)
        before = kept(ops)
        ops.client("s3").put_object(Bucket=bucket, Key=keys[0], Body=b"again")
        assert after(ops, before, monkeypatch).troubles == []
    finally:
        lab.reset()


BACKEND = "ai-studio-backend"


def _deploy(ops: Connection, **changed: str) -> None:
    """A revision of the backend with another image, or another value of a variable."""
    told = ops.call("ecs", "describe_task_definition", taskDefinition=BACKEND)["taskDefinition"]
    names = "family containerDefinitions requiresCompatibilities networkMode cpu memory "
    names += "executionRoleArn taskRoleArn"
    given = {name: told[name] for name in names.split()}
    (container,) = given["containerDefinitions"]
    container["image"] = changed.pop("image", container["image"])
    for each in container["environment"]:
        each["value"] = changed.get(each["name"], each["value"])
    ops.call("ecs", "register_task_definition", **given)
    at = {"cluster": "ai-studio-cluster", "service": BACKEND, "taskDefinition": BACKEND}
    ops.call("ecs", "update_service", **at)


def _other_image(ops: Connection) -> None:
    registry = f"{ops.target.account}.dkr.ecr.{ops.target.region}.amazonaws.com"
    _deploy(ops, image=f"{registry}/{BACKEND}:v1.4.0", SCHEMA_REVISION="4c02aa7be6d8")


def _other_settings(ops: Connection) -> None:
    from opslib.core.connections import caches, sessions

    _deploy(ops, MAIL_FROM="hello@other.example.com")
    (balancer,) = ops.call("elbv2", "describe_load_balancers")["LoadBalancers"]
    at = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
    (listener,) = ops.call("elbv2", "describe_listeners", **at)["Listeners"]
    rules = ops.call("elbv2", "describe_rules", ListenerArn=listener["ListenerArn"])["Rules"]
    ops.call("elbv2", "delete_rule", RuleArn=rules[0]["RuleArn"])
    attribute = {"Key": "idle_timeout.timeout_seconds", "Value": "5"}
    ops.call("elbv2", "modify_load_balancer_attributes", **at, Attributes=[attribute])
    (group,) = ops.call("elbv2", "describe_target_groups", Names=["ai-studio-gateway"])[
        "TargetGroups"
    ]
    wide = {"TargetGroupArn": group["TargetGroupArn"], "Matcher": {"HttpCode": "200-599"}}
    ops.call("elbv2", "modify_target_group", **wide)
    kept_for = {"logGroupName": "/ecs/ai-studio-worker", "retentionInDays": 1}
    ops.call("logs", "put_retention_policy", **kept_for)
    cache = "ai-studio-redis"
    less = {"AutomaticFailoverEnabled": False, "CacheParameterGroupName": "default.redis7"}
    ops.call("elasticache", "modify_replication_group", ReplicationGroupId=cache, **less)
    (node,) = ops.call("elasticache", "describe_cache_clusters", CacheClusterId=f"{cache}-001")[
        "CacheClusters"
    ]
    (group,) = node["SecurityGroups"]
    at = {"GroupIds": [group["SecurityGroupId"]]}
    (described,) = ops.call("ec2", "describe_security_groups", **at)["SecurityGroups"]
    given = {"GroupId": described["GroupId"], "IpPermissions": described["IpPermissions"]}
    ops.call("ec2", "revoke_security_group_ingress", **given)
    with sessions.session(ops, "DROP INDEX", write=True) as session:
        sessions.run(session, "DROP INDEX jobs_user")
        session.commit()
    with caches.session(ops, "FLUSHALL", write=True) as client:
        client.config_set("maxmemory-policy", "allkeys-random")
        client.flushall()
