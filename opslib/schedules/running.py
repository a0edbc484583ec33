"""What is due is run: one run-due at a time, each time once, and what was missed is found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.core import OpsError, UsageError, redaction
from opslib.records import interruptions, reading
from opslib.records.records import Record, Row
from opslib.runs import runs
from opslib.runs.batches.items import Progress
from opslib.schedules import ledger, notices, schedules
from opslib.schedules.calendar import When
from opslib.schedules.ledger import BEGUN, MISSED, RUNNING, Now, Trouble, Turn
from opslib.schedules.schedules import Schedule

LOOKS_BACK = timedelta(days=31)  # what was missed before that is not counted
_BESIDE = 10  # minutes of a turn beside the run: to begin, to seal, to tell


@dataclass
class Done:
    """What a run-due did: records, times missed, channels not told, what is wrong in files."""

    ran: list[Record] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def now_utc() -> datetime:
    return datetime.now(UTC)


def due(
    when: When, late_minutes: int, last: datetime, now: datetime
) -> tuple[datetime | None, list[datetime]]:
    """Of the times since the last: the one to run now, and those that were missed.

    Of several only the newest is caught up, and only while it is not too late for it.
    """
    times = [*when.between(max(last, now - LOOKS_BACK), now)]
    if times and now - times[-1] <= timedelta(minutes=late_minutes):
        return times[-1], times[:-1]
    return None, times


def run_due(
    now: Now = now_utc,
    *,
    only_look: bool = False,
    progress: Progress | None = None,
) -> Done:
    """Run what is due since the last time, and tell who is to be told.

    `only_look`: run nothing, find what was missed; for a second machine that watches the first.
    Raises Busy (another is at it), OpsError (the index does not answer).
    """
    planned, wrong = schedules.read()
    done, turn = Done(wrong=wrong), Turn(now)
    turn.take(_BESIDE)
    try:
        _close_abandoned()
        for schedule in planned:
            _one(schedule, done, turn, now, None if only_look else progress or _silent)
    finally:
        turn.give_back()
    return done


def _silent(*_: Any) -> Any:
    return lambda *_: None


def _one(
    schedule: Schedule,
    done: Done,
    turn: Turn,
    now: Now,
    progress: Progress | None,
) -> None:
    waiting: dict[str, datetime] = {}
    for target in schedule.targets:
        newest = ledger.latest(schedule.name, target)
        if newest is None:  # of what is new nothing was due before
            ledger.enter(schedule.name, target, now(), now(), outcome=BEGUN)
            continue
        last = datetime.fromisoformat(newest["due"])
        at, missed = due(schedule.when, schedule.late_minutes, last, now())
        if missed and (at is None or progress is not None):
            done.missed += _missed(schedule, target, missed, now())
        if at is not None and progress is not None:
            waiting[target] = at
    done.untold += _told(schedule, now)
    if waiting and progress is not None:
        turn.keep(schedule.timeout_minutes + _BESIDE)
        _run(schedule, waiting, done, now, progress)
        turn.keep(_BESIDE)
        done.untold += _told(schedule, now)


def _missed(schedule: Schedule, target: str, at: Sequence[datetime], now: datetime) -> list[str]:
    first, last = (f"{each:%Y-%m-%d %H:%M}" for each in (at[0], at[-1]))
    often = f"{len(at)} times, from {first} to {last}" if len(at) > 1 else first
    said = f"It was due {often} UTC and was not run."
    entered = ledger.enter(
        schedule.name,
        target,
        at[-1],
        now,
        outcome=MISSED,
        said=said,
        times=len(at),
        trouble=str(Trouble(MISSED)),
    )
    return [f"{schedule.name} on {target}: {said}"] * entered


def _told(schedule: Schedule, now: Now) -> list[str]:
    failed = []
    for target in schedule.targets if schedule.channels else ():
        newest = ledger.latest(schedule.name, target)
        failed += notices.tell(schedule, target, newest, now())
    return failed


def _run(
    schedule: Schedule,
    waiting: dict[str, datetime],
    done: Done,
    now: Now,
    progress: Progress,
) -> None:
    """Run it on all that wait, at the same time; one that cannot begin keeps no other from it."""
    mine = [
        target
        for target, at in waiting.items()
        if ledger.enter(schedule.name, target, at, now(), outcome=RUNNING)
    ]
    running = ledger.rows(schedule=schedule.name, outcome=RUNNING)
    rows = {row["target"]: row for row in running}
    if not mine:
        return
    for target, record in _records(schedule, mine, progress).items():
        if isinstance(record, Record):
            done.ran.append(record)
            _close(rows[target], record)
        else:
            done.failed.append(f"{schedule.name} on {target}: {record}")
            _close_failed(rows[target], str(record))


def _records(
    schedule: Schedule, on: Sequence[str], progress: Progress
) -> dict[str, Record | OpsError]:
    def run(*targets: str) -> list[Record]:
        return runs.run_many(
            [schedule.runs],
            targets,
            schedule.parameters,
            timeout_seconds=schedule.timeout_minutes * 60,
            progress=progress,
        )

    try:
        return dict(zip(on, run(*on), strict=True))
    except UsageError as exc:
        if len(on) == 1:
            return {on[0]: exc}
    except (OpsError, RuntimeError, TimeoutError) as exc:
        return dict.fromkeys(on, OpsError(str(exc)))
    return {target: _records(schedule, [target], progress)[target] for target in on}


def _close(row: Row, record: Record) -> None:
    ledger.close(
        row,
        outcome=record.outcome,
        record=record.id,
        said=record.verdict or "",
        trouble=str(notices.trouble_of(record)),
    )


def _close_failed(row: Row, said: str) -> None:
    failed = Trouble("failed")
    ledger.close(row, outcome="failed", said=redaction.mask(said), trouble=str(failed))


def _close_abandoned() -> None:
    """Runs whose run-due was killed: what their records say, else that there is none."""
    left = ledger.rows(outcome=RUNNING)
    if left:
        interruptions.close_abandoned()
    for row in left:
        since = datetime.fromisoformat(row["at"])
        began = [r for r in reading.list_records(row["target"], since) if r.ended]
        runs = {each.runs for each in schedules.read()[0] if each.name == row["schedule"]}
        named = [r for r in began if r.name in runs]
        if named:
            _close(row, named[-1])
        else:
            _close_failed(row, f"It was begun on {row['host']} and left no record.")
