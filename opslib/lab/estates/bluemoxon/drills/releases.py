"""Drills that a deployment brought: a bad version, a configuration that drifted, a migration that was forgotten."""

from __future__ import annotations

from datetime import timedelta

from opslib.lab.estates.bluemoxon import lines, names
from opslib.lab.estates.bluemoxon.migrations import MIGRATIONS
from opslib.lab.places import Drill, Place
from opslib.lab.resources import functions
from opslib.lab.traffic import journals, releases

BAD, DRIFT, PENDING = "bad-version", "configuration-drift", "migration-pending"
_WORKER, _LOST, _TIMEOUT = "analysis-worker", "BEDROCK_MODEL", 60
_BAD_SINCE, _PENDING_SINCE, _DRIFT_SINCE = timedelta(minutes=60), timedelta(minutes=25), timedelta(hours=3)


def deploy_bad_version(place: Place) -> None:
    releases.deploy_bad(place, BAD, "api", place.now() - _BAD_SINCE)


def withdraw_bad_version(place: Place) -> None:
    releases.withdraw(place, BAD, "api")


def drift(place: Place) -> None:
    change = releases.settings(lost=[_LOST], timeout=_TIMEOUT)
    functions.deploy(place, DRIFT, _WORKER, place.now() - _DRIFT_SINCE, change)


def undrift(place: Place) -> None:
    functions.withdraw(place, DRIFT, _WORKER)


def deploy_ahead(place: Place) -> None:
    """Code that knows a column which the database does not have; only one page reads it."""
    functions.deploy(place, PENDING, "api", place.now() - _PENDING_SINCE, releases.same, MIGRATIONS.next)
    journals.retell(place)
    for minutes, book in ((21, 474), (13, 488), (3, 501)):
        when = place.now() - timedelta(minutes=minutes)
        line = lines.entry(
            "ERROR", when, method="GET", path=f"/api/v1/books/{book}/provenance", status=500, latency_ms=18.4,
            message="UndefinedColumn: column books.provenance does not exist",
        )  # fmt: skip
        journals.tell(place, "api", when, [(when, line)], 18.4)


def go_back(place: Place) -> None:
    releases.withdraw(place, PENDING, "api")
    with place.database(names.database(place)) as database:
        MIGRATIONS.downgrade(database, MIGRATIONS.head)


DRILLS = (
    Drill(
        BAD, "One request in four fails with 500 since the last deployment, an hour ago",
        "The newest version of the API fails on books without a binding.",
        deploy_bad_version, withdraw_bad_version,
        found_by=("functions/rollback", "reports/daily"),
    ),
    Drill(
        DRIFT, "A worker runs with other settings than the reference says",
        "A deployment by hand lowered its timeout and lost a variable.", drift, undrift,
        found_by=("functions/configuration", "reports/daily"),
    ),
    Drill(
        PENDING, "Pages that need a new column fail: the code is ahead of the database",
        "The last deployment brought a migration that nobody has run.", deploy_ahead, go_back,
        found_by=("databases/migrate",),
    ),
)  # fmt: skip
