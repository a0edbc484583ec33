"""ECS services of a target's file: cluster, images, revisions, what runs, its load balancer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from moto.moto_api._internal import mock_random

from opslib.lab import rhythms
from opslib.lab.corrections.ecs import services
from opslib.lab.forms import data
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.placeholders import text

_AGE = timedelta(days=400)
_MEMORY_MB, _CPU, _COUNT = 2048, 1024, 2
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def seed(place: Place, about: data.Services, vpc: Mapping[str, list[str]]) -> None:
    """Each with the revisions that it had, the last of which runs. `vpc`: as a function has it."""
    for key, facts in place.facts.get("services", {}).items():
        _network(place, facts)
        _roles(place, key)
        _images(place, key, about)
        _definitions(place, key, about)
        group = _balance(place, facts, vpc) if "target_group" in facts else ""
        _service(place, key, facts, group, vpc)
        _history(place, key, facts, about)
        if "max_tasks" in facts:
            _scaled(place, facts)
        place.logs(log_group(place, key), [])
        _measure(place, key, facts, about)


def _roles(place: Place, key: str) -> None:
    """Of its tasks, and of their start. What is drawn afterwards is as it was without them."""
    drawn = mock_random.getstate()
    trust = '{"Version": "2012-10-17", "Statement": []}'
    for name in (f"{family(place, key)}-task", f"{family(place, key)}-execution"):
        place.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    mock_random.setstate(drawn)


def log_group(place: Place, key: str) -> str:
    facts = place.facts["services"][key]
    return str(facts.get("log_group") or f"/ecs/{facts['name']}")


def family(place: Place, key: str) -> str:
    facts = place.facts["services"][key]
    return str(facts.get("family") or facts["name"])


def _network(place: Place, facts: Mapping[str, Any]) -> None:
    ecs, name = place.client("ecs"), facts["cluster"]
    if name not in place.backend("ecs").clusters:
        ecs.create_cluster(
            clusterName=name, settings=[{"name": "containerInsights", "value": "enabled"}]
        )


def image(place: Place, key: str, tag: str) -> str:
    registry = f"{place.account}.dkr.ecr.{place.region}.amazonaws.com"
    return f"{registry}/{family(place, key)}:{tag}"


def _tags(about: data.Services, key: str) -> list[str]:
    days = about.revisions.get(key, [40, 19, 6])
    return [f"v1.{at}.0" for at, _ in enumerate(days)]


def _images(place: Place, key: str, about: data.Services) -> None:
    ecr, name = place.client("ecr"), family(place, key)
    ecr.create_repository(repositoryName=name)
    for tag in _tags(about, key):
        manifest = json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "tag": tag})
        ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag=tag)


def _definitions(place: Place, key: str, about: data.Services) -> None:
    for tag in _tags(about, key):
        register(place, key, about, tag)
    needs = {"memory_mb": about.needs_mb.get(key, 0), "variables": list(about.variables)}
    place.memory.setdefault("containers", {})[family(place, key)] = needs


def register(
    place: Place,
    key: str,
    about: data.Services,
    tag: str = "",
    change: Callable[[dict[str, Any]], None] = lambda given: None,
) -> str:
    """A new revision for an image, the newest without a tag. Returns its ARN."""
    facts = place.facts["services"][key]
    known = {name: text(place, value) for name, value in about.variables.items()}
    secrets = {name: text(place, value) for name, value in about.secrets.items()}
    wanted = facts.get("variables", ())
    container = {
        "name": facts.get("container", "app"),
        "image": image(place, key, tag or _tags(about, key)[-1]),
        "essential": True,
        "environment": [
            {"name": each, "value": known.get(each, "on")} for each in wanted if each not in secrets
        ],
        "secrets": [{"name": n, "valueFrom": v} for n, v in secrets.items() if n in wanted],
        "portMappings": [{"containerPort": facts.get("port", 80), "protocol": "tcp"}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group(place, key),
                "awslogs-region": place.region,
                "awslogs-stream-prefix": facts.get("container", "app"),
            },
        },
    }
    role = f"arn:aws:iam::{place.account}:role/{family(place, key)}"
    given = {
        "family": family(place, key),
        "containerDefinitions": [container],
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(facts.get("cpu", _CPU)),
        "memory": str(facts.get("memory_mb", _MEMORY_MB)),
        "executionRoleArn": f"{role}-execution",
        "taskRoleArn": f"{role}-task",
    }
    change(given)
    made = place.client("ecs").register_task_definition(**given)
    return str(made["taskDefinition"]["taskDefinitionArn"])


def _balance(place: Place, facts: Mapping[str, Any], vpc: Mapping[str, list[str]]) -> str:
    elb, name = place.client("elbv2"), facts["target_group"]
    made = elb.create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=facts.get("port", 80),
        VpcId=place.memory["vpc"],
        TargetType="ip",
        HealthCheckPath=facts.get("health", "/"),
    )
    group = str(made["TargetGroups"][0]["TargetGroupArn"])
    balancer = elb.create_load_balancer(
        Name=facts["load_balancer"],
        Subnets=list(vpc["SubnetIds"]),
        SecurityGroups=list(vpc["SecurityGroupIds"]),
    )["LoadBalancers"][0]["LoadBalancerArn"]
    place.memory["balancer"] = balancer.partition("loadbalancer/")[2]
    place.memory["targets"] = group.rpartition(":")[2]
    elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return group


def _service(
    place: Place, key: str, facts: Mapping[str, Any], group: str, vpc: Mapping[str, list[str]]
) -> None:
    container, port = facts.get("container", "app"), facts.get("port", 80)
    behind = [{"targetGroupArn": group, "containerName": container, "containerPort": port}]
    place.client("ecs").create_service(
        cluster=facts["cluster"],
        serviceName=facts["name"],
        taskDefinition=family(place, key),
        desiredCount=facts.get("tasks", _COUNT),
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": list(vpc["SubnetIds"]),
                "securityGroups": list(vpc["SecurityGroupIds"]),
            }
        },
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
        },
        loadBalancers=behind if group else [],
        healthCheckGracePeriodSeconds=60 if group else 0,
        propagateTags="SERVICE",
        tags=[{"key": "app", "value": place.target.system}],
    )


def _history(place: Place, key: str, facts: Mapping[str, Any], about: data.Services) -> None:
    """The deployments of the days that it was built at, all of which completed."""
    service = services.find(place.account, place.region, facts["cluster"], facts["name"])
    days, (newest,) = about.revisions.get(key, [40, 19, 6]), service.history
    arn = str(newest["taskDefinition"]).rpartition(":")[0]
    service.history, service.shown["createdAt"] = [], names.start(place) - _AGE
    for number, ago in enumerate(days, 1):
        when = names.start(place) - timedelta(days=ago, minutes=17)
        over = when + timedelta(minutes=4)
        told = {"createdAt": when, "startedAt": when, "finishedAt": over}
        made = {**newest, **told, "taskDefinition": f"{arn}:{number}"}
        if number < len(days):
            for name in ("serviceDeploymentArn", "targetServiceRevisionArn"):
                made[name] = f"{newest[name]}{number}"
            made["deployment"] = f"{newest['deployment']}{number}"
        service.history.insert(0, made)
        if number == len(days):
            for deployment in service.deployments:
                deployment |= {"createdAt": when, "updatedAt": over}
            for task in service.tasks:
                task |= {"createdAt": when, "startedAt": over}


def _scaled(place: Place, facts: Mapping[str, Any]) -> None:
    scaling = place.client("application-autoscaling")
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{facts['cluster']}/{facts['name']}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(
        **target, MinCapacity=facts.get("min_tasks", 1), MaxCapacity=facts["max_tasks"]
    )
    scaling.put_scaling_policy(
        **target,
        PolicyName=f"{facts['name']}-cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": float(facts.get("cpu_target", 70)),
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
            },
            "ScaleInCooldown": 300,
            "ScaleOutCooldown": 60,
        },
    )


def _measure(place: Place, key: str, facts: Mapping[str, Any], about: data.Services) -> None:
    """CPU and memory by the day; the tasks that run, true at every moment."""
    of = {"ClusterName": facts["cluster"], "ServiceName": facts["name"]}
    number = names.number(place, f"service {key}")
    for at, (metric, night, day) in enumerate(
        (("CPUUtilization", *about.cpu), ("MemoryUtilization", *about.memory))
    ):
        fn = rhythms.daily_rhythm(night, day, 0.12, number + at)
        place.metrics.baseline("AWS/ECS", metric, of, fn, "Percent")
    if "target_group" in facts:
        _measure_balancer(place, number + 7)
    insights = ("ECS/ContainerInsights", "RunningTaskCount", of)
    count = float(facts.get("tasks", _COUNT))
    place.metrics.baseline(*insights, lambda minute: count, "Count")
    place.metrics.gauge(*insights, partial(_running, place, dict(facts)), "Count")


def _measure_balancer(place: Place, number: int) -> None:
    """What the load balancer counts on a quiet day."""
    both = {"LoadBalancer": place.memory["balancer"], "TargetGroup": place.memory["targets"]}
    asked = rhythms.counts(rhythms.daily_rhythm(20, 140, 0.2, number), number)
    seconds = rhythms.daily_rhythm(0.18, 0.42, 0.15, number + 1)
    for metric, fn, unit in (
        ("RequestCount", asked, "Count"),
        ("HTTPCode_Target_5XX_Count", lambda minute: 0.0, "Count"),
        ("HTTPCode_ELB_5XX_Count", lambda minute: 0.0, "Count"),
        ("TargetResponseTime", seconds, "Seconds"),
        ("UnHealthyHostCount", lambda minute: 0.0, "Count"),
    ):
        of = both if metric != "HTTPCode_ELB_5XX_Count" else {"LoadBalancer": both["LoadBalancer"]}
        place.metrics.baseline("AWS/ApplicationELB", metric, of, fn, unit)


def _running(place: Place, facts: Mapping[str, Any]) -> float:
    found = services.find(place.account, place.region, facts["cluster"], facts["name"])
    return float(found.described()["runningCount"])
