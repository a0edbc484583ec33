"""Capacity of Aurora Serverless v2: at its bound or not, and other bounds for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from opslib import UsageError, connect
from opslib.core.connections.connection import Connection
from opslib.databases.instances import capacities, classes, conditions
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo_last

KEY, TARGET = "dms-dev", "lab/dms-dev"
NAME = "dms-cluster-dev"
NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
BOUNDS = {"MinCapacity": 0.5, "MaxCapacity": 2.0}
FIXED = {"MinCapacity": 2.0, "MaxCapacity": 2.0}
SLEEPY = {"MinCapacity": 0.0, "MaxCapacity": 2.0, "SecondsUntilAutoPause": 300}


def series(*values: float) -> Any:
    """By five minutes, the last five minutes ago."""
    times = [NOW - timedelta(minutes=5 * at) for at in range(len(values), 0, -1)]
    return pd.Series(
        list(values), pd.DatetimeIndex(times, dtype="datetime64[us, UTC]"), dtype="float64"
    )


HOUR = [2.0] * 12
CASES = {
    "below": (BOUNDS, series(*HOUR, 1.0, 1.0), series(95, 95), "ok", "1 of 2 ACU (50 %)"),
    "for a moment": (BOUNDS, series(1.0, 1.0, 2.0), series(95, 95), "ok", "for 5 minutes"),
    "busy": (BOUNDS, series(*HOUR), series(91, 93), "critical", "for 60 minutes; CPU 93 %"),
    "idle": (BOUNDS, series(*HOUR), series(20, 21), "warn", "nobody waits for the CPU"),
    "CPU not known": (BOUNDS, series(*HOUR), series(), "warn", "its CPU is not known"),
    "fixed": (FIXED, series(*HOUR), series(20, 21), "ok", "2 of 2 ACU"),
    "fixed and busy": (FIXED, series(*HOUR), series(90, 91), "critical", "2 of 2 ACU"),
    "paused": (SLEEPY, series(0.0, 0.0, 0.0), series(0, 0), "ok", "0 ACU: paused"),
    "silent": (BOUNDS, series(*HOUR)[:1], series(), "unknown", "no data for 15 minutes"),
    "nothing at all": (BOUNDS, series(), series(), "unknown", "no data"),
}


@pytest.mark.parametrize("case", CASES)
def test_capacity_is_judged_by_the_bound_of_now_and_by_whether_the_cpu_is_short(case: str) -> None:
    bounds, used, cpu, status, said = CASES[case]
    ops: Any = SimpleNamespace(now=lambda: NOW)
    found, row = capacities._looked(ops, "shop-1", bounds, used, cpu)
    assert (found.status, said in found.seen) == (status, True), found.seen
    assert (found.cause or found.rules_out) == (capacities.AT_LIMIT if status != "unknown" else "")
    assert row["instance"] == "shop-1"


def test_bounds_of_a_change_are_checked_before_anything_happens() -> None:
    wanted = capacities._wanted
    assert wanted(BOUNDS, "", "4", 0) == {"MinCapacity": 0.5, "MaxCapacity": 4.0}
    assert wanted(BOUNDS, "0", "", 0) == SLEEPY
    assert wanted(SLEEPY, "", "4", 0) == SLEEPY | {"MaxCapacity": 4.0}
    assert wanted(SLEEPY, "1", "", 0) == {"MinCapacity": 1.0, "MaxCapacity": 2.0}
    for least, most, pause, said in (
        ("", "2.3", 0, "2.3 ACU: bounds go in halves"),
        ("nan", "", 0, "bounds go in halves"),
        ("", "four", 0, "'four' is no number of ACU"),
        ("4", "", 0, "least = 4 is above most = 2"),
        ("1", "", 600, "it never pauses"),
    ):
        with pytest.raises(UsageError, match=said):
            wanted(BOUNDS, least, most, pause)


@pytest.mark.parametrize(
    ("told", "refused", "taken"),
    [
        (
            [{"ServerlessV2FeaturesSupport": {"MinCapacity": 0.5, "MaxCapacity": 128.0}}],
            SLEEPY,
            BOUNDS,
        ),
        (
            [{"ServerlessV2FeaturesSupport": {"MinCapacity": 0.5, "MaxCapacity": 128.0}}],
            BOUNDS | {"MaxCapacity": 128.5},
            BOUNDS | {"MaxCapacity": 128.0},
        ),
        ([], BOUNDS | {"MaxCapacity": 0.5}, SLEEPY),
    ],
)
def test_what_a_version_takes_is_what_rds_says_of_it(
    told: list[Any], refused: dict[str, Any], taken: dict[str, Any]
) -> None:
    ops: Any = SimpleNamespace(pages=lambda *_, **__: told)
    engine = {"Engine": "aurora-postgresql", "EngineVersion": "14.9"}
    capacities._require_possible(ops, engine, taken)
    with pytest.raises(UsageError, match="takes a lower bound of"):
        capacities._require_possible(ops, engine, refused)


@pytest.mark.slow
def test_other_bounds_are_previewed_applied_verified_and_taken_back(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    notebooks.run("databases/capacity", target=TARGET, most="4")
    assert lab.state(KEY) == clean
    left = notebooks.run("databases/capacity", target=TARGET, most="4", approved="now")
    bounds = f"rds.clusters.{NAME}.serverless_v2_scaling_configuration.max_capacity"
    assert differences(clean, lab.state(KEY)) == [bounds]
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert capacities.check_bounds(ops, most="2").worst == "critical"
    assert not conditions.check_conditions(ops).troubles, "AWS's own group waits for a restart"
    assert not capacities.plan_capacity(ops, most="4").steps
    undo_last(ops)
    assert lab.state(KEY) == clean
    assert not conditions.check_conditions(ops).troubles


def test_an_instance_has_no_bounds_and_a_cluster_no_class(ops: Connection) -> None:
    instance = connect("lab/loglineos-production")
    with pytest.raises(UsageError, match="has a class instead"):
        capacities.plan_capacity(instance)
    assert capacities.check_capacity(instance).note.startswith("No capacity that could end")
    with pytest.raises(UsageError, match="databases/capacity"):
        classes.plan_class(ops, "db.r6g.large")


def test_the_load_of_a_drill_is_given_what_new_bounds_allow(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    with lab.broken("capacity-at-limit", KEY):
        found = capacities.check_capacity(ops)
        assert found.causes == {"capacity-at-limit"}
        assert found[0].next == "databases/capacity"
    assert capacities.check_capacity(ops).worst == "ok"
