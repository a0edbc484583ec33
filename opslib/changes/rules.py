"""Settings that are wrong from the first day: a table of rules, each with AWS's own document.

They judge what was read to be remembered; nothing more is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from opslib.changes.resources import UNREAD, Described, Key
from opslib.core import Connection, Finding, Json, Question
from opslib.core.text import decoded

_DAY = 86_400
_CA_DAYS = timedelta(days=60)
# Those that AWS deprecated before, and from when it does the others (lambda-runtimes.html).
_OLD_RUNTIMES = re.compile(
    r"python(2\.7|3\.[6-9])|nodejs(|[4-9]\.\d.*|1[0-8]\.x)|ruby(2\.\d|3\.2)|java8|go1\.x|provided"
    r"|dotnet(core.*|[567])"
)
_RUNTIMES = {
    "nodejs20.x": "2026-04-30",
    "provided.al2": "2026-07-31",
    "python3.10": "2026-10-31",
    "dotnet8": "2026-11-10",
    "ruby3.3": "2027-03-31",
    "nodejs22.x": "2027-04-30",
    "python3.11": "2027-06-30",
    "java8.al2": "2027-06-30",
    "java11": "2027-06-30",
    "java17": "2027-06-30",
}
_ANYBODY = ("AllUsers", "AuthenticatedUsers")


class World(NamedTuple):
    """What a rule may look at beside the resource that it judges."""

    ops: Connection
    found: Mapping[Key, Any]
    name: str

    def of(self, kind: str) -> Iterator[Json]:
        """The resources of a kind that could be read."""
        return (of for key, of in self.found.items() if key[0] == kind and isinstance(of, dict))

    def described(self, part: str) -> Json:
        """What the target's file says in a part of this resource; empty when it does not."""
        every = self.ops.target.facts.get(part, {}).values()
        return next((dict(each) for each in every if each.get("name") == self.name), {})


Judge = Callable[[Json, World], object]


class Rule(NamedTuple):
    """`wrong`: what is seen where a resource breaks it; empty or false: it does not."""

    kinds: tuple[str, ...]
    setting: str
    words: str
    wrong: Judge
    source: str
    status: str = "warn"


def _triggered(queue: Json, world: World) -> list[tuple[str, int, int]]:
    """Functions that take from a queue: name, its time-out, how many of them it should be."""
    found = []
    for function in world.of("function"):
        for trigger in function.get("triggers") or ():
            if isinstance(trigger, dict) and trigger.get("EventSourceArn") == queue["QueueArn"]:
                found.append((function["FunctionName"], int(function["Timeout"]), 6))
    facts = world.ops.target.facts
    queues, functions = facts.get("queues", {}), facts.get("functions", {})
    for job in facts.get("jobs", {}).values():
        mine = queues.get(job.get("queue"), {}).get("name") == world.name
        name = functions.get(job.get("function"), {}).get("name")
        for function in world.of("function") if mine else ():
            if function["FunctionName"] == name:
                found.append((name, int(function["Timeout"]), 1))
    return found


def _visibility(queue: Json, world: World) -> str:
    seconds = int(queue["VisibilityTimeout"])
    for name, limit, times in _triggered(queue, world):
        if seconds < times * limit:
            return f"{seconds} s, {name} may take {limit} s: a message is worked on again meanwhile"
    return ""


def _redrive(queue: Json) -> Json:
    said = decoded(queue.get("RedrivePolicy") or "{}", {})
    return said if isinstance(said, dict) else {}


def _receives(queue: Json, world: World) -> str:
    most = int(_redrive(queue).get("maxReceiveCount", 1000))
    least = 5 if any(times == 6 for *_, times in _triggered(queue, world)) else 2
    return f"{most}: one that failed for a passing reason is a dead letter" if most < least else ""


def _retention(queue: Json, world: World) -> str:
    mine = int(queue["MessageRetentionPeriod"])
    for source in world.of("queue"):
        theirs = int(source["MessageRetentionPeriod"])
        if _redrive(source).get("deadLetterTargetArn") == queue["QueueArn"] and mine < theirs:
            return (
                f"{mine / _DAY:g} days, its source {theirs / _DAY:g}: the age counts from the "
                "first sending, so dead letters are gone before somebody looks"
            )
    return ""


def _no_dead_letters(queue: Json, world: World) -> str:
    wanted = world.described("queues").get("dead_letters")
    target = str(_redrive(queue).get("deadLetterTargetArn", "")).rpartition(":")[2]
    return f"{target or 'none'} instead of {wanted}" if wanted and target != wanted else ""


def _backups(database: Json, world: World) -> str:
    days = int(database.get("BackupRetentionPeriod", 0))
    short = world.ops.target.production and days < 7
    return f"kept for {days} days" if (short or not days) and not _member(database) else ""


def _member(database: Json) -> bool:
    """An instance of a cluster has what the cluster has."""
    return "DBClusterIdentifier" in database and "DBInstanceIdentifier" in database


def _unprotected(database: Json, world: World) -> bool:
    off = database.get("DeletionProtection") is False
    return off and world.ops.target.production and not _member(database)


def _authority(database: Json, world: World) -> str:
    name = database.get("CACertificateIdentifier", "")
    ends = (database.get("CertificateDetails") or {}).get("ValidTill")
    if re.fullmatch(r"rds-ca-20(10|15|19)", name):
        return f"{name} has run out"
    soon = ends is not None and ends < world.ops.now() + _CA_DAYS
    return f"{name} is valid until {ends:%Y-%m-%d}" if soon else ""


def _public(bucket: Json, world: World) -> str:
    if world.described("buckets").get("public"):
        return ""
    said = bucket.get("public access block")
    off = sorted(name for name, on in said.items() if not on) if isinstance(said, dict) else []
    grants = [each for each in bucket.get("access list") or () if isinstance(each, dict)]
    given = [g for g in grants if str(g.get("Grantee", {}).get("URI")).endswith(_ANYBODY)]
    if said is None:
        return "nothing blocks public access"
    return f"{', '.join(off)} off" if off else "its access list lets anybody in" if given else ""


def _expiry(bucket: Json, world: World) -> str:
    rules = bucket.get("lifecycle")
    for rule in rules if isinstance(rules, list) else ():
        days = (rule.get("Expiration") or {}).get("Days")
        narrow = rule.get("Prefix") or any((rule.get("Filter") or {}).values())
        if rule.get("Status") == "Enabled" and days and days <= 7 and not narrow:
            return f"rule {rule.get('ID', '')} removes every object after {days} days"
    return ""


def _log_days(group: Json, world: World) -> str:
    days = group.get("retentionInDays")
    return "kept for ever" if days is None else f"kept for {days} days" if days < 7 else ""


def _runtime(function: Json, world: World) -> str:
    name = str(function.get("Runtime", ""))
    ends = _RUNTIMES.get(name, "9999")
    over = _OLD_RUNTIMES.fullmatch(name) or f"{world.ops.now():%Y-%m-%d}" > ends
    return f"{name} is deprecated" if name and over else ""


def _reserved(function: Json, world: World) -> str:
    said = function.get("concurrency")
    none = isinstance(said, dict) and said.get("ReservedConcurrentExecutions") == 0
    return "0: every request is turned away" if none else ""


def _triggers(function: Json, world: World) -> str:
    triggers = [each for each in function.get("triggers") or () if isinstance(each, dict)]
    off = [t.get("EventSourceArn", "") for t in triggers if t.get("State") == "Disabled"]
    return f"disabled: {', '.join(each.rpartition(':')[2] for each in off)}" if off else ""


def _listeners(topic: Json, world: World) -> str:
    said = topic.get("subscriptions")
    if said == UNREAD:
        return ""
    confirmed = [s for s in said or () if str(s["SubscriptionArn"]).startswith("arn:")]
    pending = f" ({len(said)} not confirmed)" if said else ""
    return "" if confirmed else f"nobody subscribes{pending}: its alarms tell nobody"


def _rotation(secret: Json, world: World) -> str:
    due = secret.get("NextRotationDate")
    late = due is not None and world.ops.now() - due > timedelta(days=1)
    on = secret.get("RotationEnabled")
    return f"it was due on {due:%Y-%m-%d}, and did not come" if on and late else ""


def _open(group: Json, world: World) -> str:
    databases = [*world.of("database cluster"), *world.of("database instance")]
    mine = [d for d in databases if world.name in str(d.get("VpcSecurityGroups"))]
    for rule in group.get("IpPermissions", ()) if mine else ():
        ranges = [
            each.get("CidrIp") or each.get("CidrIpv6")
            for each in (*rule.get("IpRanges", ()), *rule.get("Ipv6Ranges", ()))
        ]
        if {"0.0.0.0/0", "::/0"} & set(ranges):
            return f"lets every address in (port {rule.get('FromPort', 'any')})"
    return ""


_AWS = "https://docs.aws.amazon.com/"
_SQS = f"{_AWS}AWSSimpleQueueService/latest/SQSDeveloperGuide/"
_RDS = f"{_AWS}AmazonRDS/latest/UserGuide/"
_LAMBDA = f"{_AWS}lambda/latest/dg/"
_DATABASES = ("database cluster", "database instance")
RULES = (
    Rule(
        ("queue",),
        "VisibilityTimeout",
        "6 × the time-out of the function that it triggers",
        _visibility,
        f"{_LAMBDA}services-sqs-configure.html",
    ),
    Rule(
        ("queue",),
        "RedrivePolicy.maxReceiveCount",
        "5, where Lambda reads it; never 1",
        _receives,
        f"{_LAMBDA}services-sqs-configure.html",
    ),
    Rule(
        ("queue",),
        "RedrivePolicy.deadLetterTargetArn",
        "as the target's file says",
        _no_dead_letters,
        f"{_SQS}sqs-dead-letter-queues.html",
        "critical",
    ),
    Rule(
        ("queue",),
        "MessageRetentionPeriod",
        "dead letters are kept no shorter than in their source",
        _retention,
        f"{_SQS}sqs-dead-letter-queues.html",
    ),
    Rule(
        _DATABASES,
        "DeletionProtection",
        "on, in production",
        lambda of, world: "off" if _unprotected(of, world) else "",
        f"{_RDS}USER_DeleteInstance.html",
    ),
    Rule(
        _DATABASES,
        "PubliclyAccessible",
        "no",
        lambda of, world: "its name leads to a public address" * bool(of.get("PubliclyAccessible")),
        f"{_RDS}USER_VPC.WorkingWithRDSInstanceinaVPC.html",
        "critical",
    ),
    Rule(
        _DATABASES,
        "StorageEncrypted",
        "yes",
        lambda of, world: "not encrypted" * (of.get("StorageEncrypted") is False),
        f"{_RDS}Overview.Encryption.html",
    ),
    Rule(
        _DATABASES,
        "BackupRetentionPeriod",
        "not 0; 7 days in production",
        _backups,
        f"{_RDS}USER_WorkingWithAutomatedBackups.BackupRetention.html",
    ),
    Rule(
        ("database instance",),
        "CACertificateIdentifier",
        f"valid for {_CA_DAYS.days} days",
        _authority,
        f"{_RDS}UsingWithRDS.SSL-certificate-rotation.html",
    ),
    Rule(
        ("bucket",),
        "public access block",
        "all four on, unless the target's file says public",
        _public,
        f"{_AWS}AmazonS3/latest/userguide/access-control-block-public-access.html",
        "critical",
    ),
    Rule(
        ("bucket",),
        "lifecycle",
        "no rule that empties it within a week",
        _expiry,
        f"{_AWS}AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html",
        "critical",
    ),
    Rule(
        ("log group",),
        "retentionInDays",
        "7 days or more, not for ever",
        _log_days,
        f"{_AWS}AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html",
    ),
    Rule(
        ("function", "live version"),
        "Runtime",
        "not deprecated",
        _runtime,
        f"{_LAMBDA}lambda-runtimes.html",
    ),
    Rule(
        ("function",),
        "concurrency.ReservedConcurrentExecutions",
        "more than 0",
        _reserved,
        f"{_LAMBDA}configuration-concurrency.html",
        "critical",
    ),
    Rule(
        ("function",),
        "triggers",
        "enabled",
        _triggers,
        f"{_LAMBDA}invocation-eventsourcemapping.html",
    ),
    Rule(
        ("rule",),
        "State",
        "enabled",
        lambda of, world: "disabled: what it starts is not started" * (of["State"] == "DISABLED"),
        f"{_AWS}eventbridge/latest/userguide/eb-delete-rule.html",
    ),
    Rule(
        ("topic",),
        "subscriptions",
        "one that is confirmed",
        _listeners,
        f"{_AWS}AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html",
    ),
    Rule(
        ("secret",),
        "RotationEnabled",
        "rotated when it is due",
        _rotation,
        f"{_AWS}secretsmanager/latest/userguide/troubleshoot_rotation.html",
    ),
    Rule(
        ("security group",),
        "IpPermissions",
        "a database's lets no whole internet in",
        _open,
        f"{_AWS}vpc/latest/userguide/vpc-security-groups.html",
        "critical",
    ),
)


def judged(
    ops: Connection, described: Described, accepted: Callable[[tuple[str, str, str]], str]
) -> Iterator[Finding]:
    """A finding for each resource that breaks a rule and is not accepted; and one over all."""
    broken, taken = 0, []
    for (kind, name), of in described.found.items():
        world = World(ops, described.found, name)
        for rule in RULES if isinstance(of, dict) else ():
            if kind not in rule.kinds:
                continue
            asked = Question(f"{rule.setting} of {kind} {name}", rule.words, rule.source)
            try:
                seen = rule.wrong(of, world)
            except (LookupError, TypeError, ValueError, AttributeError) as exc:
                yield asked.answer("unknown", f"not understood: {type(exc).__name__}: {exc}")
                continue
            if seen and (why := accepted((kind, name, rule.setting))):
                taken.append(f"{asked.words} ({seen}; {why})")
            elif seen:
                broken += 1
                yield asked.answer(rule.status, f"{seen}. See {rule.source}")
    said = f"{len(RULES)} rules over {len(described.found)} resources: {broken} broken"
    said += f"; accepted: {'; '.join(taken)}" if taken else ""
    yield Question("rules of configuration", "kept", "describe calls").answer("ok", said)
