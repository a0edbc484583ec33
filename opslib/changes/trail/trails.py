"""Who did something: CloudTrail's events, and what our own records did."""

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from opslib import records
from opslib.changes.histories import details
from opslib.core import Connection, Json, OpsError, Window, clock, cut, decoded, identities

# What services do by themselves all day, and what changes data only.
_NOISE = re.compile(
    r"CreateLogStream|AssumeRole\w*|\w*NetworkInterface|Decrypt|GenerateDataKey\w*|\w*(InitiateAuth|AuthChallenge)"
    r"|(Put|Send|Receive|Delete)(LogEvents|MetricData|Message\w*)|StartQuery|StopQuery"
    r"|Sign(Up|In)|Invoke\w*"
)
_DEPLOYS = re.compile(
    r"UpdateFunctionCode|PublishVersion|UpdateAlias|RegisterTaskDefinition|(Create|Update)Service"
    r"|CreateDeployment|ExecuteChangeSet|(Create|Update)Stack|StartPipelineExecution"
)
_DENIED = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|Forbidden")
_FIRST = "values(requestParameters || `{}`)[?type(@) == 'string'] | [:1]"
KEPT = timedelta(days=90)
_APART = timedelta(hours=1)  # one release makes several such events
_MOST = 250  # events; AWS answers two calls of 50 in a second


class Act(NamedTuple):
    """Something that was done. `text`: all that was said of it, to find names in; `said`: the
    record of an event, as CloudTrail has it.
    """

    time: datetime
    what: str
    by: str
    text: str
    said: Json | None = None

    def names(self, name: str) -> bool:
        """Does it name a resource? Of an ARN or a path the end counts."""
        words = name.split(" ")
        telling = {word for word in words if "-" in word} | {max(words, key=len)}
        ends = (re.escape(word.removeprefix("/aws/lambda/").split("/")[-1]) for word in telling)
        return re.search(rf"(?<![\w.-])({'|'.join(ends)})(?![\w-])", self.text) is not None

    @property
    def name(self) -> str:
        """What was called, without the version of the API that Lambda's events end with."""
        return re.sub(r"20\d{6}(v\d+)?$", "", self.what)

    @property
    def principal(self) -> str:
        """Whose rights: a user's, or a role's; of single sign-on the person's."""
        role = self.of("userIdentity.sessionContext.sessionIssuer.userName") or ""
        return f"role {role}" if role and not role.startswith("AWSReservedSSO_") else self.by

    @property
    def key(self) -> str:
        return self.of("userIdentity.accessKeyId") or ""

    @property
    def who(self) -> str:
        """Identity and key, of which both ends tell enough."""
        return (
            f"{self.principal} (key {self.key[:4]}…{self.key[-4:]})" if self.key else self.principal
        )

    @property
    def address(self) -> str:
        return self.of("sourceIPAddress") or ""

    @property
    def denied(self) -> bool:
        return bool(_DENIED.search(self.of("errorCode") or ""))

    @property
    def resource(self) -> str:
        """What it was about: as CloudTrail names it, else the first text that it was given."""
        return cut(", ".join(self.of("Resources") or self.of(_FIRST) or ()), 200)

    @property
    def is_noise(self) -> bool:
        return bool(_NOISE.fullmatch(self.what))

    def is_own(self, ops: Connection) -> bool:
        """Whether the login did it that we use now."""
        return bool(self.of("userIdentity.arn") == ops.identity.arn)

    @property
    def deploys(self) -> bool:
        """Whether it brings a release: by its name, or by Terraform."""
        return bool(_DEPLOYS.fullmatch(self.name)) or "Terraform" in str(self.of("userAgent"))

    def of(self, path: str) -> Any:
        """JMESPath into its record."""
        import jmespath

        return jmespath.search(path, self.said or {})


def look_up(
    ops: Connection, name: str, value: str, within: Window | None = None, most: int = _MOST
) -> tuple[list[Act], str]:
    """Events with one attribute (CloudTrail LookupEvents), newest first; and why not all of them.

    In the target's region and in the one that has the only copy of what global services were told.
    The value is compared whole: the beginning of a name finds nothing. What reads and writes data
    (objects, items, invocations) is in none, nor is anything older than 90 days; without a window,
    all that is known.
    """
    asked: Json = {"LookupAttributes": [{"AttributeKey": name, "AttributeValue": value}]}
    if within:
        asked |= {"StartTime": within.start, "EndTime": within.end}
    acts, unseen = list[Act](), list[str]()
    for region in dict.fromkeys([ops.target.region, identities.home(ops.target.region)]):
        try:
            found = ops.at(region).pages("cloudtrail", "lookup_events", "Events[]", most, **asked)
        except OpsError as exc:
            unseen.append(str(exc))
            continue
        acts += map(_act, found)
        if len(found) >= most:
            first = clock(found[-1]["EventTime"], ops.now())
            unseen.append(
                f"only the last {most} events with {name} {value} were read in {region}, those "
                f"since {first}"
            )
    return sorted(acts, key=lambda act: act.time, reverse=True), "; ".join(unseen)


def _act(event: Json) -> Act:
    whole = event.get("CloudTrailEvent", "")
    said = decoded(whole, {})
    named = [each["ResourceName"] for each in event.get("Resources", ())]
    said = (said if isinstance(said, dict) else {}) | {"Resources": named}
    text = f"{whole} {event.get('Resources')}"
    who = event.get("Username") or said.get("userIdentity", {}).get("type") or "somebody"
    return Act(event["EventTime"], event["EventName"], who, text, said)


def events(ops: Connection, start: datetime, end: datetime) -> tuple[list[Act], str]:
    """What was written in the account and region, newest first; and why not all of it is known."""
    found, trouble = look_up(ops, "ReadOnly", "false", Window(start, end))
    return [act for act in found if not (act.is_noise or act.of("errorCode"))], trouble


def did(ops: Connection, event: str, until: datetime) -> set[str]:
    """Those who did it in the 90 days before."""
    within = Window(until - KEPT, until)
    return {act.principal for act in look_up(ops, "EventName", event, within)[0]}


def is_usual(ops: Connection, act: Act, known: Any) -> bool:
    """Whether a service did it, or a pipeline that did it before: by a key or a role of its own.

    Not who uses the console or single sign-on, nor the login that we use now. `known`: `did`, which
    one who asks of many differences of one act keeps.
    """
    person = act.principal == act.by and act.of("userIdentity.type") == "AssumedRole"
    if person or act.is_own(ops) or act.of("sessionCredentialFromConsole"):
        return False
    before = known(act.what, act.time - _APART)
    return act.principal in before or bool(act.of("userIdentity.invokedBy"))


def own(target: str, since: datetime) -> list[Act]:
    """What runs of ours applied here, newest first."""
    found = []
    for record in records.list_records(target=target, since=since):
        said = details(record)
        if any(step.get("state") == "applied" for step in said.get("steps", ())):
            text = json.dumps([said["plan"], said["steps"]], default=str)
            by = f"{record.who}, record {record.id}"
            found.append(Act(record.started, record.name, by, text))
    return found


def newest(
    acts: Iterable[Act], name: str, setting: str, services: set[str], noun: str
) -> Act | None:
    """The newest that names a resource; of several the one that also names the setting, else what
    it is a part of, as `functionconfiguration`.

    Of CloudTrail's only what one of the services was told: a name may be several things'.
    """
    told = {f"{service}.amazonaws.com" for service in services} | {None}
    about = [act for act in acts if act.of("eventSource") in told and act.names(name)]
    named = (act for act in about if setting and setting in act.text)
    alike = (act for act in about if noun in act.name.lower())
    return next(chain(named, alike, about), None)
