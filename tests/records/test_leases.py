"""One change at a time on a target, also on two machines that share an index."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from opslib.core import OpsError, Refused
from opslib.records import facts
from opslib.records.approvals import uses
from opslib.records.chain import database
from tests.projects import TARGET, Project
from tests.records.test_records import postgres

__all__ = ["postgres"]
_HOLD = f"""
import sys
from types import SimpleNamespace
from opslib.records import facts
from opslib.records.approvals import uses

facts.host = lambda: "machine-b/1"
ops = SimpleNamespace(target=SimpleNamespace(name="{TARGET}"))
ops.identity = SimpleNamespace(arn="arn:aws:iam::1:user/b")
with uses.holding(ops):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def index(
    request: pytest.FixtureRequest, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index that both machines share."""
    if request.param == "postgresql":
        monkeypatch.setenv("OPSLIB_INDEX", request.getfixturevalue("postgres"))


def ours() -> Any:
    who = SimpleNamespace(arn="arn:aws:iam::1:user/a")
    return SimpleNamespace(target=SimpleNamespace(name=TARGET), identity=who)


@contextmanager
def machine_b() -> Iterator[subprocess.Popen[str]]:
    """Another machine that holds the target."""
    started: Any = subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert started.stdout.readline() == "held\n"
        yield started
    finally:
        started.kill()
        started.communicate()


def let_end() -> None:
    """As when time has passed."""
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE leases SET until = 0"))


@pytest.mark.slow
def test_a_killed_holder_on_another_machine_holds_nobody_up_beyond_the_leases_end(
    index: None,
) -> None:
    held = r"is being changed by arn:.*user/b \(process \d+ on machine-b/1\) since 20.* UTC, "
    with machine_b() as other:
        with pytest.raises(Refused, match=f"{held}who holds it until .*Nothing was changed"):
            uses.holding(ours()).__enter__()
        other.send_signal(signal.SIGKILL)
        other.wait()
        with pytest.raises(Refused, match=held):  # from here nobody sees that it is gone
            uses.holding(ours()).__enter__()
        let_end()
        with uses.holding(ours()):
            pass


def test_who_slept_beyond_his_leases_end_begins_no_further_step(
    index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops, slept = ours(), [0.0]
    now = facts.uptime()
    monkeypatch.setattr(facts, "uptime", lambda: now + slept[0])
    with uses.holding(ops):
        ops.require_hold()
        slept[0] = 600.0
        let_end()
        ops.require_hold()  # nobody took it meanwhile
        slept[0] = 1200.0
        let_end()
        with machine_b(), pytest.raises(OpsError, match="somebody else has changed it since"):
            ops.require_hold()


def test_an_index_that_is_away_for_a_moment_stops_no_change_and_one_that_stays_away_does(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops, passed = ours(), [0.0]
    now = facts.uptime()
    monkeypatch.setattr(facts, "uptime", lambda: now + passed[0])
    with uses.holding(ops):
        monkeypatch.setenv("OPSLIB_INDEX", "postgresql://nobody@127.0.0.1:1/none")
        passed[0] = uses.LEASE_SECONDS * 0.7
        ops.require_hold()
        passed[0] = uses.LEASE_SECONDS * 1.1
        with pytest.raises(OpsError, match=r"The hold on .* has ended, and The index of records"):
            ops.require_hold()
        monkeypatch.delenv("OPSLIB_INDEX")
