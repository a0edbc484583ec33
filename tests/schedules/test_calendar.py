"""When something is due: cron's five fields, as cron itself reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from opslib.core import UsageError
from opslib.schedules import calendar


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "after", "next_"),
    [
        ("0 7 * * *", "2026-11-26 07:00", "2026-11-27 07:00"),
        ("*/15 * * * *", "2026-11-26 07:46", "2026-11-26 08:00"),
        ("5-59/20 8,20 * * *", "2026-11-26 08:25", "2026-11-26 08:45"),
        ("0 7 * * mon-fri", "2026-11-27 07:00", "2026-11-30 07:00"),
        ("0 7 * * 7", "2026-11-26 00:00", "2026-11-29 07:00"),
        ("0 0 1 jan *", "2026-11-26 00:00", "2027-01-01 00:00"),
        ("0 0 29 2 *", "2026-11-26 00:00", "2028-02-29 00:00"),
        ("0 0 13 * fri", "2026-11-26 00:00", "2026-11-27 00:00"),  # one of both is enough
        ("0 0 */2 * fri", "2026-11-26 00:00", "2026-11-27 00:00"),  # * is no day said: both
    ],
)
def test_the_next_time_is_crons(cron: str, after: str, next_: str) -> None:
    assert calendar.cron(cron).next(at(after)) == at(next_)


def test_a_time_of_day_on_some_days_is_said_as_cron() -> None:
    assert calendar.daily("07:05", ["mon", "sat"]).text == "5 7 * * mon,sat"
    assert calendar.daily("23:59").text == "59 23 * * *"


def test_between_leaves_out_its_beginning_and_holds_its_end() -> None:
    hourly = calendar.cron("0 * * * *")
    found = list(hourly.between(at("2026-11-26 22:00"), at("2026-11-27 01:00")))
    assert [each.hour for each in found] == [23, 0, 1]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("@daily", "has 1 fields; cron has five"),
        ("0 24 * * *", "'24' is no hour: from 0 to 23"),
        ("0 7 * * sat-sun", "'sat-sun' is no weekday: from 0 to 7, the smaller first"),
        ("0 7 L * *", "'l' is no day"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("0 0 31 2 *", "never comes"),
        ("-5 * * * *", "'-5' is no minute: write"),
    ],
)
def test_what_cron_would_not_read_is_refused(cron: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"(?i)") as refused:
        calendar.cron(cron)
    assert said in str(refused.value)
