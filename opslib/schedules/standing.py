"""How each schedule stands: its last run and how that ended, its next time, what it missed."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from opslib.core import Json
from opslib.core.times import as_iso
from opslib.schedules import ledger
from opslib.schedules.ledger import BEGUN, MISSED
from opslib.schedules.running import LOOKS_BACK
from opslib.schedules.schedules import Schedule


@dataclass(frozen=True)
class Standing:
    """A schedule on a target. `missed`: in the last 31 days, with those of now (`overdue`)."""

    schedule: str
    runs: str
    target: str
    when: str
    last: datetime | None
    outcome: str
    record: str
    next: datetime
    missed: int
    overdue: int
    notify: tuple[str, ...]

    def as_dict(self) -> Json:
        """For JSON."""
        return as_iso(asdict(self))


def standings(planned: list[Schedule], now: datetime) -> list[Standing]:
    return [_standing(each, target, now) for each in planned for target in each.targets]


def _standing(schedule: Schedule, target: str, now: datetime) -> Standing:
    known = ledger.rows(now - LOOKS_BACK, schedule=schedule.name, target=target)
    ran = [row for row in known if row["outcome"] not in (BEGUN, MISSED)]
    newest = ledger.latest(schedule.name, target)
    since = max(datetime.fromisoformat(newest["due"]), now - LOOKS_BACK) if newest else now
    until = now - timedelta(minutes=schedule.late_minutes)
    # Times that were due and are too late by now, and that no run-due has looked at.
    overdue = sum(at < until for at in schedule.when.between(since, now))
    last = ran[-1] if ran else None
    return Standing(
        schedule.name,
        schedule.runs,
        target,
        schedule.when.text,
        datetime.fromisoformat(last["at"]) if last else None,
        last["outcome"] if last else "never run",
        last["record"] if last else "",
        schedule.when.next(now),
        sum(row["times"] for row in known if row["outcome"] == MISSED) + overdue,
        overdue,
        tuple(schedule.channels),
    )
