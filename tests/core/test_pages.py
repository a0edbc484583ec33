"""A listing is read to its end, also where botocore has no paginator for it."""

from __future__ import annotations

import json

import pytest

from opslib.core import OpsError
from tests import canned

LISTINGS = {
    "list_secret_version_ids": ("secretsmanager", "Versions", "NextToken", {"SecretId": "of"}),
    "list_service_deployments": ("ecs", "serviceDeployments", "nextToken", {"service": "web"}),
    "list_ip_sets": ("wafv2", "IPSets", "NextMarker", {"Scope": "REGIONAL"}),
}


def pages(operation: str, *bodies: dict[str, object], limit: int | None = None) -> tuple[int, int]:
    """How many items, of how many pages."""
    service, key, _, given = LISTINGS[operation]
    left = [json.dumps(body).encode() for body in bodies]
    ops = canned.connection(lambda *_: (200, left.pop(0)))
    found = ops.pages(service, operation, key, limit=limit, **given)
    return len(found), len(bodies) - len(left)


@pytest.mark.parametrize("operation", LISTINGS)
def test_what_has_no_paginator_is_read_to_the_end_or_as_far_as_wanted(operation: str) -> None:
    _, key, token, _ = LISTINGS[operation]
    two: dict[str, object] = {key: [{}, {}]}
    empty: dict[str, object] = {key: [], token: "b"}
    assert pages(operation, two | {token: "a"}, empty, two) == (4, 3)
    assert pages(operation, two) == (2, 1)
    assert pages(operation, two | {token: "a"}, two, limit=2) == (2, 1)


@pytest.mark.parametrize("operation", LISTINGS)
def test_a_token_that_comes_again_is_no_end(operation: str) -> None:
    _, key, token, _ = LISTINGS[operation]
    same: dict[str, object] = {key: [{}], token: "a"}
    with pytest.raises(OpsError, match="token"):
        pages(operation, same, same, same)


def test_queues_are_listed_in_pages_since_sqs_ends_after_a_thousand_without_a_word() -> None:
    left = [b'{"QueueUrls": ["a", "b"], "NextToken": "more"}', b'{"QueueUrls": ["c"]}']
    ops, sizes = canned.connection(lambda *_: (200, left.pop(0))), []
    ops.client("sqs").meta.events.register(
        "provide-client-params.sqs.ListQueues",
        lambda params, **_: sizes.append(params.get("MaxResults")),
    )
    assert ops.pages("sqs", "list_queues", "QueueUrls[]") == ["a", "b", "c"]
    assert sizes == [1000, 1000]
