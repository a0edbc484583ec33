"""Backups of a table: on demand and to a point in time; a restore, and what it does not bring."""

import re
from datetime import timedelta
from typing import Any

import jmespath

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Plan,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    Thing,
    UsageError,
    Wait,
    answer,
    beside,
    check,
    dtypes,
    frame,
    moment,
    planner,
    result,
)
from opslib.core.plans.things import free_name
from opslib.core.times import is_relative
from opslib.tables.reading import TABLE, Table

BACKUPS = dtypes("""
    backup  str
    type    str
    status  str
    created utc
    size_mb float64
    arn     str
""")
_POINT = (
    "[ContinuousBackupsDescription.PointInTimeRecoveryDescription]"
    "[?PointInTimeRecoveryStatus == 'ENABLED'] | [0]"
)
LATEST = "latest"
_CREATED = "BackupDetails.BackupArn"
_SETTINGS = beside(__file__, "dynamodb")["settings"]


def list_backups(ops: Connection, table: str) -> Frame:
    """A table's backups, newest first: taken on demand, by DynamoDB and by AWS Backup.

    DynamoDB ListBackups. Columns: BACKUPS.
    """
    shape = "{backup: BackupName, type: BackupType, status: BackupStatus, arn: BackupArn, "
    shape += "created: BackupCreationDateTime, size_mb: BackupSizeBytes}"
    rows = ops.pages(
        "dynamodb",
        "list_backups",
        f"BackupSummaries[].{shape}",
        TableName=Table(ops, table).name,
        BackupType="ALL",
    )
    found = frame(rows, BACKUPS).sort_values("created", ascending=False, ignore_index=True)
    found["size_mb"] = (found["size_mb"] / 1e6).round(3)
    return found


def point_in_time(ops: Connection, name: str) -> Json:
    """Earliest and latest moment (DynamoDB DescribeContinuousBackups); empty where it is off."""
    found = Read("dynamodb", "describe_continuous_backups", _POINT, TableName=name).perform(ops)
    return dict(found or {})


@check("Can the tables be brought back?")
def check_backups(ops: Connection, table: str = "") -> Findings:
    """Point-in-time recovery of one table, or of all that the file names; else a recent backup."""
    return Findings(Table.each(ops, table, _restorable, "backups of {}"))


def _restorable(table: Table) -> Finding:
    ops, rule = table.ops, "to a moment, or a backup of the last day"
    asked = Question(f"{table.key} can be restored", rule, "dynamodb DescribeContinuousBackups")
    if told := point_in_time(ops, table.name):
        earliest, latest = (told[f"{of}RestorableDateTime"] for of in ("Earliest", "Latest"))
        seen = f"from {earliest:%Y-%m-%d %H:%M} to {latest:%Y-%m-%d %H:%M} UTC"
        return asked.judged(ops.now() - latest < timedelta(minutes=30), seen)
    found = list_backups(ops, table.key)
    usable = found[found["status"] == "AVAILABLE"]
    if usable.empty:
        return asked.critical("no recovery to a moment, and no backup", next="tables/backup")
    newest = usable.iloc[0]
    seen = f"no recovery to a moment; newest backup {newest['backup']}, "
    seen += f"{newest['created']:%Y-%m-%d %H:%M} UTC"
    return asked.judged(
        ops.now() - newest["created"] < timedelta(days=1),
        seen,
        otherwise="warn",
        next="tables/backup",
    )


@planner
def plan_backup(ops: Connection, table: str) -> Planned:
    """Take a backup on demand, named by table, day and a free number; undone by deleting it."""
    known = Table(ops, table)
    known.thing.describe(ops)
    name = free_name(f"{known.name}-{ops.now():%Y-%m-%d}-", list_backups(ops, table)["backup"])
    arn = result(f"backup.{_CREATED}")
    take = Step(
        f"Take backup {name}",
        Aws("dynamodb", "create_backup", TableName=known.name, BackupName=name),
        "absent",
        "creating",
        [Aws("dynamodb", "delete_backup", BackupArn=arn)],
        name="backup",
    )
    path = "BackupDescription.BackupDetails.BackupStatus"
    until = Wait("dynamodb", "describe_backup", path, ["CREATING"], ["AVAILABLE"], BackupArn=arn)
    wait = Step("Wait until it is available", until, None, "AVAILABLE", [])
    note = "The table goes on serving. The backup stays until it is deleted, and is paid for."
    return Planned(f"take a backup of {known.name}", [take, wait], [note])


@planner
def plan_restore(
    ops: Connection, table: str, backup: str = "", at: str = LATEST, to: str = ""
) -> Planned:
    """Restore into a new table: a backup by its name, or the table as of a moment (UTC, or latest).

    A backup goes before a moment that is left at "latest". `to`: the new table's name; empty: named
    by the day. Raises UsageError (no such backup, a moment outside of what can be restored, both
    given), Refused (a table of that name, recovery to a moment is off).
    """
    known = Table(ops, table)
    if backup and at != LATEST:
        raise UsageError("Say one: backup=… (a name from the list), or at=… (a moment, UTC).")
    new = Thing(TABLE, to or f"{known.name}_restored_{ops.now():%Y%m%d}")
    if not re.fullmatch(r"[\w.-]{3,255}", new.name, re.ASCII):
        raise UsageError(f"to={to!r} is no name of a table: 3 to 255 letters, digits, _ . and -.")
    if new.exists(ops):
        raise Refused(
            f"There is a table {new.name} already. Nothing was changed; say another: to=…"
        )
    do, what = (_from_backup if backup else _to_moment)(ops, known, backup or at, new.name)
    notes = [
        f"{known.name} stays as it is, and is what the app goes on using.",
        "A restore brings items, keys, indexes and capacity. It does not bring time to live, "
        "auto-scaling, streams, tags, alarms, recovery to a moment: after it, each is listed.",
    ]
    return Planned(
        f"restore {known.name} {what} into {new.name}",
        new.made(f"Make table {new.name} {what}", do),
        notes,
    )


def _from_backup(ops: Connection, table: Table, name: str, to: str) -> tuple[Action, str]:
    found = list_backups(ops, table.key)
    known = found[(found["backup"] == name) & (found["status"] == "AVAILABLE")]
    if known.empty:
        offered = ", ".join(found["backup"].head(5)) or "none"
        raise UsageError(
            f"{table.name} has no backup {name!r} that is available. There are: {offered}."
        )
    given = {"TargetTableName": to, "BackupArn": known.iloc[0]["arn"]}
    return Aws("dynamodb", "restore_table_from_backup", **given), f"from backup {name}"


def _to_moment(ops: Connection, table: Table, at: str, to: str) -> tuple[Action, str]:
    given = {"SourceTableName": table.name, "TargetTableName": to}
    operation = "restore_table_to_point_in_time"
    if is_relative(at):
        raise UsageError(
            f"at={at!r} is another moment each time that it is read; say the moment itself, in "
            f"UTC: {moment(at, ops.now()):%Y-%m-%dT%H:%M}."
        )
    if not (told := point_in_time(ops, table.name)):
        raise Refused(
            f"Recovery to a moment is off for {table.name}: only its backups can be "
            "restored. Nothing was changed."
        )
    if at == LATEST:
        do = Aws("dynamodb", operation, **given, UseLatestRestorableTime=True)
        return do, "as of the latest moment"
    earliest, latest = told["EarliestRestorableDateTime"], told["LatestRestorableDateTime"]
    when = moment(at)
    if not earliest <= when <= latest:
        raise UsageError(
            f"{when:%Y-%m-%d %H:%M} is outside of what can be restored: "
            f"{earliest:%Y-%m-%d %H:%M} to {latest:%Y-%m-%d %H:%M} UTC."
        )
    do = Aws("dynamodb", operation, **given, RestoreDateTime=when.isoformat())
    return do, f"as of {when:%Y-%m-%d %H:%M} UTC"


@check("What did the restore not bring?")
def check_restored(ops: Connection, table: str, plan: Plan) -> Findings:
    """Each setting of the table that a restore leaves out, as the table has it and the copy does
    that a plan of plan_restore makes.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CreateBackup.html
    """
    known, new = Table(ops, table), Thing(TABLE, plan.steps[0].do["parameters"]["TargetTableName"])
    old, copy = ops.gather(lambda: known.described, lambda: new.describe(ops))
    had, has = old.get("ItemCount", 0), copy.get("ItemCount", 0)
    asked = Question(f"items of {new.name}", "some, as the table has", "dynamodb DescribeTable")
    seen = f"{has:,} of {had:,} (DynamoDB counts every six hours)"
    found = [asked.judged(bool(has or not had), seen, otherwise="unknown")]
    for what, how in _SETTINGS.items():
        question = f"{what} of {new.name}"
        found.append(answer(question, _compared, ops, question, how, old, copy))
    return Findings(found)


def _compared(ops: Connection, question: str, how: Any, old: Json, copy: Json) -> Finding:
    was, now = (_setting(ops, table, *how) for table in (old, copy))
    asked = Question(question, f"{was or 'none'}, as the table has", "dynamodb")
    if was == now:
        return asked.ok(now or "none")
    return asked.warn(f"{now or 'none'}: set it before the app is given this table")


def _setting(ops: Connection, table: Json, path: str, *call: Any) -> str:
    """What a described table has of a setting, as dynamodb.yaml says where it is told."""
    if not call:
        return ", ".join(filter(None, jmespath.search(path, table)))
    service, operation, given = call
    named: Json = {
        key: [one.format_map(table) for one in of] if isinstance(of, list) else of.format_map(table)
        for key, of in given.items()
    }
    return ", ".join(ops.pages(service, operation, path.format_map(table), **named))
