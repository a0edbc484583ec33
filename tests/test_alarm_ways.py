"""From an alarm to its cause: who is woken by it is led there by the entry that it names.

A drill that rings one is put in, and the way is walked from the alarm on.
One drill of each system; all of them with `--all`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from opslib import alarms, connect
from opslib.catalogue import runbooks
from opslib.core.checks import plots
from tests.conftest import PracticeLab
from tests.test_matrix import DRILLS, ONWARD, TARGET, look
from tests.test_ways import links

# What rings an alarm, asked of each drill once.
RINGING = {
    "bluemoxon": ["dead-letter-backlog", "bad-version", "connections-near-limit"],
    "dms": [
        "slow-query",
        "function-outside-vpc",
        "database-cpu-high",
        "state-timed-out",
        "item-unreadable",
        "state-unavailable",
        "bad-version",
    ],
    "image-caption": ["role-denied", "targets-unhealthy", "at-capacity"],
    "loglineos": ["database-unavailable", "slow-query", "timeout-too-low", "bad-version"],
    "ai-studio": [],
}
# These ring one too, and from its entry no way leads to the cause yet.
NO_WAY_YET: dict[str, list[str]] = {}
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


@pytest.mark.some(2)
def test_an_alarm_leads_to_the_cause(
    lab: PracticeLab,
    records_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    rings: str,
) -> None:
    """By the entry that the target's file gives each alarm, and where its findings send."""
    target = TARGET[system]
    with lab.broken(rings, target):
        rung = ringing(target)
        assert rung
        for alarm, entry in rung.items():
            assert entry in {each.name for each in runbooks.entries(system)}, alarm
            assert rings in found_from(entry, rings, system, monkeypatch), alarm


def found_from(
    entry: str, cause: str, system: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The causes named on the way, each with the procedure that named it; the way is walked in
    the order of the findings until the cause is named.
    """
    sees = {runbooks.find(each)[0].name for each in DRILLS[system, cause].found_by}
    named: dict[str, str] = {}
    seen: set[str] = set()
    going = {entry}
    for _ in range(_STEPS):
        onward: set[str] = set()
        for name in sorted(going - seen):
            causes = look(name, TARGET[system], monkeypatch)[0]
            named |= dict.fromkeys(causes, name)
            onward |= onward_from(name, sees)
            seen.add(name)
            if cause in named:
                return named
        going = onward
    return named


def onward_from(name: str, sees: set[str]) -> set[str]:
    """Where its findings send; else the procedures that its text names, to look or for this."""
    procedure, _, _ = runbooks.find(name)
    chapter = procedure.path.parent
    files = [(chapter / link).resolve().with_suffix("") for link in links(procedure.path)]
    named = {f"{file.parent.name}/{file.name}" for file in files}
    looking = {each for each in named if each in sees or not runbooks.find(each)[0].changes}
    return ONWARD[name] or looking


def test_every_drill_named_here_is_one() -> None:
    named = {(s, d) for of in (RINGING, NO_WAY_YET) for s, drills in of.items() for d in drills}
    assert named <= DRILLS.keys()
    assert RINGING.keys() == set(runbooks.systems())
