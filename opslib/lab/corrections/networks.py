"""VPC endpoints and default security groups.

Moto's endpoints are available at once, keep showing when they are deleted, and may stand twice; its
default groups let nobody in, where AWS's let in each other's members.
"""

import threading
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.models.vpcs import VPCEndPoint

from opslib.lab.aws import ids
from opslib.lab.aws.operations import AwsError, Call, Result, answers

SECONDS = 1.0
_made = EC2Backend.__init__
_moto_create_group = EC2Backend.create_security_group


def install() -> None:
    """Set the lab's methods on moto's class."""
    EC2Backend.__init__ = _make
    EC2Backend.create_security_group = _create_group


def _create_group(self: EC2Backend, *args: Any, **given: Any) -> SecurityGroup:
    group = _moto_create_group(self, *args, **given)
    if group.is_default:
        own = [{"GroupId": group.id}]
        with ids.apart(group.id):
            self.authorize_security_group_ingress(
                group.id, "-1", None, None, [], source_groups=own, vpc_id=group.vpc_id
            )
    return group


def _make(self: EC2Backend, region_name: str, account_id: str) -> None:
    """The ids of its default VPC are its own, so that those of all that is made after it are the
    same, whether it was there before or is first asked for while a target is seeded.
    """
    with ids.apart(f"{account_id} {region_name}"):
        _made(self, region_name, account_id)


@answers("ec2", "CreateVpcEndpoint")
def create_vpc_endpoint(call: Call) -> Result:
    given, backend = call.params, call.backend()
    kind = given.get("VpcEndpointType") or "Gateway"
    name = given["ServiceName"]
    if not name.startswith(f"com.amazonaws.{call.region}."):
        raise AwsError(
            "InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist", 400
        )
    for other in backend.vpc_end_points.values():
        if (other.vpc_id, other.service_name) == (given["VpcId"], name):
            _require_apart(other, kind, given)
    before = set(backend.vpc_end_points)
    call.moto()
    made: VPCEndPoint = next(
        held for each, held in backend.vpc_end_points.items() if each not in before
    )
    made.vpc_endpoint_type = kind
    if kind == "Interface":
        made.private_dns_enabled = given.get("PrivateDnsEnabled") is not False
        if not call.quiet:
            made.state = "pending"
            timer = threading.Timer(SECONDS, setattr, (made, "state", "available"))
            timer.daemon = True
            timer.start()
    return {"VpcEndpoint": made}


def _require_apart(other: VPCEndPoint, kind: str, given: dict[str, Any]) -> None:
    """AWS.

    One private DNS name of a service in a VPC, one gateway endpoint of a service in a route table.
    """
    if (
        kind == "Interface"
        and other.private_dns_enabled
        and given.get("PrivateDnsEnabled") is not False
    ):
        raise AwsError(
            "InvalidParameter",
            "private-dns-enabled cannot be set because there is already a conflicting DNS "
            "domain for "
            f"{given['ServiceName'].split('.')[-1]}.{given['ServiceName'].split('.')[2]}"
            f".amazonaws.com in the VPC {given['VpcId']}",
            400,
        )
    shared = set(other.route_table_ids) & set(given.get("RouteTableIds") or [])
    if kind == "Gateway" and shared:
        raise AwsError(
            "RouteAlreadyExists",
            f"route table {min(shared)} already has a route with destination-prefix-list-id",
            400,
        )


@answers("ec2", "DeleteVpcEndpoints")
def delete_vpc_endpoints(call: Call) -> Result:
    backend = call.backend()
    wrong = [each for each in call.params["VpcEndpointIds"] if each not in backend.vpc_end_points]
    found = [each for each in call.params["VpcEndpointIds"] if each in backend.vpc_end_points]
    for each in found:
        held = backend.vpc_end_points[each]
        held.vpc_endpoint_type = held.vpc_endpoint_type or "Gateway"
        if held.vpc_endpoint_type == "Interface" or held.destination_prefix_list_id:
            backend.delete_vpc_endpoints([each])
        del backend.vpc_end_points[each]
    return {
        "Unsuccessful": [
            {
                "ResourceId": each,
                "Error": {
                    "Code": "InvalidVpcEndpoint.NotFound",
                    "Message": f"The Vpc Endpoint Id '{each}' does not exist",
                },
            }
            for each in wrong
        ]
    }
