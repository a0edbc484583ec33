"""A VPC with private subnets in two zones, a subnet group for RDS, and security groups that let each other in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from opslib.lab.places import Place


class Network(NamedTuple):
    """Ids, as AWS names them. `groups`: security groups by their short name."""

    vpc: str
    subnets: list[str]
    groups: Mapping[str, str]

    def of_functions(self) -> dict[str, list[str]]:
        """The VpcConfig of functions in the group `lambda`."""
        return {"SubnetIds": self.subnets, "SecurityGroupIds": [self.groups["lambda"]]}


def make(place: Place, name: str, block: str, groups: Mapping[str, str]) -> Network:
    """`block`: the first two numbers of its addresses, `10.40`; `groups`: what each security group is for."""
    ec2 = place.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=f"{block}.0.0/16", TagSpecifications=tags("vpc", name))["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})  # private DNS of endpoints needs it
    subnets = [_subnet(place, vpc, f"{block}.{16 * at}.0/20", zone) for at, zone in enumerate("ab")]
    place.client("rds").create_db_subnet_group(
        DBSubnetGroupName=place.name, DBSubnetGroupDescription="private subnets", SubnetIds=subnets
    )
    made = {
        group: ec2.create_security_group(GroupName=f"{place.name}-{group}", Description=text, VpcId=vpc)["GroupId"]
        for group, text in groups.items()
    }
    return Network(vpc, subnets, made)


def let_in(place: Place, group: str, source: str, port: int) -> None:
    """From one security group into another."""
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": source}]}
    place.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])


def _subnet(place: Place, vpc: str, block: str, zone: str) -> str:
    made = place.client("ec2").create_subnet(
        VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{place.region}{zone}",
        TagSpecifications=tags("subnet", f"{place.name}-private-{zone}"),
    )  # fmt: skip
    return str(made["Subnet"]["SubnetId"])


def tags(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]
