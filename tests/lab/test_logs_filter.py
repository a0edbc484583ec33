"""FilterLogEvents and GetLogEvents over many events.

Windows, streams, pages that are empty and not the last.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.corrections.logs import logs
from opslib.lab.places import Place

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)


def millis(when: datetime) -> int:
    return int(when.timestamp() * 1000)


@pytest.fixture
def group(place: Place) -> str:
    """A group of 25,000 events, four a second, in three streams, oldest first.

    One in 12,000 says needle.
    """
    name = f"/logs/{uuid.uuid4()}"
    events = [
        (
            NOW - timedelta(milliseconds=250 * back),
            f"2026/11/22/[{back % 3}]abc",
            f"{'needle' if back % 12_000 == 11_999 else 'hay'} {back}",
        )
        for back in range(25_000)
    ]
    assert logs.append(place.account, place.region, name, events) == 25_000
    return name


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("logs")


def pages(client: Any, **asked: Any) -> list[dict[str, Any]]:
    return list(client.get_paginator("filter_log_events").paginate(**asked))


def test_a_window_is_inclusive_and_its_events_are_interleaved_in_order(
    client: Any, group: str
) -> None:
    start = NOW - timedelta(seconds=2)
    answer = client.filter_log_events(
        logGroupName=group, startTime=millis(start), endTime=millis(NOW)
    )
    assert [event["message"] for event in answer["events"]] == [
        f"hay {back}" for back in range(8, -1, -1)
    ]
    assert [event["timestamp"] for event in answer["events"]] == [
        millis(start) + 250 * step for step in range(9)
    ]
    assert len({event["logStreamName"] for event in answer["events"]}) == 3
    assert "nextToken" not in answer


def test_a_rare_match_lies_behind_empty_pages_that_have_a_token(client: Any, group: str) -> None:
    first = client.filter_log_events(
        logGroupName=group, filterPattern="needle", startTime=millis(NOW) - 6_300_000
    )
    assert "nextToken" in first
    found = pages(client, logGroupName=group, filterPattern="nothing_says_this")
    assert [len(page["events"]) for page in found] == [0, 0, 0]
    found = pages(client, logGroupName=group, filterPattern="needle")
    assert [event["message"] for page in found for event in page["events"]] == [
        "needle 23999",
        "needle 11999",
    ]


def test_every_event_is_answered_once_whatever_the_page(client: Any, group: str) -> None:
    for size in (10_000, 999):
        asked = {
            "logGroupName": group,
            "startTime": millis(NOW) - 1_000_000,
            "PaginationConfig": {"PageSize": size},
        }
        events = [event for page in pages(client, **asked) for event in page["events"]]
        assert len(events) == len({event["eventId"] for event in events}) == 4001
        assert [event["timestamp"] for event in events] == sorted(
            event["timestamp"] for event in events
        )


def test_a_page_holds_at_most_a_megabyte(client: Any, place: Place) -> None:
    name = f"/logs/{uuid.uuid4()}"
    logs.append(place.account, place.region, name, [(NOW, "s", "x" * 200_000) for _ in range(12)])
    assert [len(page["events"]) for page in pages(client, logGroupName=name)] == [5, 5, 2]


def test_newest_first(client: Any, group: str) -> None:
    asked = {"logGroupName": group, "startFromHead": False, "startTime": millis(NOW) - 5000}
    page = client.filter_log_events(**asked, limit=15)
    rest = client.filter_log_events(**asked, nextToken=page["nextToken"])
    numbers = [event["message"] for event in page["events"] + rest["events"]]
    assert numbers == [f"hay {back}" for back in range(21)]
    with pytest.raises(ClientError, match="InvalidParameterException"):
        client.filter_log_events(logGroupName=group, startFromHead=False)


def test_streams_by_name_and_by_prefix(client: Any, group: str) -> None:
    asked = {"logGroupName": group, "startTime": millis(NOW) - 1000}
    by_prefix = client.filter_log_events(**asked, logStreamNamePrefix="2026/11/22/[1]")["events"]
    assert [event["message"] for event in by_prefix] == ["hay 4", "hay 1"]
    by_name = client.filter_log_events(
        **asked, logStreamNames=["2026/11/22/[0]abc", "2026/11/22/[2]abc"]
    )["events"]
    assert [event["message"] for event in by_name] == ["hay 3", "hay 2", "hay 0"]


def test_a_group_by_its_arn(client: Any, group: str) -> None:
    arn = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["arn"]
    events = client.filter_log_events(logGroupIdentifier=arn.removesuffix(":*"), limit=1)["events"]
    assert [event["message"] for event in events] == ["hay 24999"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"logGroupName": "/no/such"}, "ResourceNotFoundException"),
        ({"logStreamNames": ["no-such"]}, "ResourceNotFoundException"),
        ({"logStreamNames": ["a"], "logStreamNamePrefix": "a"}, "InvalidParameterException"),
        ({"nextToken": "bm9uc2Vuc2U="}, "InvalidParameterException"),
        ({"nextToken": "not a token"}, "InvalidParameterException"),
        ({"limit": 10_001}, "InvalidParameterException"),
        ({"logGroupIdentifier": "both"}, "InvalidParameterException"),
    ],
)
def test_what_aws_refuses(client: Any, group: str, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError, match=code):
        client.filter_log_events(**({"logGroupName": group} | asked))


def test_a_token_belongs_to_its_group(client: Any, place: Place, group: str) -> None:
    other = f"/logs/{uuid.uuid4()}"
    logs.append(place.account, place.region, other, [(NOW, "s", "x")])
    token = client.filter_log_events(logGroupName=group, limit=1)["nextToken"]
    with pytest.raises(ClientError, match="nextToken is invalid"):
        client.filter_log_events(logGroupName=other, nextToken=token)


def test_what_is_put_is_found_in_its_place_and_leaves_with_its_stream(
    client: Any, group: str
) -> None:
    client.create_log_stream(logGroupName=group, logStreamName="late")
    when = millis(NOW - timedelta(seconds=1)) + 1
    client.put_log_events(
        logGroupName=group,
        logStreamName="late",
        logEvents=[{"timestamp": when, "message": "came late"}],
    )
    asked = {"logGroupName": group, "startTime": when - 1, "endTime": when + 249}
    messages = [event["message"] for event in client.filter_log_events(**asked)["events"]]
    assert messages == ["hay 4", "came late", "hay 3"]
    client.delete_log_stream(logGroupName=group, logStreamName="late")
    assert [event["message"] for event in client.filter_log_events(**asked)["events"]] == [
        "hay 4",
        "hay 3",
    ]


def test_get_log_events_of_one_stream(client: Any, group: str) -> None:
    asked = {"logGroupName": group, "logStreamName": "2026/11/22/[0]abc"}
    latest = client.get_log_events(**asked, limit=2)["events"]
    assert [event["message"] for event in latest] == ["hay 3", "hay 0"]
    window = {"startTime": millis(NOW) - 1500, "endTime": millis(NOW), "startFromHead": True}
    found = client.get_log_events(**asked, **window)["events"]  # the end is exclusive here
    assert [event["message"] for event in found] == ["hay 6", "hay 3"]


def test_streams_tell_their_first_and_last_event(client: Any, group: str) -> None:
    streams = client.describe_log_streams(
        logGroupName=group, orderBy="LastEventTime", descending=True
    )["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == [
        f"2026/11/22/[{number}]abc" for number in range(3)
    ]
    assert streams[0]["lastEventTimestamp"] == millis(NOW)
    assert streams[0]["firstEventTimestamp"] == millis(NOW - timedelta(milliseconds=250 * 24_999))


def test_groups_by_prefix_by_part_and_in_pages(client: Any, place: Place) -> None:
    mark = uuid.uuid4().hex
    for number in range(3):
        logs.append(place.account, place.region, f"/parts/{mark}/Api-{number}", [(NOW, "s", "x")])

    def names(**asked: Any) -> list[str]:
        pages = client.get_paginator("describe_log_groups").paginate(**asked)
        return [
            group["logGroupName"].removeprefix(f"/parts/{mark}/")
            for page in pages
            for group in page["logGroups"]
        ]

    assert names(logGroupNamePrefix=f"/parts/{mark}", PaginationConfig={"PageSize": 2}) == [
        "Api-0",
        "Api-1",
        "Api-2",
    ]
    assert names(logGroupNamePattern=f"{mark}/Api-1") == ["Api-1"]
    assert names(logGroupNamePattern=f"{mark}/api-1") == []
    with pytest.raises(ClientError, match="InvalidParameterException"):
        names(logGroupNamePrefix="a", logGroupNamePattern="b")
    with pytest.raises(ClientError, match="InvalidParameterException"):
        client.describe_log_groups(limit=51)


def test_a_short_window_of_a_large_group_has_its_lines_only(client: Any, place: Place) -> None:
    name = f"/logs/{uuid.uuid4()}"
    message = '{"level": "INFO", "ms": 12}'
    day = [
        (NOW - timedelta(milliseconds=864 * back), f"s{back % 40}", message)
        for back in range(100_000)
    ]
    logs.append(place.account, place.region, name, day)
    start = millis(NOW - timedelta(hours=6))
    asked = {"logGroupName": name, "startTime": start, "endTime": start + 300_000}

    assert client.filter_log_events(**asked, filterPattern="{ $.ms > 100 }")["events"] == []
    lines = client.filter_log_events(**asked, filterPattern="{ $.ms < 100 }")["events"]
    assert len(lines) == 300_000 // 864 + 1
