"""A new image for a service: looked at before, deployed, taken back when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from opslib import OpsError, Refused, UsageError, apply, services, told
from opslib.core.actions.actions import Action, Aws
from opslib.core.actions.watching import Rollout
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, Unfinished
from opslib.services.reading import Service
from tests.conftest import PracticeLab
from tests.notebooks import run
from tests.undoing import confirmed, undo_last

TARGET = "lab/image-caption-prod"
FAMILY = "image-caption-gen-prod"


@pytest.fixture(autouse=True)
def whole(lab: PracticeLab) -> Iterator[None]:
    """Revisions that were made are taken away afterwards."""
    before = lab.state("image-caption-prod")
    yield
    if lab.state("image-caption-prod") != before:
        lab.reset()


def image(ops: Connection) -> str:
    service = Service(ops, "app")
    return str(service.container(service.definition())["image"]).partition("/")[2]


def push(ops: Connection, tag: str, **manifest: Any) -> None:
    import json

    told = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    text = json.dumps(told | manifest)
    ops.call("ecr", "put_image", repositoryName=FAMILY, imageManifest=text, imageTag=tag)


def by_check(found: Any) -> dict[str, Any]:
    return {each.check: each for each in found}


# Before


def test_a_word_is_kept_as_a_word_and_none_is_unknown(ops: Connection) -> None:
    found = told(
        ops, {"CI passed": "run 812", "reviewed": " ", "told": "No, not yet", "by": "Noah"}
    )
    assert [each.status for each in found] == ["ok", "unknown", "warn", "ok"]
    assert {each.source for each in found} == {f"word of {ops.identity.user}"}
    assert found[0].seen == "run 812"


def test_an_image_is_there_newer_and_scanned(ops: Connection) -> None:
    found = by_check(services.check_image(ops, "app", "v1.5.0"))
    assert {each.status for each in found.values()} == {"ok"}
    assert "tagged v1.5.0" in found["image v1.5.0 for app"].seen
    assert "3 low found" in found["scan of v1.5.0"].seen


@pytest.mark.parametrize(("tag", "said"), [("v1.4.0", "it is what runs"), ("v1.1.0", "what runs:")])
def test_an_image_that_runs_or_is_older_is_told(ops: Connection, tag: str, said: str) -> None:
    found = by_check(services.check_image(ops, "app", tag))[f"{tag} is new"]
    assert (found.status, said in found.seen) == ("warn", True)


@pytest.mark.slow
def test_an_image_that_was_never_scanned_is_unknown(ops: Connection) -> None:
    push(ops, "v1.5.1", a="b")
    found = by_check(services.check_image(ops, "app", "v1.5.1"))["scan of v1.5.1"]
    assert (found.status, found.seen) == ("unknown", "it was never scanned")


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({"status": "IN_PROGRESS"}, "unknown", "IN_PROGRESS: no reason is told"),
        ({"status": "UNSUPPORTED_IMAGE", "description": "of no known base"}, "unknown", "no known"),
        ({"status": "FAILED"}, "unknown", "FAILED"),
        ({"status": "ACTIVE"}, "ok", "nothing found"),
    ],
)
def test_a_scan_that_is_not_complete_is_unknown(
    ops: Connection, answer: dict[str, str], status: str, said: str
) -> None:
    ecr = ops.client("ecr")
    with Stubber(ecr) as stub:
        for tag in ("v1.5.0", "v1.4.0"):
            detail = {"imageDigest": f"sha256:{tag}", "imagePushedAt": ops.now()}
            stub.add_response("describe_images", {"imageDetails": [detail]})
        stub.add_response("describe_image_scan_findings", {"imageScanStatus": answer})
        found = by_check(services.check_image(ops, "app", "v1.5.0"))["scan of v1.5.0"]
    assert (found.status, said in found.seen) == (status, True)


@pytest.mark.parametrize("tag", ["", "a b", "sha256:12", "x/y", "../z"])
def test_what_is_no_tag_is_refused(ops: Connection, tag: str) -> None:
    with pytest.raises(UsageError, match="is neither a tag nor a digest"):
        services.plan_deploy(ops, "app", tag)


def test_an_image_that_is_not_there_is_refused(ops: Connection) -> None:
    with pytest.raises(Refused, match=r"v9 cannot be deployed: .* Nothing was changed"):
        services.plan_deploy(ops, "app", "v9")


def test_a_tag_that_moves_is_named_by_its_digest(ops: Connection) -> None:
    push(ops, "latest", a="c")
    plan = services.plan_deploy(ops, "app", "latest")
    [container] = plan.steps[0].do["parameters"]["containerDefinitions"]
    assert f"/{FAMILY}@sha256:" in container["image"]
    assert "latest moves; it is sha256:" in plan.notes[0]


def test_an_image_outside_of_ecr_is_not_known_and_its_latest_refused(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opslib.services.images.present", lambda _: "ghcr.io:443/shop/app:v1")
    assert services.check_image(ops, "app", "v2")[0].status == "unknown"
    assert "is not in ECR" in services.plan_deploy(ops, "app", "v2").notes[0]
    with pytest.raises(Refused, match=r"ghcr\.io:443/shop/app:latest moves"):
        services.plan_deploy(ops, "app", "latest")


# The change


@pytest.mark.slow
def test_an_image_is_deployed_with_all_else_kept_and_undone(fresh: Connection) -> None:
    ops = fresh
    before = Service(ops, "app").definition()
    given = {"approved": "now", "confirm": confirmed(TARGET)}
    left = run("services/deploy", target=TARGET, ci="run 812", **given)
    after = Service(ops, "app").definition()
    assert image(ops) == f"{FAMILY}:v1.5.0"
    changed = {k for k in before if before[k] != after[k]}
    assert changed <= {
        "taskDefinitionArn",
        "containerDefinitions",
        "revision",
        "registeredAt",
        "deregisteredAt",
    }
    [was], [now] = before["containerDefinitions"], after["containerDefinitions"]
    assert {k for k in was if was[k] != now[k]} == {"image"}
    verified = [each for each in left["ops"].findings if each.verifies]
    assert {each.status for each in verified} == {"ok"}
    assert {"5xx that app answers itself", "targets of app in image-caption-gen-prod"} <= {
        each.check for each in verified
    }
    at = {"cluster": Service(ops, "app").facts["cluster"], "service": Service(ops, "app").name}
    ops.change("ecs", "update_service", **at, taskDefinition=f"{FAMILY}:{before['revision'] - 1}")
    with pytest.raises(Refused, match=r"now arn:.*no longer arn:.* as it left it"):
        undo_last(ops)  # not what somebody deployed since
    ops.change("ecs", "update_service", **at, taskDefinition=after["taskDefinitionArn"])
    undo_last(ops)
    assert image(ops) == f"{FAMILY}:v1.4.0"


@pytest.mark.slow
def test_one_whose_tasks_stay_unhealthy_is_taken_back_and_the_next_is_not_blamed(
    fresh: Connection,
) -> None:
    ops = fresh
    plan = services.plan_deploy(ops, "app", "v1.6.0-rc1")
    with pytest.raises(OpsError, match=r"ECS (took|takes) it back.*failed container health checks"):
        apply(ops, plan, plan.id, confirmed(TARGET))
    assert image(ops) == f"{FAMILY}:v1.4.0"
    facts = ops.target["services"]["app"]
    Rollout(facts["cluster"], facts["name"]).perform(ops)
    found = services.check_services(ops, "app")
    assert "was taken back" in by_check(found)["deployment of app"].seen
    assert found.causes == {"bad-revision"}
    good = services.plan_deploy(ops, "app", "v1.5.0")
    applied = apply(ops, good, good.id, confirmed(TARGET))
    assert applied.verify(services.check_services, "app").worst == "ok"


def test_while_a_deployment_is_under_way_none_is_begun(ops: Connection, lab: PracticeLab) -> None:
    with (
        lab.broken("image-not-pulled", "image-caption-prod"),
        pytest.raises(Refused, match=r"under way \(revision 6\)\. Nothing was changed"),
    ):
        services.plan_deploy(ops, "app", "v1.5.0")


# Watched

NEW, OLD = (f"arn:aws:ecs:us-east-1:1:task-definition/app:{n}" for n in (6, 5))
BACK = Aws("ecs", "update_service", cluster="c", service="s", taskDefinition=OLD)


def described(ops: Connection, breaker: dict[str, bool], **primary: Any) -> dict[str, Any]:
    began = ops.now() - timedelta(minutes=2)
    deployment = {"status": "PRIMARY", "taskDefinition": NEW, "createdAt": began} | primary
    return {
        "services": [
            {
                "desiredCount": 4,
                "deployments": [deployment],
                "deploymentConfiguration": {"deploymentCircuitBreaker": breaker},
                "events": [{"id": "1", "createdAt": ops.now(), "message": "(service s) tries."}],
            }
        ]
    }


OFF, ON = {"enable": False, "rollback": False}, {"enable": True, "rollback": True}
NO_ROLLBACK = {"enable": True, "rollback": False}


@pytest.mark.parametrize(
    ("breaker", "primary", "taken_back", "said"),
    [
        (OFF, {"rolloutState": "IN_PROGRESS", "failedTasks": 3}, True, "3 of its tasks failed"),
        (NO_ROLLBACK, {"rolloutState": "FAILED", "rolloutStateReason": "no."}, True, "no."),
        (ON, {"rolloutState": "FAILED"}, False, "ECS takes it back"),
        (ON, {"rolloutState": "COMPLETED", "taskDefinition": OLD}, False, "ECS took it back"),
        (OFF, {"rolloutState": "COMPLETED", "taskDefinition": OLD}, False, "somebody replaced it"),
    ],
)
def test_a_deployment_that_fails_is_taken_back_by_whom_it_is(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    breaker: dict[str, bool],
    primary: dict[str, Any],
    taken_back: bool,
    said: str,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(ops, "change", lambda _, call, /, **__: done.append(call))
    with Stubber(ops.client("ecs")) as stub:
        stub.add_response("describe_services", described(ops, breaker, **primary))
        stub.add_client_error("list_tasks", "AccessDeniedException")
        with pytest.raises(OpsError, match=said) as failed:
            Rollout("c", "s", NEW, BACK).perform(ops)
    assert done == ["update_service"] * taken_back
    assert ("It was taken back: the service has app:5 again" in str(failed.value)) is taken_back
    assert "(service s) tries." in str(failed.value)
    assert "why its tasks stopped is not known" in str(failed.value)


def test_what_cannot_be_taken_back_is_told_with_why_it_should_be(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise NotAllowed("Denied: ecs update_service of 's'.")

    monkeypatch.setattr(ops, "change", denied)
    with Stubber(ops.client("ecs")) as stub:
        stub.add_response("describe_services", described(ops, OFF, rolloutState="FAILED"))
        stub.add_response("list_tasks", {"taskArns": []})
        with pytest.raises(
            NotAllowed, match=r"deployment of s failed: FAILED .*It is NOT taken back: Denied: ecs"
        ):
            Rollout("c", "s", NEW, BACK).perform(ops)


@pytest.mark.parametrize("back", [None, BACK])
def test_one_that_does_not_end_is_taken_back_or_told_as_unfinished(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, back: Action | None
) -> None:
    done: list[str] = []
    monkeypatch.setattr(ops, "change", lambda _, call, /, **__: done.append(call))
    with Stubber(ops.client("ecs")) as stub:
        for _ in range(2):
            stub.add_response(
                "describe_services", described(ops, OFF, rolloutState="IN_PROGRESS", failedTasks=1)
            )
        stub.add_response("list_tasks", {"taskArns": []})
        with pytest.raises(OpsError if back else Unfinished, match="it is not complete after"):
            Rollout("c", "s", NEW, back, timeout_seconds=0).perform(ops)
    assert done == ["update_service"] * bool(back)


def test_one_whose_place_is_just_being_taken_is_looked_at_again(ops: Connection) -> None:
    with Stubber(ops.client("ecs")) as stub:
        stub.add_response("describe_services", described(ops, OFF, status="ACTIVE"))
        stub.add_response("describe_services", described(ops, OFF, rolloutState="COMPLETED"))
        assert Rollout("c", "s", NEW).perform(ops) == "COMPLETED"
