"""ECS services of a target's file: cluster, images, revisions, what runs, its load balancer."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from opslib.lab.aws import ids
from opslib.lab.corrections.ecs import services
from opslib.lab.forms import data
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.placeholders import text

_AGE = timedelta(days=400)
_MEMORY_MB, _CPU, COUNT = 2048, 1024, 2
_DAYS = [40, 19, 6]  # before the start, of revisions of which the estate says nothing
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def seed(place: Place, about: data.Services, vpc: Mapping[str, list[str]]) -> None:
    """Each with the revisions that it had, the last of which runs. `vpc`: as a function has it."""
    for key, facts in place.facts.get("services", {}).items():
        _network(place, facts)
        _roles(place, key, about)
        _images(place, key, about)
        _definitions(place, key, about)
        group = _balance(place, key, facts, vpc) if "target_group" in facts else ""
        _service(place, key, facts, group, vpc)
        _history(place, key, facts, about)
        if "max_tasks" in facts:
            _scaled(place, facts)
        place.logs(log_group(place, key), [])
        kept = {"logGroupName": log_group(place, key), "retentionInDays": 90}
        place.client("logs").put_retention_policy(**kept)
    alone = place.facts.get("maintenance_mode", {}).get("load_balancer")
    balancers = place.memory.setdefault("balancers", {})
    if alone and alone not in balancers:  # before machines, say
        forward = [{"Type": "forward", "TargetGroupArn": _group(place, alone, {})}]
        balancers[alone] = _balancer(place, alone, forward, vpc)


_STARTS = (  # what ECS does by the execution role
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameters",
)


def _roles(place: Place, key: str, about: data.Services) -> None:
    """Of its tasks, and of their start."""
    iam, trust = place.client("iam"), '{"Version": "2012-10-17", "Statement": []}'
    start = (f"{family(place, key)}-execution", "start", _STARTS)
    with ids.apart():
        for name, what, allows in ((role(place, key), "app", about.allows), start):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
            given = {"PolicyName": what, "PolicyDocument": policy(allows)}
            iam.put_role_policy(RoleName=name, **given)


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
    return f"{registry}/{_repository(place, key)}:{tag}"


def _repository(place: Place, key: str) -> str:
    """Called as the family, as far as ECR takes it."""
    return re.sub("[^a-z0-9]+", "-", family(place, key).lower()).strip("-")


def _tags(about: data.Services, key: str) -> list[str]:
    days = about.revisions.get(key, _DAYS)
    return [f"v1.{at}.0" for at, _ in enumerate(days)]


def _images(place: Place, key: str, about: data.Services) -> None:
    """Those of its revisions; the next one, which was built today; those that live otherwise."""
    ecr, name, tags = place.client("ecr"), _repository(place, key), _tags(about, key)
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    built: dict[str, float] = dict(zip(tags, about.revisions.get(key, _DAYS), strict=True))
    built |= dict.fromkeys([f"v1.{len(tags)}.0", *about.images.get(key, {})], 0.1)
    for tag, days in built.items():
        fate = about.images.get(key, {}).get(tag, "")
        told = {"schemaVersion": 2, "mediaType": _MANIFEST, "tag": tag, "lab": fate}
        manifest = json.dumps(told)
        digest = f"sha256:{sha256(manifest.encode()).hexdigest()}"
        ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag=tag, imageDigest=digest)
        image = place.backend("ecr").repositories[name].images[-1]
        image.last_scan = names.start(place) - timedelta(days=days)
        image.image_pushed_at = int(image.last_scan.timestamp())


def _definitions(place: Place, key: str, about: data.Services) -> None:
    for tag in _tags(about, key):
        register(place, key, about, tag)
    own = place.facts["services"][key].get("variables", ())
    variables = [name for name in about.variables if name in own]
    needs = {"memory_mb": about.needs_mb.get(key, 0), "variables": variables}
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
    wanted = [*facts.get("variables", ()), *_head(place, key)]
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
    role = names.owner(place, f"role/{family(place, key)}")
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


def _head(place: Place, key: str) -> list[str]:
    """The variable that says which migration its code needs, where its file does not name it."""
    head = place.facts.get("database", {}).get("migrations_head", {})
    if not isinstance(head, Mapping) or head.get("service") != key:
        return []
    known = place.facts["services"][key].get("variables", ())
    return [] if head["variable"] in known else [str(head["variable"])]


def role(place: Place, key: str) -> str:
    """The name of its tasks' role."""
    return f"{family(place, key)}-task"


def policy(allows: Iterable[str]) -> str:
    statement = {"Effect": "Allow", "Action": sorted(allows), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _balance(place: Place, key: str, facts: Mapping[str, Any], vpc: Mapping[str, list[str]]) -> str:
    """Its target group behind its load balancer. What several name is one, made for the first.

    What no rule sends elsewhere goes to the first; to another what is below its health path.
    """
    elb, name = place.client("elbv2"), facts["target_group"]
    group = _group(place, name, facts)
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    balancers: dict[str, tuple[str, str]] = place.memory.setdefault("balancers", {})
    balancer = str(facts.get("load_balancer", name))
    if balancer in balancers:
        _, listener = balancers[balancer]
        below = [f"{str(facts.get('health', '/')).rpartition('/')[0]}/*"]
        elb.create_rule(
            ListenerArn=listener,
            Priority=10 * len(place.memory["behind"]),
            Conditions=[{"Field": "path-pattern", "Values": below}],
            Actions=forward,
        )
    else:
        balancers[balancer] = _balancer(place, balancer, forward, vpc)
    place.memory["balancer"] = balancers[balancer][0].partition("loadbalancer/")[2]
    place.memory["targets"] = group.rpartition(":")[2]
    of = {"LoadBalancer": place.memory["balancer"], "TargetGroup": place.memory["targets"]}
    place.memory.setdefault("behind", {})[key] = of
    return group


def _group(place: Place, name: str, facts: Mapping[str, Any]) -> str:
    made = place.client("elbv2").create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=facts.get("port", 80),
        VpcId=place.memory["vpc"],
        TargetType="ip",
        HealthCheckPath=facts.get("health", "/"),
    )
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def _balancer(
    place: Place, name: str, forward: list[dict[str, str]], vpc: Mapping[str, list[str]]
) -> tuple[str, str]:
    """ARNs of a load balancer and its listener."""
    elb = place.client("elbv2")
    made = elb.create_load_balancer(
        Name=name,
        Subnets=list(vpc["SubnetIds"]),
        SecurityGroups=list(vpc["SecurityGroupIds"]),
    )
    balancer = str(made["LoadBalancers"][0]["LoadBalancerArn"])
    made = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward
    )
    return balancer, str(made["Listeners"][0]["ListenerArn"])


def _service(
    place: Place, key: str, facts: Mapping[str, Any], group: str, vpc: Mapping[str, list[str]]
) -> None:
    container, port = facts.get("container", "app"), facts.get("port", 80)
    behind = [{"targetGroupArn": group, "containerName": container, "containerPort": port}]
    place.client("ecs").create_service(
        cluster=facts["cluster"],
        serviceName=facts["name"],
        taskDefinition=family(place, key),
        desiredCount=facts.get("tasks", COUNT),
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
    days, (newest,) = about.revisions.get(key, _DAYS), service.history
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
            service.not_before = when
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
