"""Which partition of AWS a region is in."""

from __future__ import annotations

import pytest

from opslib.core.connections import identities
from opslib.core.rights import rights

PARTITIONS = [
    ("eu-north-1", "aws", "amazonaws.com", "us-east-1", "us-east-1"),
    ("us-gov-east-1", "aws-us-gov", "amazonaws.com", "us-gov-west-1", "us-gov-east-1"),
    ("cn-northwest-1", "aws-cn", "amazonaws.com.cn", "cn-north-1", "cn-northwest-1"),
    ("eusc-de-east-1", "aws-eusc", "amazonaws.eu", "eusc-de-east-1", "eusc-de-east-1"),
]


@pytest.mark.parametrize(("region", "named", "suffix", "home", "costs"), PARTITIONS)
def test_a_region_has_the_names_and_the_global_region_of_its_partition(
    region: str, named: str, suffix: str, home: str, costs: str
) -> None:
    assert identities.partition(region) == named
    assert identities.suffix(region) == suffix
    assert identities.home(region) == home
    assert identities.home(region, "ce") == costs


@pytest.mark.parametrize(("region", "named"), [each[:2] for each in PARTITIONS])
def test_a_right_is_asked_for_in_the_names_of_its_partition(region: str, named: str) -> None:
    [need] = rights.needs("sqs", "PurgeQueue", {"QueueUrl": ["mail"]}, region, "111122223333")
    assert need.resource == f"arn:{named}:sqs:{region}:111122223333:mail"
