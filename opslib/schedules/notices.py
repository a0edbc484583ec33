"""Who is told of what: once when it begins, once when it is over, and again when more is wrong."""

from datetime import datetime

from opslib.core import Json, OpsError, few, redaction
from opslib.core.text import plain
from opslib.records import copies, reading, records
from opslib.records.records import Record, Row
from opslib.schedules import channels, ledger
from opslib.schedules.channels import Message
from opslib.schedules.ledger import BEGUN, MISSED, RUNNING, Trouble
from opslib.schedules.schedules import Schedule

_MOST = 10  # names of what is critical, in a text


def trouble_of(record: Record) -> Trouble:
    """What a run's record says is wrong enough to tell somebody at once.

    `unknown`: every check; of what one check could not see, the report itself tells.
    """
    if record.outcome not in records.DONE:
        return Trouble("failed")
    try:
        found = reading.details(record).get("findings") or ()
    except OpsError:  # its row says enough
        found = ()
    if record.status == "critical":
        bad = [f for f in found if f.get("status") == "critical"]
        # With the check, since two queues can have one cause, and the second is to be told, too.
        named = {": ".join(filter(None, (f.get("cause"), f.get("check")))) for f in bad}
        return Trouble("critical", tuple(sorted(named)))
    if record.status == "unknown" and all(f.get("status") == "unknown" for f in found):
        return Trouble("unknown")
    return Trouble()


def tell(schedule: Schedule, target: str, row: Row | None, now: datetime) -> list[str]:
    """Tell each channel what it does not know yet; what did not get through, a line each.

    That is told again the next time: a channel counts as told when it took it.
    """
    if row is None or row["outcome"] in (BEGUN, RUNNING):
        return []
    trouble, failed = Trouble.read(row["trouble"]), []
    for name, channel in schedule.channels.items():
        key = {"schedule": schedule.name, "target": target, "channel": name}
        before = ledger.told_last(**key)
        if trouble == before:
            continue
        try:
            if trouble.is_news(before):
                channels.send(name, channel, message(schedule, target, row, trouble))
        except OpsError as exc:
            failed.append(f"{schedule.name} on {target}: {exc}")
        else:
            ledger.keep_told(trouble, now, **key)
    return failed


def message(schedule: Schedule, target: str, row: Row, trouble: Trouble) -> Message:
    """What is wrong, since when, and where the record is."""
    kind = trouble.kind or "recovered"
    subject = f"{kind}: {schedule.name} on {target}"
    lines = [
        subject,
        *([few(trouble.of, _MOST)] if trouble.of else []),
        row["said"],
        f"{schedule.runs}, due {row['due'][:16].replace('T', ' ')} UTC, told by {row['host']}",
    ]
    data: Json = {"schedule": schedule.name, "run": schedule.runs, "target": target}
    data |= {"trouble": kind, "of": [*trouble.of], "outcome": row["outcome"], "due": row["due"]}
    if id := row["record"]:
        place = f"{copies.where()}/{records.place(id).as_posix()}"
        lines += [f"record: {place}", f"opslib records show {id}"]
        data["record"] = place
    elif row["outcome"] == MISSED:
        lines.append("What runs the schedules? opslib schedule show")
    text = "\n".join(plain(redaction.mask(line)) for line in lines if line)
    return Message(plain(redaction.mask(subject)), f"{text}\n", redaction.mask_tree(data))
