"""Lambda as the real one: revisions, snapshots, invocations that run, log and fail."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.aws.handlers import Invocation
from opslib.lab.places import Estate, Place
from opslib.lab.world import World

NAME = "practice-api"


def handler(event: Any, place: Place, invocation: Invocation) -> Any:
    if event.get("slow"):
        invocation.seconds = 99
    if event.get("fail"):
        raise KeyError(event["fail"])
    invocation.log("at work")
    return {
        "target": place.name,
        "version": invocation.version,
        "mode": invocation.variables.get("MODE"),
    }


@pytest.fixture
def functions(
    aws: Any, world: World, place: Place, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A function with version 1 behind `live` (MODE=one) and MODE=two in $LATEST, not published."""
    monkeypatch.setitem(
        world.estates, "practice", Estate(seed=lambda place: None, functions={"api": handler})
    )
    iam = place.backend("iam")
    if not any(role.name == "runner" for role in iam.get_roles()):
        place.client("iam").create_role(RoleName="runner", AssumeRolePolicyDocument="{}")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", "def handler(event, context): ...")
    client = aws("lambda")
    client.create_function(
        FunctionName=NAME,
        Runtime="python3.12",
        Role=f"arn:aws:iam::{place.account}:role/runner",
        Handler="main.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=30,
        MemorySize=512,
        Environment={"Variables": {"MODE": "one"}},
    )
    client.publish_version(FunctionName=NAME)
    client.create_alias(FunctionName=NAME, Name="live", FunctionVersion="1")
    client.update_function_configuration(
        FunctionName=NAME, Environment={"Variables": {"MODE": "two"}}
    )
    client.get_waiter("function_updated").wait(FunctionName=NAME, WaiterConfig={"Delay": 0.1})
    yield client
    client.delete_function(FunctionName=NAME)


def payload(answer: Any) -> Any:
    return json.loads(answer["Payload"].read())


def test_a_version_keeps_its_configuration_when_latest_changes(functions: Any) -> None:
    for qualifier, mode in {"live": "one", "1": "one", "$LATEST": "two"}.items():
        config = functions.get_function_configuration(FunctionName=NAME, Qualifier=qualifier)
        assert config["Environment"]["Variables"]["MODE"] == mode


@pytest.mark.slow
def test_an_update_is_in_progress_then_successful_and_both_are_revisions(functions: Any) -> None:
    before = functions.get_function_configuration(FunctionName=NAME)
    during = functions.update_function_configuration(
        FunctionName=NAME, Timeout=31, RevisionId=before["RevisionId"]
    )
    assert during["LastUpdateStatus"] == "InProgress"
    with pytest.raises(
        functions.exceptions.ResourceConflictException, match="An update is in progress"
    ):
        functions.update_function_configuration(FunctionName=NAME, Timeout=32)
    with pytest.raises(functions.exceptions.ResourceConflictException):
        functions.publish_version(FunctionName=NAME)
    functions.get_waiter("function_updated_v2").wait(FunctionName=NAME, WaiterConfig={"Delay": 0.1})
    after = functions.get_function_configuration(FunctionName=NAME)
    assert after["LastUpdateStatus"] == "Successful"
    assert after["Timeout"] == 31
    assert len({before["RevisionId"], during["RevisionId"], after["RevisionId"]}) == 3


@pytest.mark.parametrize("operation", ["update_function_configuration", "publish_version"])
def test_an_old_revision_is_refused(functions: Any, operation: str) -> None:
    with pytest.raises(
        functions.exceptions.PreconditionFailedException, match="latest Revision Id"
    ):
        getattr(functions, operation)(
            FunctionName=NAME, RevisionId="4e2a7c8e-0000-4000-8000-000000000000"
        )


def test_an_alias_moves_only_from_the_revision_that_was_read(functions: Any) -> None:
    functions.publish_version(FunctionName=NAME)
    read = functions.get_alias(FunctionName=NAME, Name="live")
    functions.update_alias(
        FunctionName=NAME, Name="live", FunctionVersion="2", RevisionId=read["RevisionId"]
    )
    with pytest.raises(functions.exceptions.PreconditionFailedException):
        functions.update_alias(
            FunctionName=NAME, Name="live", FunctionVersion="1", RevisionId=read["RevisionId"]
        )
    assert functions.get_alias(FunctionName=NAME, Name="live")["FunctionVersion"] == "2"
    assert payload(functions.invoke(FunctionName=NAME, Qualifier="live"))["mode"] == "two"


def test_an_alias_cannot_point_at_a_version_that_is_not_there(functions: Any) -> None:
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.update_alias(FunctionName=NAME, Name="live", FunctionVersion="77")


def test_publishing_what_did_not_change_gives_the_last_version(functions: Any) -> None:
    first = functions.publish_version(FunctionName=NAME)
    assert first["Version"] == "2"
    assert functions.publish_version(FunctionName=NAME)["Version"] == "2"
    listed = functions.list_versions_by_function(FunctionName=NAME)["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"]


def test_invoking_runs_the_version_behind_the_qualifier(functions: Any) -> None:
    answer = functions.invoke(FunctionName=NAME, Qualifier="live", Payload=b"{}", LogType="Tail")
    assert payload(answer) == {"target": "practice-one", "version": "1", "mode": "one"}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "1")
    assert "FunctionError" not in answer
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "at work\n" in tail
    assert "REPORT RequestId" in tail
    assert payload(functions.invoke(FunctionName=NAME))["version"] == "$LATEST"
    assert payload(functions.invoke(FunctionName=f"{NAME}:live"))["version"] == "1"


def test_what_the_code_raises_is_a_function_error(functions: Any) -> None:
    answer = functions.invoke(FunctionName=NAME, Payload=json.dumps({"fail": "book 7"}))
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = payload(answer)
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'book 7'")
    assert error["stackTrace"]


def test_an_invocation_past_its_timeout_is_a_function_error(functions: Any) -> None:
    answer = functions.invoke(
        FunctionName=NAME, Qualifier="live", Payload=json.dumps({"slow": True})
    )
    assert payload(answer)["errorType"] == "Sandbox.Timedout"


def test_the_lines_are_in_the_log_group(functions: Any, aws: Any) -> None:
    answer = functions.invoke(FunctionName=NAME, Qualifier="live")
    request = answer["ResponseMetadata"]["RequestId"]
    events = aws("logs").filter_log_events(
        logGroupName=f"/aws/lambda/{NAME}", filterPattern=f'"{request}"'
    )["events"]
    assert [event["message"].split()[0] for event in events] == ["START", "END", "REPORT"]
    assert all("/[1]" in event["logStreamName"] for event in events)


def test_a_missing_function_is_not_found(functions: Any) -> None:
    for call, given in (
        ("invoke", {}),
        ("list_versions_by_function", {}),
        ("get_function_configuration", {}),
    ):
        with pytest.raises(
            functions.exceptions.ResourceNotFoundException, match="Function not found"
        ):
            getattr(functions, call)(FunctionName="practice-none", **given)
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.invoke(FunctionName=NAME, Qualifier="stage")


def test_an_asynchronous_invocation_is_accepted_and_runs(functions: Any, aws: Any) -> None:
    answer = functions.invoke(FunctionName=NAME, InvocationType="Event", Payload=b"{}")
    assert answer["StatusCode"] == 202
    request = answer["ResponseMetadata"]["RequestId"]
    end = time.monotonic() + 5
    found = []
    while not found and time.monotonic() < end:
        time.sleep(0.05)
        group = f"/aws/lambda/{NAME}"
        found = aws("logs").filter_log_events(logGroupName=group, filterPattern=f'"{request}"')[
            "events"
        ]
    assert found


def test_a_payload_that_is_not_json_is_refused(functions: Any) -> None:
    with pytest.raises(functions.exceptions.InvalidRequestContentException):
        functions.invoke(FunctionName=NAME, Payload=b"{not json")


def test_the_account_says_what_concurrency_is_left(functions: Any) -> None:
    functions.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=200)
    limit = functions.get_account_settings()["AccountLimit"]
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (1000, 800)
    with pytest.raises(ClientError, match="below its minimum value"):
        functions.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=950)


def test_lists_come_in_pages(functions: Any) -> None:
    functions.publish_version(FunctionName=NAME)
    first = functions.list_versions_by_function(FunctionName=NAME, MaxItems=2)
    rest = functions.list_versions_by_function(FunctionName=NAME, Marker=first["NextMarker"])
    assert [v["Version"] for v in first["Versions"] + rest["Versions"]] == ["$LATEST", "1", "2"]
    assert "NextMarker" not in rest


def test_a_function_runs_no_more_often_at_once_than_is_reserved(functions: Any) -> None:
    functions.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="Rate Exceeded") as refused:
        functions.invoke(FunctionName=NAME, Qualifier="live")
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    functions.delete_function_concurrency(FunctionName=NAME)
    assert payload(functions.invoke(FunctionName=NAME, Qualifier="live"))["version"] == "1"


def test_what_is_throttled_is_counted_and_not_logged(
    functions: Any, aws: Any, place: Place
) -> None:
    functions.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)
    before = len(aws("logs").filter_log_events(logGroupName=f"/aws/lambda/{NAME}")["events"])
    with pytest.raises(ClientError, match="Rate Exceeded"):
        functions.invoke(FunctionName=NAME)
    found = aws("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Throttles",
        Dimensions=[{"Name": "FunctionName", "Value": NAME}],
        StartTime=place.now() - timedelta(minutes=5),
        EndTime=place.now() + timedelta(minutes=1),
        Period=300,
        Statistics=["Sum"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in found) >= 1
    assert (
        len(aws("logs").filter_log_events(logGroupName=f"/aws/lambda/{NAME}")["events"]) == before
    )


@pytest.mark.slow
def test_an_asynchronous_invocation_waits_until_it_may_run(functions: Any, aws: Any) -> None:
    functions.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)
    request = functions.invoke(FunctionName=NAME, InvocationType="Event")["ResponseMetadata"][
        "RequestId"
    ]
    functions.delete_function_concurrency(FunctionName=NAME)
    end, found = time.monotonic() + 5, []
    while not found and time.monotonic() < end:
        time.sleep(0.1)
        group = f"/aws/lambda/{NAME}"
        found = aws("logs").filter_log_events(logGroupName=group, filterPattern=f'"{request}"')[
            "events"
        ]
    assert found


def test_a_mapping_is_found_by_any_name_of_its_function_and_tells_of_its_last_batch(
    functions: Any, place: Place
) -> None:
    from moto.awslambda.models import EventSourceMapping

    arn = f"arn:aws:lambda:{place.region}:{place.account}:function:{NAME}"
    made = EventSourceMapping(
        {
            "RegionName": place.region,
            "AccountId": place.account,
            "FunctionName": NAME,
            "FunctionArn": f"{arn}:live",
            "EventSourceArn": f"arn:aws:sqs:{place.region}:{place.account}:work",
        }
    )
    held = place.backend("lambda")._event_source_mappings
    held[made.uuid] = made
    try:
        for name in (NAME, arn, f"{NAME}:live", f"{arn}:live"):
            (found,) = functions.list_event_source_mappings(FunctionName=name)[
                "EventSourceMappings"
            ]
            assert (found["State"], found["LastProcessingResult"]) == ("Enabled", "OK")
        assert not functions.list_event_source_mappings(FunctionName="x")["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=made.uuid, Enabled=False)
        made.last_result = "PROBLEM: Lambda could not assume the role"
        (found,) = functions.list_event_source_mappings()["EventSourceMappings"]
        assert found["State"] == "Disabled"
        assert found["LastProcessingResult"].startswith("PROBLEM")
    finally:
        del held[made.uuid]
