"""Snapshots and backups of a database: which there are, whether they are well, taking one."""

import re
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

from opslib.core import (
    ABSENT,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Kind,
    NotFound,
    Planned,
    Question,
    Read,
    Step,
    Thing,
    UsageError,
    check,
    count,
    dtypes,
    few,
    frame,
    planner,
)
from opslib.core.plans.things import free_name
from opslib.databases.instances import rds

SNAPSHOTS = dtypes("""
    snapshot       str
    type           str
    status         str
    created        utc
    age_hours      float64
    size_gb        Int64
    encrypted      boolean
    engine_version str
""")
_SHAPE = """{
    snapshot: <key>, type: SnapshotType, status: Status, created: SnapshotCreateTime,
    size_gb: [AllocatedStorage][?@ > `0`] | [0], encrypted: not_null(StorageEncrypted, Encrypted),
    engine_version: EngineVersion
}"""
GAP = "snapshot-gap"  # the cause that findings name
_DAILY_HOURS = 26  # a day, and the length of a backup window
_DAY, _NAMED = timedelta(days=1), 5  # how many gaps are named
_SAID = 12  # of those that stay
_LAG = timedelta(minutes=30)  # RDS ships logs every five minutes


def list_snapshots(ops: Connection, days: float = 0) -> Frame:
    """The database's snapshots, newest first; with `days`, those of the last days only.

    Columns: SNAPSHOTS.
    """
    database = rds.database_of(ops)
    shape = _SHAPE.replace("<key>", database.snapshots.key)
    rows = database.snapshots.find_all(ops, shape, **database.key)
    found = frame(rows, SNAPSHOTS).sort_values(["created", "snapshot"], ascending=False)
    found["age_hours"] = ((ops.now() - found["created"]).dt.total_seconds() / 3600).round(1)
    recent = found[found["age_hours"] <= days * 24] if days else found
    return recent.reset_index(drop=True)


@check("Backups")
def check_backups(ops: Connection) -> Findings:
    """Are backups kept long enough, can each moment of that time be restored, is there a snapshot
    of today, and of each day before?

    Evidence: SNAPSHOTS of all that time.
    """
    database, wanted = rds.database_of(ops), ops.target["database"].get("backup_days", 0)
    described = database.describe(ops)
    retained = described.get("BackupRetentionPeriod") or 0
    found = list_snapshots(ops, max(7, retained, wanted))
    kept = _retention(database, described, wanted or 1)
    earliest, latest = window(ops, database, described)
    made = described.get("ClusterCreateTime") or described.get("InstanceCreateTime")
    since = ops.now() - timedelta(days=min(retained, wanted or retained))
    since = max(since, made) if made else since  # so far back there has to be something
    restorable = Question(
        f"{database} can be restored to a moment",
        f"from {since:%Y-%m-%d %H:%M} until {_LAG.seconds // 60} minutes ago",
        kept.source,
    )
    if latest is None:
        until = restorable.unknown("RDS names no latest restorable time")
    else:
        begins = f"from {earliest:%Y-%m-%d %H:%M} " if earliest else ""
        seen = f"{begins}to {latest:%Y-%m-%d %H:%M} UTC"
        short = earliest is not None and earliest > since + _DAY
        seen += "; it was kept for less until lately, or was off" * short
        late = ops.now() - latest > _LAG
        until = restorable.judged(
            not (late or short), seen, otherwise="critical" if late else "warn"
        )
    by_itself = bool(retained) and ops.now() - since >= timedelta(hours=_DAILY_HOURS)
    looked = [kept, until, _latest(database, found, by_itself)]
    return Findings([*looked, *([_daily(ops, found, since)] if by_itself else [])], found)


def _daily(ops: Connection, found: Frame, since: datetime) -> Finding:
    """Is there a snapshot of each day, taken by itself? A gap is of two days, for the backup window
    may have been moved; while a cluster is stopped none is taken.
    """
    source = f"rds {rds.database_of(ops).snapshots.describe}"
    asked = Question("A snapshot of each day, taken by itself", f"since {since:%Y-%m-%d}", source)
    usable = found[(found["type"] != "manual") & (found["status"] == "available")]
    times = [since, *sorted(usable["created"]), ops.now()]
    gaps = [
        f"{begin:%m-%d %H:%M} to {end:%m-%d %H:%M}"
        for begin, end in pairwise(times)
        if end - begin > 2 * _DAY
    ]
    by = ", ".join(f"{number} {kind}" for kind, number in usable["type"].value_counts().items())
    seen = f"{by or 'none'} in {(ops.now() - since) / _DAY:.0f} days"
    seen += f"; none from {few(gaps, _NAMED)}" if gaps else ""
    return asked.judged(not gaps, seen, otherwise="warn", cause=GAP, next="databases/snapshot")


def _retention(database: rds.Database, described: Json, wanted: int) -> Finding:
    days = described.get("BackupRetentionPeriod") or 0
    question, source = f"Backups of {database} are kept", f"rds {database.kind.describe}"
    return Question(question, f"{wanted} days", source).judged(
        days >= wanted,
        f"{days} days" if days else "no automated backups",
        otherwise="warn" if days else "critical",
    )


def window(
    ops: Connection, database: rds.Database, described: Json
) -> tuple[datetime | None, datetime | None]:
    """From when to when a restore to a point in time is possible.

    Of an instance only its backups say from when.
    """
    latest = described.get("LatestRestorableTime")
    if database.kind is rds.CLUSTER:
        return described.get("EarliestRestorableTime"), latest
    operation, items = "describe_db_instance_automated_backups", "DBInstanceAutomatedBackups"
    active = f"{items}[?Status == 'active']"  # not those of a deleted one of that name
    try:
        kept = ops.pages("rds", operation, f"{active}.RestoreWindow.EarliestTime", **database.key)
    except NotFound:
        kept = []
    return next(iter(kept), None), latest


def find_latest(ops: Connection) -> datetime | None:
    """The latest moment to which the target's database can be restored; None: RDS names none.

    Aurora keeps each moment continuously, an instance ships its logs every five minutes: that is
    newer than a snapshot of each day.
    """
    found: datetime | None = rds.database_of(ops).describe(ops).get("LatestRestorableTime")
    return found


def _latest(database: rds.Database, found: Frame, automated: bool) -> Finding:
    """The newest; one that was taken by hand does not count where RDS takes one each day."""
    asked = Question(
        f"Last snapshot of {database}",
        f"within {_DAILY_HOURS} hours" + (", taken by itself" if automated else ""),
        f"rds {database.snapshots.describe}",
    )
    usable = found[found["status"] == "available"]
    if usable.empty:
        return asked.critical("none in the last 7 days", next="databases/snapshot")
    newest = usable.iloc[0]
    seen = f"{newest['snapshot']} ({newest['type']}), {newest['age_hours']:.0f} hours ago"
    by_itself = usable[usable["type"] != "manual"]
    if automated and newest["type"] == "manual":
        seen += "; by itself " + (
            f"{by_itself['age_hours'].min():.0f} hours ago" if len(by_itself) else "none in 7 days"
        )
    judged = by_itself if automated else usable
    well, otherwise = bool((judged["age_hours"] <= _DAILY_HOURS).any()), "warn"
    if judged.empty:
        otherwise = "critical"
    return asked.judged(well, seen, otherwise=otherwise, next="databases/snapshot")


@planner
def plan_snapshot(ops: Connection, reason: str = "manual") -> Planned:
    """Take a snapshot, named by database, day and a free number, with `reason` as its tag."""
    database = rds.database_of(ops)
    database.describe(ops)  # nothing is planned for a database that is not there
    note = "The database goes on serving while it is taken. "
    note += "It stays until it is deleted, and is paid for."
    return Planned(f"take a snapshot of {database}", steps_for_snapshot(ops, reason), [note])


def steps_for_snapshot(ops: Connection, reason: str) -> list[Step]:
    """Take a snapshot and wait for it: how a change begins that may have to be taken back.

    Its name is `<database>-2026-11-22-1`: the day, and the first number that is free.
    """
    database = rds.database_of(ops)
    name = free_name(f"{database.name}-{ops.now():%Y-%m-%d}-", list_snapshots(ops)["snapshot"])
    new = Thing(database.snapshots, name)
    tags = [{"Key": "reason", "Value": reason}, {"Key": "by", "Value": "opslib"}]
    take = new.call(new.kind.create, **database.key, Tags=tags)
    return new.made(f"Take snapshot {new}", take)


_OURS = {"reason", "by"}  # tags of what is taken here


@planner
def plan_pruning(ops: Connection, days: float = 30, keep: int = 3) -> Planned:
    """Delete snapshots that were taken here and are older than so many days, but for the newest
    `keep`, and for each that somebody named, tagged or shared, or that is of another database.

    Raises UsageError: none would be kept.
    """
    if keep < 1 or days < 0:
        raise UsageError("keep is at least 1, for the newest is the way back; days are at least 0.")
    database = rds.database_of(ops)
    kind, described = database.snapshots, database.describe(ops)
    since = described.get("ClusterCreateTime") or described.get("InstanceCreateTime")
    listed = kind.find_all(ops, **database.key, SnapshotType="manual")
    listed.sort(key=lambda each: str(each.get("SnapshotCreateTime", "")), reverse=True)
    held = {each[kind.key]: _held(each, each[kind.key], since) for each in listed}
    ours = [each for each in listed if not held[each[kind.key]]]
    old = [
        each for each in ours[keep:] if each["SnapshotCreateTime"] <= ops.now() - timedelta(days)
    ]
    for at, each in enumerate(ours):
        held[each[kind.key]] = "younger" if at >= keep else "among the newest"
    held |= ops.each(partial(_shared, ops, kind), (each[kind.key] for each in old))
    steps, size = list[Step](), 0
    for each in old:
        name = each[kind.key]
        if held[name]:
            continue
        items = f"{kind.at.removesuffix('[0]')}[?{kind.key}=='{name}' && Status!='deleting']"
        there = Read("rds", kind.describe, f"{items}.Status | [0] || '{ABSENT}'", **database.key)
        taken = f"taken {each['SnapshotCreateTime']:%Y-%m-%d} for: {_tags(each).get('reason')}"
        size += each.get("AllocatedStorage") or 0
        steps.append(
            Step(
                f"Delete {name}, {taken}",
                Thing(kind, name).gone(),
                each["Status"],
                ABSENT,
                None,
                there,
            )
        )
    kept = [f"{name} ({why})" for name, why in held.items() if why]
    notes = [f"{size:,} GB at most are no longer paid for."] * bool(steps)
    notes += [f"Kept: {few(kept, _SAID)}."] * bool(kept)
    return Planned(f"delete {count(len(steps), 'snapshot')} of {database}", steps, notes)


def _tags(each: Json) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in each.get("TagList", ())}


def _held(each: Json, name: str, since: datetime | None) -> str:
    """Why one stays, however old it is; empty where nothing speaks for it."""
    tags = _tags(each)
    if each["Status"] != "available":
        return str(each["Status"])
    if tags.get("by") != "opslib" or not re.search(r"-\d{4}(-\d\d){2}-\d+$", name):
        return "not taken here"
    if other := {key for key in tags if not key.startswith("aws:")} - _OURS:
        return f"tagged {', '.join(sorted(other))}"
    before = since is not None and each["SnapshotCreateTime"] < since
    return "of a database of that name before this one" * before


def _shared(ops: Connection, kind: Kind, name: str) -> str:
    operation, of = (
        f"{kind.describe.removesuffix('s')}_attributes",
        kind.key.removesuffix("Identifier"),
    )
    path = f"{of}AttributesResult.{of}Attributes[?AttributeName=='restore'].AttributeValues[]"
    shared = Read("rds", operation, path, **{kind.key: name}).perform(ops)
    return f"shared with {', '.join(shared)}" if shared else ""
