"""Who did what: CloudTrail's events by resource, identity and event, beside logs and alarms."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from opslib.changes import trails
from opslib.changes.resources import data, declared, is_described
from opslib.changes.trails import Act, look_up
from opslib.core import (
    UTC_TIME,
    Connection,
    Findings,
    Json,
    OpsError,
    Panel,
    Plotted,
    Question,
    UsageError,
    Window,
    check,
    count,
    frame,
    window,
)
from opslib.core.reads import log_lines, logs

TIMELINE = {
    "time": UTC_TIME,
    "source": "str",
    "what": "str",
    "resource": "str",
    "by": "str",
    "address": "str",
    "error": "str",
}
_GLOBAL = "us-east-1"  # where IAM's, CloudFront's and the console's events are
_LOOKUPS, _EACH, _ALL = 60, 100, 1000  # lookups; events of each; of all that was changed
_KEY = re.compile(r"[A-Z0-9]{16,128}")
_TRACED = 5  # identities that were denied something: all that they did is looked up


@dataclass(frozen=True)
class Trail:
    """Events of a window, newest first, and why not all of them."""

    within: Window
    acts: list[Act]
    unseen: list[str]

    def __repr__(self) -> str:
        people = sorted({act.who for act in self.acts})
        said = (
            f"{count(len(self.acts), 'event')}, {self.within}, by {', '.join(people) or 'nobody'}"
        )
        return "; ".join([said, *self.unseen])


def read_trail(
    ops: Connection,
    resource: str = "",
    who: str = "",
    address: str = "",
    event: str = "",
    minutes: float = 1440,
    since: str = "",
    until: str = "",
) -> Trail:
    """CloudTrail's events of a window, in the target's region and, for global services, us-east-1.

    `resource`: a name or its beginning: each that the target's file has so is looked up, whole;
    `who`: a user, a session, an access key's id or an ARN; `address`: one, or a network. Without
    any: all that was changed, what names a resource of the target, reads that strangers begin with.
    Raises UsageError.
    """
    within = window(ops, minutes, since, until)
    network = _network(address)
    named = sorted({name.split(" ")[0] for _, name in (declared(ops) if is_described(ops) else ())})
    mine = [name for name in named if resource in name] if resource else named
    by_name = [
        ("ResourceName", name) for name in dict.fromkeys([*mine, *[resource] * bool(resource)])
    ]
    everywhere: list[tuple[str, str]] = []
    if who:
        everywhere = [("AccessKeyId" if _KEY.fullmatch(who) else "Username", who.split("/")[-1])]
        by_name = []
    elif resource:
        everywhere = []
    elif event:
        everywhere, by_name = [("EventName", event)], []
    else:
        reads = [("EventName", each) for each in data("suspicions.yaml")["reads"]]
        everywhere = [("ReadOnly", "false"), ("Username", "root"), *reads]
    read = _Read(ops, within)
    read.all(everywhere, everywhere=True)
    read.all(by_name)
    if not (who or resource or event):
        read.closely()
    acts = [
        act
        for act in read.acts.values()
        if not who or who in (act.by, act.key, act.of("userIdentity.arn"), act.principal)
        if not event or event in (act.name, act.what)
        if not resource or any(act.names(name) for name in [*mine, resource])
        if not network or _inside(act.address, network)
    ]
    return Trail(within, sorted(acts, key=lambda act: act.time, reverse=True), read.unseen)


class _Read:
    """Lookups one after the other (AWS answers two a second), each event once, within a bound."""

    def __init__(self, ops: Connection, within: Window) -> None:
        self._ops, self._within, self._asked = ops, within, 0
        self.acts: dict[str, Act] = {}
        self.unseen: list[str] = []

    def all(self, wanted: list[tuple[str, str]], everywhere: bool = False) -> bool:
        """Whether all was read."""
        whole = True
        regions = {self._ops.target.region, _GLOBAL} if everywhere else {self._ops.target.region}
        for at, (name, value) in enumerate(wanted):
            if self._asked >= _LOOKUPS:
                left = ", ".join(each for _, each in wanted[at:])
                self.unseen.append(f"not looked up, {_LOOKUPS} others were: {left}")
                return False
            for region in sorted(regions):
                most = _ALL if name == "ReadOnly" else _EACH
                found, trouble = look_up(self._ops.at(region), name, value, self._within, most)
                self.acts |= {act.of("eventID"): act for act in found}
                self._asked += 1
                if trouble and trouble not in self.unseen:
                    self.unseen.append(trouble)
                whole = whole and not trouble
        return whole

    def closely(self) -> None:
        """What rules ask for, where not all was read; all that those did who were denied."""
        if self.unseen and self.acts:
            rules = data("suspicions.yaml")["rules"]
            self.all([("EventName", each) for of in rules for each in of.get("events", ())], True)
        denied = (
            a.key for a in self.acts.values() if a.denied and a.key and not a.is_own(self._ops)
        )
        keys = [*dict.fromkeys(denied)]
        self.all([("AccessKeyId", key) for key in keys[:_TRACED]], everywhere=True)
        if len(keys) > _TRACED:
            self.unseen.append(f"{len(keys)} keys were denied something, {_TRACED} were looked up")


def _network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(address.strip(), strict=False) if address.strip() else None
    except ValueError as exc:
        raise UsageError(
            f"address={address!r} is neither an IP address nor a network like 203.0.113.0/24."
        ) from exc


def _inside(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


@check("What happened, in the order of time?")
def check_timeline(ops: Connection, trail: Trail) -> Findings:
    """Events, the first line of each kind of error, alarms' changes, runs of ours: one timeline.

    It judges nothing: ok, or unknown for a source that could not be read. Evidence: TIMELINE.
    """
    within, unseen = trail.within, [*trail.unseen]
    rows = [_row(act, "CloudTrail") for act in trail.acts]
    rows += [
        _row(act, "records")
        for act in trails.own(ops.target.name, within.start)
        if act.time <= within.end
    ]
    panels: list[Panel] = []
    for words, read in {"alarms": _alarms, "error logs": _errors}.items():
        try:
            more, drawn = read(ops, within, unseen)
        except OpsError as exc:
            unseen.append(f"{words}: {exc}")
        else:
            rows, panels = rows + more, panels + drawn
    rows.sort(key=lambda row: row["time"])
    counts = ", ".join(
        f"{sum(row['source'] == of for row in rows)} of {of}"
        for of in dict.fromkeys(row["source"] for row in rows)
    )
    asked = Question("timeline", "all of it is read", "CloudTrail, logs, alarms, records")
    seen = f"{counts or 'nothing'}, {within}"
    seen += f". Not seen: {'; '.join(unseen)}" if unseen else ""
    found = [asked.answer("unknown" if unseen else "ok", seen)]
    return Plotted(found, frame(rows, TIMELINE), "", panels, within)


def _row(act: Act, source: str) -> Json:
    return {
        "time": act.time,
        "source": source,
        "what": act.what,
        "resource": act.resource,
        "by": act.who,
        "address": act.address,
        "error": act.of("errorCode") or "",
    }


def _alarms(ops: Connection, within: Window, unseen: list[str]) -> tuple[list[Json], list[Panel]]:
    """Changes of state of the target's alarms (CloudWatch DescribeAlarmHistory)."""
    patterns = ops.target.facts.get("alarms", {}).get("patterns", ())
    if not patterns:
        return [], []
    items = ops.pages(
        "cloudwatch",
        "describe_alarm_history",
        "AlarmHistoryItems[].[Timestamp, AlarmName, HistorySummary]",
        HistoryItemType="StateUpdate",
        StartDate=within.start,
        EndDate=within.end,
    )
    return [
        {"time": when, "source": "alarm", "what": said, "resource": name}
        for when, name, said in items
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ], []


def _errors(ops: Connection, within: Window, unseen: list[str]) -> tuple[list[Json], list[Panel]]:
    """The first line of each kind of error with how many there were; and how many when."""
    if not {"functions", "logs"} & ops.target.facts.keys():
        return [], []
    lines = logs.search(ops, logs.ALL, logs.error_pattern(ops), within)
    unseen += [f"{name}: {exc}" for name, exc in lines.attrs["failed"].items()]
    unseen += [f"more than {logs.LIMIT:,} error lines of a log group"] * lines.attrs["cut"]
    return [
        {
            "time": kind.first_seen,
            "source": "logs",
            "what": f"{count(kind.count, 'line')}: {kind.example}",
            "resource": kind.sources,
        }
        for kind in log_lines.group_errors(lines).itertuples()
    ], logs.panels(lines, within)
