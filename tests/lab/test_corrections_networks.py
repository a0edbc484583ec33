"""VPC endpoints as the real ones."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def ec2(aws: Any) -> Any:
    return aws("ec2")


@pytest.fixture
def vpc(ec2: Any) -> dict[str, str]:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][
        0
    ]["RouteTableId"]
    return {"vpc": vpc, "subnet": subnet, "table": table}


def interface(ec2: Any, vpc: dict[str, str], service: str = "secretsmanager") -> Any:
    return ec2.create_vpc_endpoint(
        VpcId=vpc["vpc"],
        ServiceName=f"com.amazonaws.us-west-2.{service}",
        VpcEndpointType="Interface",
        SubnetIds=[vpc["subnet"]],
    )["VpcEndpoint"]


def endpoints(ec2: Any, vpc: dict[str, str]) -> list[Any]:
    found: list[Any] = ec2.describe_vpc_endpoints(
        Filters=[{"Name": "vpc-id", "Values": [vpc["vpc"]]}]
    )["VpcEndpoints"]
    return found


def test_an_interface_endpoint_is_pending_and_then_available(ec2: Any, vpc: dict[str, str]) -> None:
    made = interface(ec2, vpc)
    assert (made["State"], made["VpcEndpointType"], made["PrivateDnsEnabled"]) == (
        "pending",
        "Interface",
        True,
    )
    end = time.monotonic() + 10
    while endpoints(ec2, vpc)[0]["State"] == "pending" and time.monotonic() < end:
        time.sleep(0.05)
    assert [(each["VpcEndpointId"], each["State"]) for each in endpoints(ec2, vpc)] == [
        (made["VpcEndpointId"], "available")
    ]


def test_a_service_has_one_private_name_in_a_vpc(ec2: Any, vpc: dict[str, str]) -> None:
    interface(ec2, vpc)
    with pytest.raises(ClientError, match="conflicting DNS domain"):
        interface(ec2, vpc)


def test_a_gateway_endpoint_stands_once_in_a_route_table(ec2: Any, vpc: dict[str, str]) -> None:
    given = {
        "VpcId": vpc["vpc"],
        "ServiceName": "com.amazonaws.us-west-2.s3",
        "RouteTableIds": [vpc["table"]],
    }
    made = ec2.create_vpc_endpoint(**given)["VpcEndpoint"]
    assert (made["State"], made["VpcEndpointType"]) == ("available", "Gateway")
    with pytest.raises(ClientError, match="RouteAlreadyExists"):
        ec2.create_vpc_endpoint(**given)
    ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpointId"]])
    assert ec2.create_vpc_endpoint(**given)["VpcEndpoint"]["VpcEndpointId"] != made["VpcEndpointId"]


def test_a_deleted_endpoint_is_gone_and_an_unknown_one_is_said(
    ec2: Any, vpc: dict[str, str]
) -> None:
    made = interface(ec2, vpc)["VpcEndpointId"]
    answer = ec2.delete_vpc_endpoints(VpcEndpointIds=[made, "vpce-0123456789abcdef0"])
    assert [each["ResourceId"] for each in answer["Unsuccessful"]] == ["vpce-0123456789abcdef0"]
    assert endpoints(ec2, vpc) == []


def test_an_unknown_service_is_refused(ec2: Any, vpc: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="InvalidServiceName"):
        ec2.create_vpc_endpoint(VpcId=vpc["vpc"], ServiceName="s3")
