"""What is in an account and region: a table of calls, asked at once; what was denied is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, OpsError
from opslib.core.tables import Json

Calls = Mapping[str, tuple[str, str, Mapping[str, str]]]


@dataclass(frozen=True)
class Kind:
    """How AWS is asked for a kind of things. Where something is taken from an answer: JMESPath.

    listed:  service, operation that lists them, the things in its answer
    name:    what of a thing is its name
    more:    what else is asked of each: key, (operation, what of the answer, parameters of it)
    """

    listed: tuple[str, str, str]
    name: str
    more: Calls = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


_OF_BUCKET = {"Bucket": "Name"}
_RULE = "ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm"
KINDS = {
    "functions": Kind(
        ("lambda", "list_functions", "Functions[]"),
        "FunctionName",
        {
            "aliases": ("list_aliases", "Aliases[].Name", {"FunctionName": "FunctionName"}),
            "url": (
                "get_function_url_config",
                "FunctionUrl",
                {"FunctionName": "FunctionName"},
            ),
        },
    ),
    "mappings": Kind(("lambda", "list_event_source_mappings", "EventSourceMappings[]"), "UUID"),
    "queues": Kind(
        ("sqs", "list_queues", "QueueUrls[].{url: @}"),
        "url",
        {
            "set": (
                "get_queue_attributes",
                "Attributes",
                {"QueueUrl": "url", "AttributeNames": "['All']"},
            )
        },
    ),
    "buckets": Kind(
        ("s3", "list_buckets", "Buckets[]"),
        "Name",
        {
            "versioning": ("get_bucket_versioning", "Status", _OF_BUCKET),
            "encryption": ("get_bucket_encryption", _RULE, _OF_BUCKET),
            "blocked": (
                "get_public_access_block",
                "PublicAccessBlockConfiguration.RestrictPublicBuckets",
                _OF_BUCKET,
            ),
            "cors": ("get_bucket_cors", "CORSRules[]", _OF_BUCKET),
            "prefixes": (
                "list_objects_v2",
                "CommonPrefixes[].Prefix",
                {**_OF_BUCKET, "Delimiter": "'/'"},
            ),
        },
    ),
    "clusters": Kind(("rds", "describe_db_clusters", "DBClusters[]"), "DBClusterIdentifier"),
    "instances": Kind(("rds", "describe_db_instances", "DBInstances[]"), "DBInstanceIdentifier"),
    "pools": Kind(
        ("cognito-idp", "list_user_pools", "UserPools[]"), "Name", given={"MaxResults": 60}
    ),
    "APIs": Kind(
        ("apigatewayv2", "get_apis", "Items[]"),
        "Name",
        {
            "behind": ("get_integrations", "Items[].IntegrationUri", {"ApiId": "ApiId"}),
            "stages": ("get_stages", "Items[].StageName", {"ApiId": "ApiId"}),
        },
    ),
    "REST APIs": Kind(
        ("apigateway", "get_rest_apis", "items[]"),
        "name",
        {"stages": ("get_stages", "item[].stageName", {"restApiId": "id"})},
    ),
    "domains": Kind(
        ("apigatewayv2", "get_domain_names", "Items[]"),
        "DomainName",
        {"paths": ("get_api_mappings", "Items[]", {"DomainName": "DomainName"})},
    ),
    "subnets": Kind(("ec2", "describe_subnets", "Subnets[]"), "SubnetId"),
    "VPCs": Kind(("ec2", "describe_vpcs", "Vpcs[]"), "Tags[?Key=='Name'].Value|[0] || VpcId"),
    "endpoints": Kind(("ec2", "describe_vpc_endpoints", "VpcEndpoints[]"), "VpcEndpointId"),
    "alarms": Kind(("cloudwatch", "describe_alarms", "MetricAlarms[]"), "AlarmName"),
    "dashboards": Kind(("cloudwatch", "list_dashboards", "DashboardEntries[]"), "DashboardName"),
    "metrics": Kind(("cloudwatch", "list_metrics", "Metrics[]"), "MetricName"),
    "secrets": Kind(("secretsmanager", "list_secrets", "SecretList[]"), "Name"),
    "certificates": Kind(("acm", "list_certificates", "CertificateSummaryList[]"), "DomainName"),
    "log groups": Kind(("logs", "describe_log_groups", "logGroups[]"), "logGroupName"),
    "tags": Kind(
        ("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList[]"), "ResourceARN"
    ),
    # What a target's file has no place for yet: told, so that nobody thinks it is not there.
    "DynamoDB tables": Kind(("dynamodb", "list_tables", "TableNames[].{name: @}"), "name"),
    "ECS clusters": Kind(("ecs", "list_clusters", "clusterArns[].{name: @}"), "name"),
    "CloudFront distributions": Kind(
        ("cloudfront", "list_distributions", "DistributionList.Items[]"),
        "Aliases.Items[0] || DomainName",
    ),
    "EventBridge rules": Kind(("events", "list_rules", "Rules[]"), "Name"),
    "state machines": Kind(("stepfunctions", "list_state_machines", "stateMachines[]"), "name"),
    "load balancers": Kind(
        ("elbv2", "describe_load_balancers", "LoadBalancers[]"), "LoadBalancerName"
    ),
}
WITHOUT_PLACE = [*KINDS][[*KINDS].index("DynamoDB tables") :]
_LINKED = (
    "mappings",
    "endpoints",
    "metrics",
    "tags",
    "VPCs",
    "subnets",
)  # chosen by what they belong to
_WORDS = re.compile("[^a-z0-9]+")


@dataclass
class Account:
    """What was found, by kind; and why something of a kind is not known."""

    things: dict[str, list[Json]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> list[Json]:
        return self.things.get(kind, [])


def look(ops: Connection, prefix: str = "") -> Account:
    """Everything of KINDS whose name or tags have the words of the prefix; reads only."""
    found = Account()
    ops.each(partial(_list, ops, found), KINDS)
    tags = {_last(each["ResourceARN"]): each.get("Tags", ()) for each in found["tags"]}
    for kind, things in found.things.items():
        for thing in things:
            thing["tags"] = {tag["Key"]: tag["Value"] for tag in tags.get(thing["name"], ())}
        if kind not in _LINKED:
            found.things[kind] = [thing for thing in things if _belongs(thing, prefix)]
    asked = [
        (kind, key, thing) for kind in KINDS for key in KINDS[kind].more for thing in found[kind]
    ]
    ops.gather(*(partial(_ask, ops, found, *each) for each in asked))
    return found


def _list(ops: Connection, found: Account, kind: str) -> None:
    about = KINDS[kind]
    try:
        things = ops.pages(*about.listed, **about.given)
        found.things[kind] = [{**thing, "name": _named(about, thing)} for thing in things]
    except OpsError as exc:
        found.unknown[kind] = str(exc)


def _ask(ops: Connection, found: Account, kind: str, key: str, thing: Json) -> None:
    """Adds what else is known of a thing; what is not there is not added."""
    about = KINDS[kind]
    operation, wanted, given = about.more[key]
    parameters = {name: _compiled(path).search(thing) for name, path in given.items()}
    try:
        answer = ops.call(about.listed[0], operation, **parameters)
        thing[key] = _compiled(wanted).search(answer)
    except NotFound:
        return
    except OpsError as exc:
        found.unknown.setdefault(f"{kind}: {key}", str(exc))


@cache
def _compiled(path: str) -> Any:
    import jmespath

    return jmespath.compile(path)


def _named(about: Kind, thing: Json) -> str:
    name = str(_compiled(about.name).search(thing))
    return _last(name) if name.startswith(("http://", "https://", "arn:")) else name


def _last(name: str) -> str:
    return re.split("[:/]", name)[-1]


def words(name: str) -> list[str]:
    """The words of a name: bluemoxon-staging-api, Bluemoxon/Staging, /aws/lambda/x."""
    return [word for word in _WORDS.split(name.lower()) if word]


def _belongs(thing: Json, prefix: str) -> bool:
    wanted = set(words(prefix))
    texts = [thing["name"], *map(str, thing["tags"].values())]
    return (
        not wanted
        or any(wanted <= set(words(text)) for text in texts)
        or wanted <= set(words(" ".join(texts)))
    )
