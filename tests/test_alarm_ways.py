"""From an alarm to its cause: who is woken by it is led there by the entry that it names.

A drill rings an alarm when the alarm is in ALARM while the drill is on: found by asking CloudWatch.
One drill of each system, all of them with `--all`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from opslib import alarms, connect
from opslib.catalogue import runbooks
from opslib.core.checks import plots
from tests.conftest import PracticeLab
from tests.test_matrix import LED, TARGET, look

# What rings an alarm; `test_these_are_the_drills_that_ring_an_alarm` says whether that is so still.
RINGING = {
    "bluemoxon": ["dead-letter-backlog", "bad-version", "connections-near-limit"],
    "dms": [
        "state-timed-out",
        "bad-version",
        "item-unreadable",
        "state-unavailable",
        "function-outside-vpc",
        "slow-query",
        "database-cpu-high",
    ],
    "image-caption": ["role-denied", "targets-unhealthy", "at-capacity"],
    "loglineos": ["database-unavailable", "slow-query", "timeout-too-low", "bad-version"],
}
_STEPS = 3  # procedures that one opens, one after another, before the cause is named


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "page", lambda *_: b"")


def ringing(target: str) -> dict[str, str]:
    """The alarms that go off, and the entry that each asks for."""
    found = alarms.list_alarms(connect(f"lab/{target}"))
    rung = found[found["state"] == "ALARM"]
    return dict(zip(rung["alarm"], rung["next"], strict=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rings" in metafunc.fixturenames:
        every = metafunc.config.getoption("--all")
        chosen = [(s, d) for s, of in RINGING.items() for d in (of if every else of[:1])]
        metafunc.parametrize(("system", "rings"), chosen)


def test_an_alarm_leads_to_the_cause(
    lab: PracticeLab,
    records_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    rings: str,
) -> None:
    """Each alarm that it rings, by the entry the target's file gives, and where its findings send."""
    target = TARGET[system]
    with lab.broken(rings, target):
        rung = ringing(target)
        assert rung
        for alarm, entry in rung.items():
            assert entry in {each.name for each in runbooks.entries(system)}, alarm
            assert rings in found_from(entry, rings, target, monkeypatch), alarm


def found_from(
    entry: str, cause: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The causes named on the way, each with the procedure that named it; the way is walked in
    the order of the findings until the cause is named.
    """
    named: dict[str, str] = {}
    seen: set[str] = set()
    going = {entry}
    for _ in range(_STEPS):
        onward: set[str] = set()
        for name in sorted(going - seen):
            causes = look(name, target, monkeypatch)[0]
            named |= dict.fromkeys(causes, name)
            onward |= onward_from(name)
            seen.add(name)
            if cause in named:
                return named
        going = onward
    return named


def onward_from(name: str) -> set[str]:
    return LED.get(name, set())
