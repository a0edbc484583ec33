"""Who did what: CloudTrail's events by resource, identity and event, beside logs and alarms."""

import re
from dataclasses import dataclass

from opslib import alarms
from opslib.changes.resources import data, named
from opslib.changes.trail import trails
from opslib.changes.trail.trails import Act, look_up
from opslib.core import (
    Connection,
    Findings,
    Json,
    OpsError,
    Panel,
    Plotted,
    Question,
    Window,
    check,
    count,
    dtypes,
    frame,
    log_lines,
    logs,
    window,
)

TIMELINE = dtypes("""
    time     utc
    source   str
    what     str
    resource str
    by       str
    address  str
    error    str
""")
_LOOKUPS, _EACH, _ALL = 120, 100, 1000  # lookups; events of each; of all that was changed
_KEY = re.compile(r"[A-Z0-9]{16,128}")


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
    """CloudTrail's events of a window, in the target's region and, for global services, in IAM's.

    `resource`: a name or a part of it: each that the target's file has so is looked up, whole, with
    what only read it; `all`; `who`: a user, a session, a role, an access key's id or an ARN;
    `address`: one, or its beginning. Without any: all that was changed, and the reads that
    strangers begin with; where not all changes could be read, each resource and rule, too.
    Raises UsageError.
    """
    read = _Read(ops, window(ops, minutes, since, until))
    known = sorted({name.split(" ")[0] for name in named(ops)})
    mine = known if resource in ("", logs.ALL) else [name for name in known if resource in name]
    mine += [resource] * (resource not in ("", logs.ALL, *mine))
    said = data("suspicions")
    if who:
        name = "AccessKeyId" if _KEY.fullmatch(who) else "Username"
        read.all(name, [who.split("/")[-1]])
    elif resource:
        read.all("ResourceName", mine)
    elif event:
        read.all("EventName", [event])
    else:
        read.all("ReadOnly", ["false"], _ALL)
        if read.unseen and read.acts:
            read.all("EventName", [e for of in said["rules"] for e in of.get("events", ())])
            read.all("ResourceName", mine)
        read.all("Username", ["root"])
        read.all("EventName", said["reads"])
        denied = {a.key for a in read.acts.values() if a.denied and not a.is_own(ops)} - {""}
        read.all("AccessKeyId", sorted(denied))  # all that those did
    acts = [
        act
        for act in read.acts.values()
        if not who or who in (act.by, act.key, act.of("userIdentity.arn"), act.principal)
        if not event or event in (act.name, act.what)
        if not resource or any(map(act.names, mine))
        if act.address.startswith(address)
    ]
    return Trail(read.within, sorted(acts, key=lambda act: act.time, reverse=True), read.unseen)


class _Read:
    """Lookups one after the other (AWS answers two a second), each event once, within a bound."""

    def __init__(self, ops: Connection, within: Window) -> None:
        self._ops, self.within, self._asked = ops, within, 0
        self.acts: dict[str, Act] = {}
        self.unseen: list[str] = []

    def all(self, name: str, values: list[str], most: int = _EACH) -> None:
        """Every event with one of these values; of global services, too."""
        for value in values:
            if self._asked >= _LOOKUPS:
                self.unseen.append(f"{name} {value} was not looked up: {_LOOKUPS} others were")
                continue
            found, trouble = look_up(self._ops, name, value, self.within, most)
            self.acts |= {act.of("eventID"): act for act in found}
            self._asked += 1
            self.unseen += [trouble] * (trouble not in ["", *self.unseen])


@check("What happened, in the order of time?")
def check_timeline(ops: Connection, trail: Trail) -> Findings:
    """Events, the first line of each kind of error, alarms' changes, runs of ours: one timeline.

    It judges nothing: ok, or unknown for a source that could not be read. Evidence: TIMELINE.
    """
    within, unseen = trail.within, [*trail.unseen]
    ours = [act for act in trails.own(ops.target.name, within.start) if act.time <= within.end]
    rows = [_row(act, "CloudTrail") for act in trail.acts if not act.is_noise]
    rows += [_row(act, "records") for act in ours]
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
    return [
        {"time": when, "source": "alarm", "what": said, "resource": name}
        for when, name, said in alarms.list_states(ops, within)
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
