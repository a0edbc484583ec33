"""Capacity of an Aurora Serverless v2 cluster: what it uses between its bounds, and other bounds.

In Aurora capacity units (ACU), each about 2 GiB of memory with the CPU that goes with it; they are
of each instance, not of the cluster:
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
"""

from datetime import timedelta
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Line,
    Panel,
    Planned,
    Plotted,
    Question,
    Refused,
    Step,
    UsageError,
    check,
    count,
    dtypes,
    frame,
    metrics,
    planner,
    sql,
    window,
)
from opslib.databases.instances import rds, states

AT_LIMIT = "capacity-at-limit"  # the cause that findings name
CAPACITY = dtypes("""
    instance         str
    acu              float64
    lowest           float64
    highest          float64
    at_limit_minutes Int64
    paused_minutes   Int64
    cpu_percent      float64
""")
_BOUNDS, _SERVERLESS = "ServerlessV2ScalingConfiguration", "db.serverless"
_LEAST, _MOST, _PAUSE = "MinCapacity", "MaxCapacity", "SecondsUntilAutoPause"
_MEMORY_GIB, _PERIOD, _BUSY_PERCENT = 2, 5, 80  # of an ACU, minutes of a point, of the CPU
_AT = 0.98  # of the upper bound
_METRICS = ("ServerlessDatabaseCapacity", "CPUUtilization")
_NOW = timedelta(minutes=metrics.RECENT_MINUTES)


@check("Is there capacity left?")
def check_capacity(ops: Connection, hours: float = 24) -> Findings:
    """Of each serverless instance: is it at the upper bound now, and how long was it there?

    Asked of CloudWatch alone, since a login would wake what is paused. Evidence: CAPACITY.
    """
    database, described, listed = rds.present(ops)
    bounds = described.get(_BOUNDS)
    served = rds.measured(ops, listed)
    names = [one[rds.NAME] for one in served if one["DBInstanceClass"] == _SERVERLESS]
    if not bounds or not names:
        return Findings(note=f"No capacity that could end: {database} has no serverless instance.")
    within = window(ops, hours * 60)
    asked = {
        (name, metric): ("AWS/RDS", metric, {rds.NAME: name}, "Average", 60 * _PERIOD)
        for name in names
        for metric in _METRICS
    }
    points = metrics.series(ops, asked, within)
    used, cpu = ([points[name, metric] for name in names] for metric in _METRICS)
    each = zip(names, used, cpu, strict=True)
    found, rows = zip(*(_looked(ops, name, bounds, *of) for name, *of in each), strict=True)
    lines = [Line(*of) for of in zip(names, used, strict=True)]
    limits = [("upper bound", bounds[_MOST]), ("lower bound", bounds[_LEAST])]
    panels = [Panel(f"Capacity of {database}", "ACU", lines, limits)]
    return Plotted(found, frame(rows, CAPACITY), f"{_said(bounds)}.", panels, within)


def _looked(ops: Connection, name: str, bounds: Json, used: Any, cpu: Any) -> tuple[Finding, Json]:
    """A finding on one instance by its two series, and its row of CAPACITY."""
    least, most, since = bounds[_LEAST], bounds[_MOST], ops.now() - _NOW
    recent, busy = used[used.index > since], cpu[cpu.index > since].max()
    full, paused = (_PERIOD * int(each.sum()) for each in (used >= _AT * most, used == 0))
    asked = Question(
        f"Capacity of {name}",
        f"below its upper bound, {most:g} ACU" if least < most else f"CPU below {_BUSY_PERCENT} %",
        "GetMetricData AWS/RDS ServerlessDatabaseCapacity",
    )
    figures = (used.min(), used.max(), full, paused, busy)
    row = dict(zip(CAPACITY, (name, None, *figures), strict=True))
    if recent.empty:
        return asked.unknown(f"no data for {metrics.RECENT_MINUTES} minutes"), row
    row["acu"] = now = float(recent.iloc[-1])
    seen = f"{now:.3g} of {most:g} ACU ({100 * now / most:.0f} %)"
    seen += f", at the bound for {full} minutes" * bool(full)
    if not now:
        seen = "0 ACU: paused. The next login wakes it, in 15 s or so, and longer after a day"
    seen += f"; CPU {busy:.0f} %" if busy == busy else "; its CPU is not known"
    short = busy > _BUSY_PERCENT
    well = bool((recent < _AT * most).any()) or (least == most and not short)
    if not (well or short):
        seen += ": memory or connections hold it there, nobody waits for the CPU"
    bad, follows = "critical" if short else "warn", "databases/capacity"
    return asked.judged(well, seen, otherwise=bad, cause=AT_LIMIT, next=follows), row


def _said(bounds: Json) -> str:
    least, most = bounds[_LEAST], bounds[_MOST]
    memory = f"about {_MEMORY_GIB * least:g} to {_MEMORY_GIB * most:g} GiB of memory"
    pauses = f"; pauses after {bounds[_PAUSE]} s without a session" if bounds.get(_PAUSE) else ""
    return f"{least:g} to {most:g} ACU an instance ({memory}{pauses})"


@planner
def plan_capacity(ops: Connection, least: str = "", most: str = "", pause: int = 0) -> Planned:
    """Other bounds, in ACU; empty: as it is. `pause`: seconds without a session, for least = 0.

    Raises UsageError (no cluster of Serverless v2, no such bound), Refused (not available).
    """
    database, described, before = _bounded(ops)
    after = _wanted(before, least, most, pause)
    if after == before:
        note = f"It has {_said(before)} already."
        return Planned(f"{database} keeps its capacity", notes=[note])
    _require_possible(ops, described, after)
    if (status := described["Status"]) != "available":
        raise Refused(f"{database} is {status}: RDS changes only one that is available. Wait.")
    step = Step(
        f"Give {database} {after[_LEAST]:g} to {after[_MOST]:g} ACU",
        database.put(_BOUNDS, after),
        before,
        after,
        [database.put(_BOUNDS, before)],
        database.read(_BOUNDS),
    )
    members = rds.members(ops, database, described)
    serving = sum(one["DBInstanceClass"] == _SERVERLESS for one in members)
    spent, was = (f"{serving * of[_LEAST]:g} to {serving * of[_MOST]:g}" for of in (after, before))
    notes = [
        f"Then: {_said(after)}. Before: {_said(before)}.",
        f"An hour costs {spent} ACU hours instead of {was} ({count(serving, 'instance')}).",
        "In force at once and without a restart, whatever else waits for the maintenance window. "
        "What is used follows: up within seconds, down in minutes.",
        "max_connections is as it was until each instance is restarted; it follows the upper "
        "bound (about 200 an ACU, 5,000 at most, 2,000 where the lower bound is below 1).",
        "Terraform will take it back unless its code says the same.",
    ]
    if not after[_LEAST]:
        notes.append("At 0 it pauses only while nobody is logged in: a pool keeps it awake.")
    return Planned(f"{database} between {after[_LEAST]:g} and {after[_MOST]:g} ACU", [step], notes)


@check("Has the cluster the bounds, and does it serve?")
def check_bounds(ops: Connection, least: str = "", most: str = "", pause: int = 0) -> Findings:
    """After a change: the bounds, its state, a login, and whether max_connections waits."""
    database, described, bounds = _bounded(ops)
    wanted = _wanted(bounds, least, most, pause)
    asked = Question(f"bounds of {database}", _said(wanted), "rds describe_db_clusters")
    found = Findings(asked.judged(bounds == wanted, _said(bounds)))
    found += [states.judged(database, described), states.login(ops)]
    limit = sql.value(ops, "SELECT current_setting('max_connections')")
    found.note = f"max_connections is {limit} now; what the bounds make of it holds after a restart"
    found.note += " of each instance (databases/health says whether one waits for it)."
    return found


def _bounded(ops: Connection) -> tuple[rds.Database, Json, Json]:
    """The target's cluster, as RDS describes it, and its bounds. Raises UsageError."""
    database = rds.database_of(ops)
    described = database.describe(ops)
    if bounds := described.get(_BOUNDS):
        return database, described, bounds
    raise UsageError(
        f"{database} has no bounds of capacity: they are Aurora Serverless v2's. An instance of "
        "RDS has a class instead (databases/scale), a cluster one for each of its instances."
    )


def _wanted(before: Json, least: str, most: str, pause: int) -> Json:
    """The bounds with what is given. Raises UsageError."""
    after = dict(before)
    for key, text in ((_LEAST, least), (_MOST, most)):
        try:
            after[key] = float(text or before[key])
        except ValueError:
            raise UsageError(f"{text!r} is no number of ACU. Write 0.5, 4 or 16.5.") from None
        if not (after[key] * 2).is_integer():
            raise UsageError(f"{text} ACU: bounds go in halves, as 0.5, 4 or 16.5.")
    if not after[_LEAST] <= after[_MOST]:
        raise UsageError(f"least = {after[_LEAST]:g} is above most = {after[_MOST]:g} ACU.")
    after.pop(_PAUSE, None)
    if after[_LEAST]:
        if pause:
            raise UsageError("pause is for least = 0: with more than that it never pauses.")
        return after
    return after | {_PAUSE: pause or before.get(_PAUSE) or 300}


def _require_possible(ops: Connection, described: Json, bounds: Json) -> None:
    """Within what RDS says of the engine's version. Raises UsageError."""
    engine = {key: described[key] for key in ("Engine", "EngineVersion")}
    told = ops.pages("rds", "describe_db_engine_versions", "DBEngineVersions[]", **engine)
    limits = (told[0].get("ServerlessV2FeaturesSupport") if told else None) or {}
    least, most = limits.get(_LEAST, 0.0), limits.get(_MOST, 256.0)
    if bounds[_LEAST] < least or not max(1.0, least) <= bounds[_MOST] <= most:
        raise UsageError(
            f"{' '.join(engine.values())} takes a lower bound of {least:g} or more, and an upper "
            f"one of 1 to {most:g} ACU; not {bounds[_LEAST]:g} to {bounds[_MOST]:g}."
        )
