"""Why tasks stopped, in the words that AWS documents and that people post."""

from __future__ import annotations

from typing import Any

import pytest

from opslib.core.reads import stops

TOLD = {
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve "
    "ref docker.io/library/shop:latest: not found": "image-not-pulled",
    "CannotPullContainerError: Error response from daemon: toomanyrequests: You have reached your "
    "pull rate limit": "image-not-pulled",
    "CannotPullContainerError: pull access denied for shop, repository does not exist or may "
    "require 'docker login'": "image-not-pulled",
    'CannotPullContainerError: ref pull has been retried 1 time(s): failed to do request: Get "'
    'https://x.dkr.ecr": dial tcp 10.0.1.5:443: i/o timeout': "task-without-network",
    "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull "
    "registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. "
    "Check your task network configuration. RequestError: send request failed caused by: Post "
    '"https://api.ecr.eu-central-1.amazonaws.com/": dial tcp': "task-without-network",
    "Timeout waiting for network interface provisioning to complete.": "task-without-network",
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
    "retrieval failed: unable to retrieve secret from asm: AccessDeniedException: User: arn:aws:sts"
    "::1:assumed-role/x is not authorized to perform: secretsmanager:GetSecretValue on resource: "
    "arn": "secret-denied",
    "ResourceInitializationError: unable to retrieve secret from asm: ResourceNotFoundException: "
    "Secrets Manager can't find the specified secret.": "secret-missing",
    "ResourceInitializationError: retrieved secret from Secrets Manager did not contain json key "
    "token": "secret-missing",
    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 "
    "times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log "
    "group does not exist.": "log-group-missing",
    "Capacity is unavailable at this time. Please try again later or in a different availability "
    "zone": "no-capacity",
    "RESOURCE:MEMORY": "no-capacity",
    "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1': "
    "InsufficientFreeAddressesInSubnet": "no-capacity",
    "SpotInterruption; Your Spot Task was interrupted.": "spot-interrupted",
    "OutOfMemoryError: Container killed due to memory usage": "task-out-of-memory",
    "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:x)": (
        stops.UNHEALTHY
    ),
    "Task failed container health checks": stops.UNHEALTHY,
    'CannotStartContainerError: failed to create task for container: exec: "/run.sh": no such file '
    "or directory": "container-not-started",
    "CannotCreateVolumeError: mount command failed: mount.nfs4: access denied by server": (
        "volume-not-mounted"
    ),
    "ECS is performing maintenance on the underlying infrastructure hosting it.": "host-ended",
    "Host EC2 (instance i-0b48) terminated.": "host-ended",
    "Scaling activity initiated by (deployment ecs-svc/123)": stops.MEANT,
    "UserInitiated; Task stopped by user": stops.MEANT,
    "Essential container in task exited": stops.EXITS,
    "Something that nobody has seen before": "task-stopped",
    "": "task-stopped",
}


@pytest.mark.parametrize(("said", "name"), TOLD.items())
def test_a_reason_is_understood_or_says_that_it_is_not(said: str, name: str) -> None:
    assert stops.sign({"stoppedReason": said}).name == name


def test_a_container_says_what_the_task_does_not() -> None:
    task: dict[str, Any] = {
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "containers": [
            {"name": "app", "exitCode": 137, "reason": "OutOfMemoryError: Container killed"}
        ],
    }
    assert stops.sign(task).name == "task-out-of-memory"
    assert "app exited with 137" in stops.reason(task)


@pytest.mark.parametrize(("code", "name"), [(0, stops.MEANT), (143, stops.MEANT), (1, stops.EXITS)])
def test_one_that_was_meant_to_stop_and_fails_at_it_is_told(code: int, name: str) -> None:
    task = {
        "stoppedReason": "Scaling activity initiated by (deployment ecs-svc/1)",
        "containers": [{"name": "app", "exitCode": code}],
    }
    assert stops.sign(task).name == name


def test_reasons_are_counted_with_the_newest_of_each() -> None:
    def task(minute: int, why: str) -> dict[str, Any]:
        return {"stoppedAt": f"2026-03-01T10:{minute:02d}", "stoppedReason": why}

    counted = stops.counted(
        [task(1, "RESOURCE:CPU"), task(9, "RESOURCE:ENI"), task(5, "OutOfMemoryError")]
    )
    told = [(sign.name, many, newest["stoppedReason"]) for sign, many, newest in counted]
    assert told == [
        ("no-capacity", 2, "RESOURCE:ENI"),
        ("task-out-of-memory", 1, "OutOfMemoryError"),
    ]
