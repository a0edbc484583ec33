"""ECS as the real one: tasks fail for what is not there, deployments complete or go back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.corrections.ecs import fates
from opslib.lab.corrections.ecs import scaling as ecs_scaling
from opslib.lab.corrections.ecs.schedulers import Scheduler, stop
from opslib.lab.places import Place

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}
)
FAILS = fates.KINDS["exit"]


class Clock:
    """A service's scheduler without waiting: `definitions` that fail, by name."""

    def __init__(self, desired: int = 2, **given: Any) -> None:
        shown = {
            "serviceName": "web",
            "serviceArn": "arn:aws:ecs:us-west-2:1:service/main/web",
            "clusterArn": "arn:aws:ecs:us-west-2:1:cluster/main",
            "desiredCount": desired,
            "deploymentConfiguration": given,
        }
        self.now, self.fates = START, dict[str, Any]()
        self.service = Scheduler(shown, "arn:aws:ecs:us-west-2:1:task/main", START)

    def go(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.now += timedelta(seconds=0.5)
            self.service.step(self.now, self.fates)

    def deploy(self, definition: str) -> None:
        self.service.deploy(definition, self.now)

    @property
    def shown(self) -> Any:
        return self.service.described()

    def said(self, words: str) -> bool:
        return any(words in each["message"] for each in self.shown["events"])


def test_tasks_go_from_pending_to_running_and_the_deployment_completes() -> None:
    clock = Clock()
    clock.deploy("web:1")
    clock.go(0.5)
    assert (clock.shown["pendingCount"], clock.shown["runningCount"]) == (2, 0)
    assert clock.shown["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    clock.go(4)
    assert (clock.shown["pendingCount"], clock.shown["runningCount"]) == (0, 2)
    assert clock.shown["deployments"][0]["rolloutState"] == "COMPLETED"
    assert clock.said("has reached a steady state")


def test_a_new_revision_replaces_the_old_while_enough_are_healthy() -> None:
    clock = Clock()
    clock.deploy("web:1")
    clock.go(5)
    clock.deploy("web:2")
    seen = []
    for _ in range(14):
        clock.go(0.5)
        seen.append(clock.shown["runningCount"])
    assert min(seen) >= 2
    assert [each["taskDefinition"] for each in clock.shown["deployments"]] == ["web:2"]
    assert [each["status"] for each in clock.service.history] == ["SUCCESSFUL", "SUCCESSFUL"]


def test_a_revision_that_crashes_keeps_the_old_tasks_and_never_completes() -> None:
    clock = Clock()
    clock.deploy("web:1")
    clock.go(5)
    clock.fates["web:2"] = FAILS
    clock.deploy("web:2")
    clock.go(30)
    primary, old = clock.shown["deployments"]
    assert (old["taskDefinition"], old["runningCount"]) == ("web:1", 2)
    assert primary["failedTasks"] >= 3
    assert primary["rolloutState"] == "IN_PROGRESS"


def test_the_circuit_breaker_goes_back_to_the_last_that_completed() -> None:
    clock = Clock(deploymentCircuitBreaker={"enable": True, "rollback": True})
    clock.deploy("web:1")
    clock.go(5)
    clock.fates["web:2"] = FAILS
    clock.deploy("web:2")
    clock.go(30)
    assert [each["taskDefinition"] for each in clock.shown["deployments"]] == ["web:1"]
    assert [each["status"] for each in clock.service.history[:2]] == [
        "SUCCESSFUL",
        "ROLLBACK_SUCCESSFUL",
    ]
    assert clock.said("deployment failed: tasks failed to start")


def test_without_capacity_nothing_is_placed_and_an_event_says_why() -> None:
    clock = Clock()
    clock.fates["web:1"] = fates.UNPLACED
    clock.deploy("web:1")
    clock.go(5)
    assert clock.service.tasks == []
    assert clock.said("was unable to place a task. Reason: Capacity is unavailable")


def test_scaling_in_drains_and_what_was_stopped_is_started_again() -> None:
    clock = Clock(desired=4)
    clock.deploy("web:1")
    clock.go(5)
    clock.service.shown["desiredCount"] = 1
    clock.go(5)
    assert clock.shown["runningCount"] == 1
    (task,) = (each for each in clock.service.tasks if each["lastStatus"] == "RUNNING")
    stop(task, clock.now, "UserInitiated", "Task stopped by user")
    clock.go(5)
    assert clock.shown["runningCount"] == 1
    assert task["lastStatus"] == "STOPPED"
    assert task["stoppedReason"] == "Task stopped by user"


@pytest.fixture
def service(aws: Any, place: Place) -> Iterator[Any]:
    """An ECS client with a cluster in which a service `web` is desired twice."""
    ecs = aws("ecs")
    ecs.create_cluster(clusterName="main")
    secret = aws("secretsmanager").create_secret(Name="app-keys", SecretString='{"token": "x"}')
    aws("ecr").create_repository(repositoryName="app")
    place.memory["secret"] = secret["ARN"]
    yield ecs
    aws("secretsmanager").delete_secret(SecretId="app-keys", ForceDeleteWithoutRecovery=True)
    aws("ecr").delete_repository(repositoryName="app", force=True)
    place.memory.clear()


def _fate(place: Place, **container: Any) -> Any:
    ecs = place.client("ecs")
    given = {"name": "app", "image": "public.ecr.aws/nginx:1", "memory": 512, **container}
    made = ecs.register_task_definition(family="app", containerDefinitions=[given])
    revision = made["taskDefinition"]["revision"]
    definition = place.backend("ecs").task_definitions["app"][revision]
    return fates.of(place.world, place.account, place.region, definition)


def test_what_a_task_needs_is_looked_for_where_it_has_to_be(service: Any, place: Place) -> None:
    registry = f"{place.account}.dkr.ecr.{place.region}.amazonaws.com"
    assert _fate(place) is None
    for image, why in {"app:gone": "app:gone: not found", "lost:1": "does not exist"}.items():
        fate = _fate(place, image=f"{registry}/{image}")
        assert fate.code == "TaskFailedToStart"
        assert fate.reason.startswith("CannotPullContainerError")
        assert why in fate.reason
    place.client("ecr").put_image(repositoryName="app", imageManifest=MANIFEST, imageTag="1")
    assert _fate(place, image=f"{registry}/app:1") is None
    arn = place.memory["secret"]
    for key, why in {"token": "", "other": "did not contain json key other"}.items():
        fate = _fate(place, secrets=[{"name": "T", "valueFrom": f"{arn}:{key}::"}])
        assert (fate is None) if not why else fate.reason.endswith(why)
    fate = _fate(place, secrets=[{"name": "T", "valueFrom": arn.replace("app-keys", "none")}])
    assert "can't find the specified secret" in fate.reason
    place.faults["tasks"] = {"app": "denied"}
    fate = _fate(place, secrets=[{"name": "T", "valueFrom": arn}])
    assert "is not authorized to perform: secretsmanager:GetSecretValue" in fate.reason
    place.faults.clear()
    place.memory["containers"] = {"app": {"memory_mb": 600, "variables": ["MODE"]}}
    assert _fate(place).exit_code == 137
    assert _fate(place, memory=700).exit_code == 1
    assert _fate(place, memory=700, environment=[{"name": "MODE", "value": "x"}]) is None


def test_the_api_answers_as_aws_does(service: Any, place: Place) -> None:
    app = {"name": "app", "image": "public.ecr.aws/nginx:1", "memory": 512}
    for _ in range(11):
        service.register_task_definition(family="web", containerDefinitions=[app])
    newest = service.list_task_definitions(familyPrefix="web", sort="DESC", maxResults=2)
    assert [each.rpartition(":")[2] for each in newest["taskDefinitionArns"]] == ["11", "10"]
    wanted = {"cluster": "main", "serviceName": "web", "desiredCount": 2}
    place.client("ecs").create_service(**wanted, taskDefinition="web:10")  # the lab's own: at once
    (found,) = service.describe_services(cluster="main", services=["web"])["services"]
    assert (found["runningCount"], found["deployments"][0]["rolloutState"]) == (2, "COMPLETED")
    service.get_waiter("services_stable").wait(cluster="main", services=["web"])
    arns = service.list_tasks(cluster="main", serviceName="web")["taskArns"]
    tasks = service.describe_tasks(cluster="main", tasks=arns)["tasks"]
    assert [each["lastStatus"] for each in tasks] == ["RUNNING", "RUNNING"]
    assert tasks[0]["containers"][0]["name"] == "app"
    assert service.list_tasks(cluster="main", desiredStatus="STOPPED")["taskArns"] == []
    done = service.list_service_deployments(cluster="main", service="web")["serviceDeployments"]
    assert [each["status"] for each in done] == ["SUCCESSFUL"]
    revision = done[0]["targetServiceRevisionArn"]
    (told,) = service.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert told["taskDefinition"].endswith("web:10")
    missing = service.describe_services(cluster="main", services=["none"])["failures"]
    assert missing[0]["reason"] == "MISSING"
    refused: list[tuple[str, Any, str]] = [
        ("describe_tasks", {"cluster": "main", "tasks": []}, "InvalidParameterException"),
        ("list_tasks", {"cluster": "no"}, "ClusterNotFoundException"),
        ("list_tasks", {"cluster": "main", "serviceName": "no"}, "ServiceNotFoundException"),
        ("delete_service", {"cluster": "main", "service": "web"}, "InvalidParameterException"),
    ]
    for operation, given, code in refused:
        with pytest.raises(ClientError) as error:
            getattr(service, operation)(**given)
        assert error.value.response["Error"]["Code"] == code


def test_the_targets_of_a_service_are_as_its_tasks_are(
    service: Any, aws: Any, place: Place
) -> None:
    vpc = aws("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    elb = aws("elbv2")
    made = elb.create_target_group(
        Name="front", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip"
    )
    group = made["TargetGroups"][0]["TargetGroupArn"]
    subnets = [
        aws("ec2").create_subnet(VpcId=vpc, CidrBlock=f"10.7.{at}.0/24", AvailabilityZone=zone)
        for at, zone in enumerate(("us-west-2a", "us-west-2b"))
    ]
    ids = [each["Subnet"]["SubnetId"] for each in subnets]
    (balancer,) = elb.create_load_balancer(Name="front", Subnets=ids)["LoadBalancers"]
    (listener,) = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"]
    app = {"name": "app", "image": "public.ecr.aws/nginx:1", "memory": 512}
    service.register_task_definition(family="front", containerDefinitions=[app])
    behind = [{"targetGroupArn": group, "containerName": "app", "containerPort": 8501}]
    place.client("ecs").create_service(
        cluster="main",
        serviceName="front",
        desiredCount=2,
        taskDefinition="front",
        loadBalancers=behind,
    )

    def health() -> set[tuple[str, str | None]]:
        found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {
            (each["TargetHealth"]["State"], each["TargetHealth"].get("Reason")) for each in found
        }

    assert health() == {("healthy", None)}
    place.faults["targets"] = {"front": "503"}
    assert health() == {("unhealthy", "Target.ResponseCodeMismatch")}
    place.faults["targets"] = {"front": "timeout"}
    assert health() == {("unhealthy", "Target.Timeout")}
    place.faults.clear()
    task = service.list_tasks(cluster="main", serviceName="front")["taskArns"][0]
    service.stop_task(cluster="main", task=task)
    assert ("draining", "Target.DeregistrationInProgress") in health()
    elb.delete_listener(ListenerArn=listener["ListenerArn"])
    assert health() == {("unused", "Target.NotInUse")}


def test_a_service_is_kept_within_its_bounds_and_a_policy_needs_a_target(
    service: Any, aws: Any, place: Place
) -> None:
    app = {"name": "app", "image": "public.ecr.aws/nginx:1", "memory": 512}
    service.register_task_definition(family="api", containerDefinitions=[app])
    given = {"cluster": "main", "serviceName": "api", "taskDefinition": "api"}
    place.client("ecs").create_service(**given, desiredCount=1)
    scaling = aws("application-autoscaling")
    about = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/main/api",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    tracking = {
        "TargetValue": 60.0,
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
        },
    }
    policy = {"PolicyName": "cpu", "PolicyType": "TargetTrackingScaling", **about}
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        scaling.put_scaling_policy(**policy, TargetTrackingScalingPolicyConfiguration=tracking)
    scaling.register_scalable_target(**about, MinCapacity=2, MaxCapacity=4)
    first, again = (
        scaling.put_scaling_policy(
            **policy, TargetTrackingScalingPolicyConfiguration=tracking | {"TargetValue": value}
        )
        for value in (60.0, 50.0)
    )
    assert (again["PolicyARN"], again["Alarms"]) == (first["PolicyARN"], first["Alarms"])
    for count, wanted in ((1, 2), (9, 4), (3, 3)):
        service.update_service(cluster="main", service="api", desiredCount=count)
        ecs_scaling.tick(place.world, place.now())
        (found,) = service.describe_services(cluster="main", services=["api"])["services"]
        assert found["desiredCount"] == wanted
    done = scaling.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"]
    assert [each["Cause"] for each in done] == [
        "maximum capacity was set to 4",
        "minimum capacity was set to 2",
    ]


def test_a_scan_tells_what_was_found_in_an_image_and_none_is_told_of_one_never_scanned(
    aws: Any, place: Place
) -> None:
    ecr, manifest = aws("ecr"), json.dumps({"schemaVersion": 2, "mediaType": "x"})
    ecr.create_repository(repositoryName="api")
    ecr.put_image(repositoryName="api", imageManifest=manifest, imageTag="v1")
    about = {"repositoryName": "api", "imageId": {"imageTag": "v1"}}
    with pytest.raises(ClientError, match="ScanNotFoundException"):
        ecr.describe_image_scan_findings(**about)
    ecr.start_image_scan(**about)
    [image] = place.backend("ecr").repositories["api"].images
    image.lab_scan = {"CRITICAL": 2}
    found = ecr.describe_image_scan_findings(**about)["imageScanFindings"]
    assert found["findingSeverityCounts"] == {"CRITICAL": 2}
    assert len({each["name"] for each in found["findings"]}) == 2
