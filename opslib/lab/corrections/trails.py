"""CloudTrail LookupEvents, which moto lacks: answered from the calls that the lab received.

They show at once; in AWS it takes minutes.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from opslib.core.connections.identities import partition
from opslib.lab.aws import trail
from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.aws.trail import Event

_DAYS = 90
_PAGE = 50
_SOURCES = {
    "apigatewayv2": "apigateway",
    "cloudwatch": "monitoring",
    "elbv2": "elasticloadbalancing",
    "opensearch": "es",
    "ses": "email",
    "stepfunctions": "states",
}
_MATCHES: dict[str, Callable[[Event, str], bool]] = {
    "EventId": lambda event, value: event.id == value,
    "EventName": lambda event, value: event.operation == value,
    "ReadOnly": lambda event, value: str(event.read_only).lower() == value.lower(),
    "Username": lambda event, value: event.user == value,
    "ResourceType": lambda event, value: value in [kind for kind, _ in event.resources],
    "ResourceName": lambda event, value: value in [name for _, name in event.resources],
    "EventSource": lambda event, value: _source(event) == value,
    "AccessKeyId": lambda event, value: event.key == value,
}


def held() -> tuple[dict[Any, Any], ...]:
    return (trail.trails,)


def reset() -> None:
    trail.clear()


@answers("cloudtrail", "LookupEvents")
def lookup_events(call: Call) -> Result:
    attributes = call.params.get("LookupAttributes") or []
    if len(attributes) > 1:
        raise AwsError(
            "InvalidLookupAttributesException", "You can only specify one lookup attribute."
        )
    start = _given(call, "StartTime") or call.received - timedelta(days=_DAYS)
    end = _given(call, "EndTime") or call.received
    if start > end:
        raise AwsError(
            "InvalidTimeRangeException", "The end time must be later than the start time."
        )
    wanted = [(_MATCHES[each["AttributeKey"]], each["AttributeValue"]) for each in attributes]
    matching = (
        event
        for event in trail.events(call.account, call.region)
        if start <= event.time <= end and all(matches(event, value) for matches, value in wanted)
    )
    first = int(call.params.get("NextToken") or 0)
    last = first + min(int(call.params.get("MaxResults") or _PAGE), _PAGE)
    found = [*islice(matching, last + 1)]  # there are thousands, and pages are small
    token = {"NextToken": str(last)} if last < len(found) else {}
    return {"Events": [_shown(event) for event in found[first:last]], **token}


def _given(call: Call, name: str) -> datetime | None:
    time: datetime | None = call.params.get(name)
    return time.replace(tzinfo=UTC) if time else None


def _source(event: Event) -> str:
    return f"{_SOURCES.get(event.service, event.service)}.amazonaws.com"


def _shown(event: Event) -> dict[str, Any]:
    return {
        "EventId": event.id,
        "EventName": event.operation,
        "ReadOnly": str(event.read_only).lower(),
        "AccessKeyId": event.key,
        "EventTime": event.time.replace(microsecond=0),
        "EventSource": _source(event),
        "Username": event.user,
        "Resources": [
            {"ResourceType": kind, "ResourceName": name} for kind, name in event.resources
        ],
        "CloudTrailEvent": json.dumps(_whole(event)),
    }


def _whole(event: Event) -> dict[str, Any]:
    """The record itself; answers are not kept, request parameters of few operations are."""
    asked = {"requestParameters": json.loads(event.parameters)} if event.parameters else {}
    who = "root" if event.kind == "Root" else f"user/{event.user}"
    error = {"errorCode": event.error[0], "errorMessage": event.error[1]} if event.error else {}
    return {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": event.kind,
            "arn": f"arn:{partition(event.region)}:iam::{event.account}:{who}",
            "accountId": event.account,
            "accessKeyId": event.key,
            "userName": event.user,
        },
        "eventTime": f"{event.time:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": _source(event),
        "eventName": event.operation,
        "awsRegion": event.region,
        "sourceIPAddress": event.address,
        "userAgent": event.agent,
        **error,
        **asked,
        "requestID": event.id,
        "eventID": event.id,
        "readOnly": event.read_only,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": event.account,
        **json.loads(event.more or "{}"),
    }
