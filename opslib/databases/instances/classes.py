"""RDS instances: how one is sized and loaded, and another class for it, now or in its window."""

from opslib.core import (
    Action,
    Connection,
    Findings,
    Frame,
    Json,
    Planned,
    Question,
    Refused,
    Step,
    UsageError,
    check,
    dtypes,
    frame,
    metrics,
    planner,
    window,
)
from opslib.databases.instances import rds, states

LOAD = dtypes("""
    metric  str
    unit    str
    average float64
    lowest  float64
    highest float64
    says    str
""")
NOW, WINDOW = "now", "window"
_CLASS = "DBInstanceClass"
_NOTHING = "nothing waits"
_WAIT_SECONDS = 5400  # a class with other storage may take an hour
_NONE_WAITS = Question("Nothing waits to be applied", "nothing", "rds PendingModifiedValues")
_LOAD = rds.told("load")


@check("How is the instance sized?")
def check_size(ops: Connection) -> Findings:
    """Class, zones, the maintenance window, and what waits for it already.

    Evidence: states.WAITING.
    """
    database, described = rds.instance_of(ops)
    rows = frame(states.waiting(ops, database, [described]), states.WAITING)
    zones = "Multi-AZ" if described.get("MultiAZ") else "one zone"
    note = f"{described[_CLASS]}, {zones}; changes wait for {rds.window_of(described)}."
    state = states.judged(database, described)
    changes = ", ".join(rows["change"])
    seen = f"{changes}: what is applied at once applies it, too" if changes else "nothing"
    waits = _NONE_WAITS.judged(not changes, seen, otherwise="warn")
    return Findings([state, waits], rows if changes else None, note)


def list_load(ops: Connection, hours: float = 24) -> Frame:
    """What CloudWatch says of the load over the last hours, by averages of five minutes.

    Columns: LOAD.
    """
    instance = rds.database_of(ops).key
    asked = {name: ("AWS/RDS", name, instance, "Average") for name in _LOAD}
    found = metrics.series(ops, asked, window(ops, hours * 60))
    rows = [
        (name, unit, *(found[name] / divisor).agg(["mean", "min", "max"]).round(2), says)
        for name, (divisor, unit, says) in _LOAD.items()
    ]
    return frame(rows, LOAD)


@planner
def plan_class(ops: Connection, instance_class: str, when: str = WINDOW) -> Planned:
    """Another class, `now` (ApplyImmediately, an interruption) or in the maintenance `window`.

    The present class as the wanted one takes back a class that waits. Raises UsageError (no such
    class, `when` unknown), Refused (not available; a way back that would apply something else).
    """
    if not instance_class:
        raise UsageError("No class is given. Give instance_class, as db.r6g.2xlarge.")
    if when not in (NOW, WINDOW):
        raise UsageError(f"when = {when!r} is neither {NOW!r} nor {WINDOW!r}.")
    database, described = rds.instance_of(ops)
    present, (waits, others) = described[_CLASS], rds.waiting(described, _CLASS)
    if instance_class == (waits or present) and (when == WINDOW or not waits):
        note = f"It is {present}, and {waits or 'no other class'} waits, already."
        return Planned(f"{database} becomes {instance_class} as it is", notes=[note])
    if (status := described["DBInstanceStatus"]) != "available":
        asks = (
            "Wait."
            if status in rds.INSTANCE.pending
            else "What its state asks for: databases/health."
        )
        asks = "Give it storage first: databases/storage." if status == "storage-full" else asks
        raise Refused(f"{database} is {status}: RDS changes only one that is available. {asks}")
    if instance_class == present:
        if others:
            raise Refused(
                "RDS takes a waiting class back only with ApplyImmediately, which would also apply "
                f"{others}. Nothing was changed. Decide about that first, or choose a class for "
                "the window."
            )
        title = f"Keep {present}: {waits} no longer waits"
        step = _waiting(database, present, waits, None, title)
        return Planned(f"take back {waits} of {database}", [step])
    rds.zones_of_class(ops, described, instance_class)  # raises when there is no such class
    soon = "at once" if when == NOW else "in the maintenance window"
    if when == NOW:
        also = f", AND APPLY WHAT WAITS: {others}" if others else ""
        titles = (
            f"Change {database} to {instance_class} at once{also}",
            f"Wait until it is {instance_class} and available",
        )
        steps = database.changed(_CLASS, present, instance_class, titles, seconds=_WAIT_SECONDS)
    else:
        title = f"Let {database} become {instance_class} {soon}"
        steps = [_waiting(database, present, waits, instance_class, title, bool(others))]
    summary = f"{database} from {present} to {instance_class}, {soon}"
    return Planned(summary, steps, _notes(described, when == NOW, others))


def _waiting(
    database: rds.Database,
    present: str,
    waits: str | None,
    wanted: str | None,
    title: str,
    others: bool = False,
) -> Step:
    """Another class waits for the window, or none.

    No way back where others wait: RDS forgets a value only with what applies those.
    """

    def let_wait(name: str | None) -> Action:
        if name:
            return database.put(_CLASS, name, ApplyImmediately=False)
        return database.put(_CLASS, present)

    return Step(
        title,
        do=let_wait(wanted),
        before=waits or _NOTHING,
        after=wanted or _NOTHING,
        undo=[let_wait(waits)] if waits or not others else None,
        observe=database.read(f"PendingModifiedValues.{_CLASS} || '{_NOTHING}'"),
    )


def _notes(described: Json, now: bool, others: str) -> list[str]:
    away = (
        "Multi-AZ: it fails over, and every connection ends; about a minute without a database."
        if described.get("MultiAZ")
        else "One zone: the database is AWAY for several minutes."
    )
    replicas = ", ".join(described.get("ReadReplicaDBInstanceIdentifiers") or ())
    said = {
        f"LOOK: ApplyImmediately also applies {others}, which waits for the window. "
        "Undo brings back the class only, not that.": now and others,
        f"{'Now' if now else 'Then'}: {away}": True,
        f"It waits for {rds.window_of(described)}.": not now,
        f"In the same window: {others}. It cannot be undone here: RDS takes a waiting value back "
        "only with ApplyImmediately, which would apply that at once.": not now and others,
        f"The read replicas keep their class: {replicas}.": replicas,
        "Undo is applied at once, too, with all that waits by then: look again before it.": now,
        "Terraform will take it back unless its code says the same.": True,
    }
    return [note for note, holds in said.items() if holds]


@check("Has the instance the class, or does it wait?")
def check_class(ops: Connection, instance_class: str, when: str = WINDOW) -> Findings:
    """After a change. `now`: the class is there, nothing waits, a login works.

    `window`: it waits, and it serves.
    """
    database, described = rds.instance_of(ops)
    present, status = described[_CLASS], described["DBInstanceStatus"]
    waits, _ = rds.waiting(described, _CLASS)
    if when == NOW or present == instance_class:  # in the window: a waiting class was taken back
        held = present == instance_class and not waits
        rule = f"{instance_class}, and no class waits"
    else:
        held, rule = waits == instance_class, f"{instance_class} waits for the window"
    seen = f"{present}, {status}; {waits or 'no class'} waits for {rds.window_of(described)}"
    asked = Question(f"class of {database}", rule, "rds describe_db_instances")
    found = asked.judged(held and status in database.kind.serving, seen)
    return Findings([found, states.login(ops)])
