"""The calls that the lab received, kept as CloudTrail keeps them.

Management events, the last 5,000 of a region.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from opslib.lab.aws.operations import AwsError, Call

_KEPT = 5000
_READS = re.compile(
    r"(Get|List|Describe|Lookup|Head|Filter|Search|Batch?Get|AdminGet|AdminList|Test|Simulate)"
)
# Data events, which LookupEvents does not show.
_DATA = re.compile(
    r"lambda:Invoke|s3:\w*Objects?(V2|Versions|Acl|Tagging|Attributes)?$|s3:\w*(Part|MultipartUpload)\w*$"
    r"|dynamodb:(\w*Items?|Query|Scan|Execute\w*)$|sqs:(Send|Receive|Delete|ChangeMessageVisibility)\w*Message\w*$|sqs:ChangeMessageVisibility\w*"
    r"|logs:(PutLogEvents|FilterLogEvents|GetLogEvents)|cloudwatch:(GetMetricData|GetMetricStatistics|PutMetricData)"
)
# The parameters that name a resource, and its type.
_RESOURCES = {
    "FunctionName": "AWS::Lambda::Function",
    "Bucket": "AWS::S3::Bucket",
    "DBClusterIdentifier": "AWS::RDS::DBCluster",
    "DBInstanceIdentifier": "AWS::RDS::DBInstance",
    "DBClusterSnapshotIdentifier": "AWS::RDS::DBClusterSnapshot",
    "DBSnapshotIdentifier": "AWS::RDS::DBSnapshot",
    "SecretId": "AWS::SecretsManager::Secret",
    "UserPoolId": "AWS::Cognito::UserPool",
    "Username": "AWS::Cognito::User",
    "QueueUrl": "AWS::SQS::Queue",
    "VpcId": "AWS::EC2::VPC",
    "AlarmName": "AWS::CloudWatch::Alarm",
    "AlarmNames": "AWS::CloudWatch::Alarm",
    "logGroupName": "AWS::Logs::LogGroup",
    "GroupId": "AWS::EC2::SecurityGroup",
    "VpcEndpointId": "AWS::EC2::VPCEndpoint",
    "VpcEndpointIds": "AWS::EC2::VPCEndpoint",
    "DashboardName": "AWS::CloudWatch::Dashboard",
    "TableName": "AWS::DynamoDB::Table",
    "RouteTableId": "AWS::EC2::RouteTable",
    "NetworkAclId": "AWS::EC2::NetworkAcl",
    "TopicArn": "AWS::SNS::Topic",
    "RoleName": "AWS::IAM::Role",
    "ClientId": "AWS::Cognito::UserPoolClient",
    "DBParameterGroupName": "AWS::RDS::DBParameterGroup",
    "DBClusterParameterGroupName": "AWS::RDS::DBClusterParameterGroup",
    "DBSubnetGroupName": "AWS::RDS::DBSubnetGroup",
}
# Of the others they are not kept.
_PARAMETERS = {
    "UpdateIPSet",
    "AuthorizeSecurityGroupIngress",
    "ModifyDBClusterSnapshotAttribute",
    "ModifyDBSnapshotAttribute",
    "PutBucketAcl",
    "PutPublicAccessBlock",
    "GetSecretValue",
}
_HIDDEN = {"RegisterTaskDefinition", "RunTask"}  # CloudTrail hides what their variables hold
_OF_ALL = {"application-autoscaling", "dynamodb", "ecr", "ecs", "elasticache", "elbv2", "wafv2"}
trails: dict[tuple[str, str], deque[Event]] = {}


@dataclass(frozen=True)
class Event:
    """One call, as it is kept."""

    id: str
    time: datetime
    service: str
    operation: str
    user: str
    key: str
    account: str
    region: str
    address: str
    agent: str
    resources: tuple[tuple[str, str], ...] = ()  # (type, name)
    error: tuple[str, str] | None = None  # (code, message)
    parameters: str = ""  # JSON, of operations that are asked for theirs
    kind: str = "IAMUser"
    more: str = ""  # JSON, what else the record has

    @property
    def read_only(self) -> bool:
        return _READS.match(self.operation) is not None


def record(call: Call, key: str, error: AwsError | None) -> None:
    """Keeps a call, unless it is a data event or nobody known made it."""
    if not call.account or _DATA.match(f"{call.service}:{call.operation}"):
        return
    event = Event(
        id=call.request_id,
        time=call.received,
        service=call.service,
        operation=call.operation,
        user=call.user or "",
        key=key,
        account=call.account,
        region=call.region,
        address=call.request.remote_addr or "",
        agent=str(call.request.user_agent),
        error=(error.code, error.message) if error else None,
        kind="AssumedRole" if call.session else "IAMUser",
    )
    bare = event.read_only and event.operation not in _PARAMETERS
    add(event if bare else _with_resources(event, call))


def add(event: Event) -> None:
    trails.setdefault((event.account, event.region), deque(maxlen=_KEPT)).append(event)


def events(account: str, region: str) -> list[Event]:
    """Newest first."""
    return sorted(trails.get((account, region), ()), key=lambda event: event.time, reverse=True)


def clear() -> None:
    trails.clear()


def _with_resources(event: Event, call: Call) -> Event:
    params: dict[str, Any] = call.params
    given = {
        name: each if isinstance(each := params[name], list) else [each]
        for name in _RESOURCES
        if params.get(name)
    }
    named = tuple(
        (_RESOURCES[name], str(each).rsplit("/", 1)[-1] if name == "QueueUrl" else str(each))
        for name, every in given.items()
        for each in every
    )
    told = {name[:1].lower() + name[1:]: value for name, value in params.items()}
    told_of_all = event.service in _OF_ALL and event.operation not in _HIDDEN
    kept = event.operation in _PARAMETERS or told_of_all
    return replace(event, resources=named, parameters=json.dumps(told, default=str) * kept)
