"""What stands at the edges of a system, as AWS describes it: broken in one thing, and well."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.changes.test_differences import START

FACTS = {
    "distributions": {"app": {"id": "E1", "host": "app.example.com", "acl": "app"}},
    "schedules": {
        "nightly": {"name": "nightly", "group": "cron", "target": "work:live"},
        "cold": {"name": "cold", "enabled": False},
    },
    "apis": {"shop": {"id": "a1", "kind": "REST", "host": "api.example.com"}},
}
WARN, CRITICAL = "warn", "critical"


def day(days: float) -> datetime:
    return START + timedelta(days=days)


def distribution(**more: Any) -> tuple[str, str, dict[str, Any]]:
    """One that breaks no rule; `more`: what it has otherwise."""
    own = {
        "DomainName": "d1.cloudfront.net",
        "Enabled": True,
        "Aliases": {"Items": ["www.example.com", "app.example.com"]},
        "WebACLId": "arn:aws:wafv2:us-east-1:111122223333:global/webacl/app/1a2b",
        "DefaultCacheBehavior": {"ViewerProtocolPolicy": "redirect-to-https"},
        "CacheBehaviors": {"Quantity": 0},
        "Origins": {"Items": [{"DomainName": "x.s3.amazonaws.com"}]},
        "ViewerCertificate": {"MinimumProtocolVersion": "TLSv1.2_2021"},
    }
    return "distribution", "E1", own | more


def asked_by(policy: str, domain: str) -> dict[str, Any]:
    return {
        "Items": [{"DomainName": domain, "CustomOriginConfig": {"OriginProtocolPolicy": policy}}]
    }


def certificate(days: float, status: str = "ISSUED") -> tuple[str, str, dict[str, Any]]:
    return "TLS certificate", "arn:c", {"Status": status, "NotAfter": day(days)}


def rest(**more: Any) -> tuple[str, str, dict[str, Any]]:
    """A REST API with one method and one stage."""
    integration = {"type": "AWS_PROXY", "uri": "arn:x"}
    own = {
        "stages": [{"stageName": "prod", "deploymentId": "d2"}],
        "deployed": [{"id": "d1", "createdDate": day(-9)}, {"id": "d2", "createdDate": day(-1)}],
        "resources": [{"path": "/"}, method(methodIntegration=integration)],
    }
    return "REST API", "a1", own | more


def method(**more: Any) -> dict[str, Any]:
    return {"path": "/{proxy+}", "resourceMethods": {"ANY": {"httpMethod": "ANY", **more}}}


def stage(deployment: str = "d2", **more: Any) -> list[dict[str, Any]]:
    return [{"stageName": "prod", "deploymentId": deployment, **more}]


def throttled(rate: float, burst: int) -> dict[str, Any]:
    return {"/orders/GET": {"throttlingRateLimit": rate, "throttlingBurstLimit": burst}}


def plan(spent: int, rate: float = 10.0) -> tuple[str, str, dict[str, Any]]:
    limits = {"quota": {"limit": 100, "period": "DAY"}, "throttle": {"rateLimit": rate}}
    return "usage plan", "p1", {"name": "partners", "spent": spent, **limits}


def host(*mapped: str) -> tuple[str, str, dict[str, Any]]:
    return "API host", "api.example.com", {"mappings": [{"ApiId": each} for each in mapped]}


def schedule(name: str = "nightly cron", **more: Any) -> tuple[str, str, dict[str, Any]]:
    own = {"State": "ENABLED", "ScheduleExpression": "rate(1 hour)", "Target": target()}
    return "schedule", name, own | more


def target(arn: str = "arn:aws:lambda:eu-west-1:1:function:work:live", **more: Any) -> Any:
    retried = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}
    return {"Arn": arn, "RoleArn": "arn:r", "RetryPolicy": retried, **more}


def record(weight: int) -> tuple[str, str, dict[str, Any]]:
    return "DNS record", "x. A blue", {"Name": "x.", "Type": "A", "Weight": weight}


NEVER: dict[str, Any] = {"RetryPolicy": {"MaximumRetryAttempts": 0}}
LETTERS: dict[str, Any] = {"DeadLetterConfig": {"Arn": "arn:q"}}
HTTP: dict[str, Any] = {"ProtocolType": "HTTP", "routes": [], "integrations": []}
NOTHING_IN = {"ThrottlingRateLimit": 0.0, "ThrottlingBurstLimit": 0}
CANARY = {"canarySettings": {"percentTraffic": 10.0, "deploymentId": "d2"}}
BEHAVIORS = {"Items": [{"PathPattern": "/api/*", "ViewerProtocolPolicy": "allow-all"}]}
OLD_TLS = {"MinimumProtocolVersion": "TLSv1.1_2016"}
OTHER_ACL = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/app-test/1a2b"
WEBSITE = "x.s3-website-eu-west-1.amazonaws.com"
CASES = [
    (*distribution(Enabled=False), "Enabled", CRITICAL),
    (*distribution(Aliases={"Items": ["www.example.com"]}), "Aliases", CRITICAL),
    (*distribution(Aliases={"Quantity": 0}), "Aliases", CRITICAL),
    (*distribution(WebACLId=""), "WebACLId", CRITICAL),
    (*distribution(WebACLId=OTHER_ACL), "WebACLId", CRITICAL),
    (*distribution(CacheBehaviors=BEHAVIORS), "DefaultCacheBehavior", WARN),
    (*distribution(ViewerCertificate=OLD_TLS), "ViewerCertificate", WARN),
    (*distribution(Origins=asked_by("http-only", "app.example.org")), "Origins", WARN),
    (*certificate(10), "NotAfter", WARN),
    (*certificate(2), "NotAfter", CRITICAL),
    (*certificate(-1, "EXPIRED"), "NotAfter", CRITICAL),
    (*certificate(200, "REVOKED"), "Status", CRITICAL),
    (*rest(stages=stage(methodSettings=throttled(0.0, 0))), "stages", CRITICAL),
    (*rest(stages=[]), "stages", CRITICAL),
    (*rest(stages=stage("d1")), "deployed", WARN),
    (*rest(resources=[method()]), "resources", WARN),
    ("api", "h1", {**HTTP, "stages": [{"DefaultRouteSettings": NOTHING_IN}]}, "stages", CRITICAL),
    (
        "api",
        "h1",
        {**HTTP, "stages": [{"RouteSettings": {"GET /": NOTHING_IN}}]},
        "stages",
        CRITICAL,
    ),
    (*plan(2), "spent", WARN),
    (*plan(0, 0.0), "throttle", CRITICAL),
    (*host("z9"), "mappings", CRITICAL),
    (*schedule(State="DISABLED"), "State", CRITICAL),
    (*schedule("other default", State="DISABLED"), "State", CRITICAL),
    (*schedule("cold default"), "State", WARN),
    (*schedule(EndDate=day(-1)), "EndDate", CRITICAL),
    (*schedule(Target=target("arn:aws:lambda:eu-west-1:1:function:work")), "Target", CRITICAL),
    (*schedule(Target=target(**NEVER)), "Target", WARN),
    ("schedule group", "cron", {"Name": "cron", "State": "DELETING"}, "State", CRITICAL),
    (*record(0), "Weight", WARN),
    ("health check", "h", {"Id": "h", "Disabled": True, "Inverted": False}, "Disabled", WARN),
    ("health check", "h", {"Id": "h", "Disabled": False, "Inverted": True}, "Inverted", WARN),
    (*host(), "mappings", CRITICAL),
]
KEPT = [
    distribution(),
    distribution(Origins=asked_by("http-only", WEBSITE)),
    distribution(Origins=asked_by("match-viewer", "app.example.org")),
    ("distribution", "E2", {"Enabled": True, "Aliases": {"Quantity": 0}, "WebACLId": ""}),
    certificate(60),
    rest(),
    rest(stages=stage(methodSettings=throttled(-1.0, -1))),
    rest(stages=stage("d1", **CANARY)),
    rest(stages=[*stage("d1"), {"stageName": "test", "deploymentId": "d2"}]),
    ("api", "h1", {**HTTP, "stages": [{"DefaultRouteSettings": {"ThrottlingRateLimit": 50.0}}]}),
    plan(0),
    schedule(),
    schedule("cold default", State="DISABLED", EndDate=day(-1)),
    schedule(EndDate=day(30)),
    schedule(Target=target(**NEVER, **LETTERS)),
    record(10),
    ("DNS record", "x. A", {"Name": "x.", "Type": "A", "AliasTarget": {"DNSName": "y."}}),
    ("usage plan", "p2", {"name": "all", "spent": 1, "throttle": {"rateLimit": 5.0}}),
    host("z9", "a1"),
]
