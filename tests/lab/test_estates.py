"""An estate's files: what they may say, and what is told of a mistake in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto.rds.utils import valid_preferred_maintenance_window

from opslib import UsageError
from opslib.lab import places
from opslib.lab.estates.seeding import Application
from opslib.lab.estates.systems import System
from opslib.lab.forms import reading
from opslib.lab.forms.values import duration
from opslib.lab.resources.databases import rds
from opslib.lab.verbs import verbs

ESTATE = """\
database: {pool: 4, last_backup: 2h10m}
traffic:
  function: web
  routes:
    - [1.0, GET, /, 50]
environments:
  production: {database: {pool: 9}}
"""
DRILLS = """\
slow:
  title: Everything is slow
  cause: Somebody said so.
  found_by: [health/quick]
  does:
    - trouble: {since: 20m, factor: 4}
    - deny: [sqs:ListQueues]
"""


@pytest.fixture
def estate(tmp_path: Path) -> Callable[..., System]:
    """A system of these files."""

    def made(estate: str = ESTATE, drills: str = DRILLS) -> System:
        (tmp_path / "estate.yaml").write_text(estate)
        (tmp_path / "drills.yaml").write_text(drills)
        return System(tmp_path, Application())

    return made


def test_what_is_different_in_an_environment_is_laid_over_the_rest(
    estate: Callable[..., System],
) -> None:
    system = estate()
    staging, production = (system.data(name).database for name in ("staging", "production"))
    assert (staging.pool, production.pool) == (4, 9)
    assert staging.last_backup == production.last_backup == timedelta(hours=2, minutes=10)


def test_a_drill_touches_what_its_verbs_touch(estate: Callable[..., System]) -> None:
    (drill,) = estate().drills()
    assert (drill.name, drill.title, drill.found_by) == (
        "slow",
        "Everything is slow",
        ("health/quick",),
    )
    assert drill.touches == {"logs", "metrics", "sqs"}


def test_what_is_merged_into_a_part_may_be_said_anew_there(estate: Callable[..., System]) -> None:
    users = "users: {people: [&ada {email: a@b.c, role: viewer, days: 3}, {<<: *ada, days: 9}]}\n"
    people = estate(ESTATE + users).data("").users.people
    assert [(each.email, each.days) for each in people] == [("a@b.c", 3), ("a@b.c", 9)]


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("pool: 4", "poole: 4", 1, "database.poole: unknown key; did you mean 'pool'?"),
        (
            "2h10m",
            "soon",
            1,
            "database.last_backup: 'soon' is no duration: write it as 25m, 3h25m or 7d",
        ),
        (
            "[1.0, GET, /, 50]",
            "[much, GET, /, 50]",
            5,
            "traffic.routes.0.0: Input should be a valid number",
        ),
        (
            "  function: web\n",
            "  function: web\n  function: api\n",
            4,
            "key 'function' stands twice.",
        ),
        ("database: {", "database: ]{", 1, "not valid YAML"),
        ("database:", "databases:", 1, "databases: unknown key; did you mean 'database'?"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_line(
    estate: Callable[..., System], tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    with pytest.raises(UsageError) as told:
        estate(ESTATE.replace(old, new)).data("staging")
    assert str(told.value).startswith(f"{tmp_path}/estate.yaml:{line}: {said}")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "trouble:",
            "troubel:",
            6,
            "slow.does.0.troubel: Unknown verb 'troubel'. Did you mean 'trouble' or 'trail'?",
        ),
        (
            "factor: 4",
            "factr: 4",
            6,
            "slow.does.0.trouble.factr: unknown key; did you mean 'factor'?",
        ),
        (
            "{since: 20m, factor: 4}",
            "{since: 20}",
            6,
            "slow.does.0.trouble.since: 20 is no duration",
        ),
        ("deny: [sqs:ListQueues]", "deny: sqs:ListQueues", 7, "slow.does.1.deny.operations: "),
        ("  cause: Somebody said so.\n", "", 1, "slow.cause: is missing"),
        (
            "- deny: [sqs:ListQueues]",
            "- {deny: [a], open: {}}",
            7,
            "slow.does.1: one verb stands here",
        ),
    ],
)
def test_a_mistake_in_a_drill_is_told_with_its_file_and_line(
    estate: Callable[..., System], tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    with pytest.raises(UsageError) as told:
        list(estate(drills=DRILLS.replace(old, new)).drills())
    assert str(told.value).startswith(f"{tmp_path}/drills.yaml:{line}: {said}")


def test_verbs_are_taken_back_in_the_other_order_also_when_one_fails_half_way() -> None:
    done: list[str] = []

    class Told(verbs.Verb):
        def __init__(self, name: str) -> None:
            self.name = name

        def apply(self, stage: verbs.Stage) -> None:
            done.append(f"+{self.name}")
            if self.name == "fails":
                raise LookupError

        def undo(self, stage: verbs.Stage) -> None:
            done.append(f"-{self.name}")

    drill = verbs.made("d", [Told("a"), Told("b"), Told("fails")], title="", cause="")
    place: Any = SimpleNamespace(
        memory={}, now=lambda: None, backend=lambda name: SimpleNamespace(groups={})
    )
    with pytest.raises(LookupError):
        drill.apply(place)
    drill.undo(place)
    assert done == ["+a", "+b", "+fails", "-fails", "-b", "-a"]


def test_revisions_are_read_with_what_undoes_them(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text(
        "-- About it.\n\n-- revision 1: first\nCREATE TABLE a ();\n\n"
        "-- revision 2: second\nCREATE TABLE b ();\n-- undo\nDROP TABLE b;\n"
    )
    assert reading.revisions(tmp_path / "schema.sql") == [
        ("1", "first", "CREATE TABLE a ();", ""),
        ("2", "second", "CREATE TABLE b ();", "DROP TABLE b;"),
    ]


@pytest.mark.parametrize("system", ["bluemoxon", "loglineos"])
def test_each_drill_says_what_it_touches(system: str) -> None:
    for drill in places.load(system).drills:
        assert drill.touches <= TOUCHED
        assert drill.touches


TOUCHED = {
    "logs",
    "metrics",
    "api",
    "database",
    "lambda",
    "sqs",
    "s3",
    "cognito",
    "ec2",
    "rds",
    "secrets",
    "acm",
    "sns",
}


def test_durations_are_days_hours_minutes_and_seconds() -> None:
    assert duration("1d2h3m4s") == timedelta(days=1, hours=2, minutes=3, seconds=4)


@pytest.mark.parametrize("window", ["sun:06:00-sun:06:30", "wed:23:45-thu:00:15"])
def test_at_no_minute_of_the_day_a_backup_reaches_into_the_maintenance(window: str) -> None:
    refused = 0
    for minute in range(24 * 60):
        said = datetime(2026, 11, 26, tzinfo=UTC) + timedelta(minutes=minute)
        begins = rds.before_maintenance(said, window)
        assert timedelta() <= said - begins <= timedelta(hours=1, minutes=1)
        assert not valid_preferred_maintenance_window(window, _window(begins)), f"{said:%H:%M}"
        moved, wrong = begins != said, valid_preferred_maintenance_window(window, _window(said))
        assert moved or not wrong
        refused += bool(wrong)
    assert refused >= 60


def _window(begins: datetime) -> str:
    return f"{begins:%H:%M}-{begins + timedelta(minutes=30):%H:%M}"
