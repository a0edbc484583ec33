"""Every entry of a runbook under every drill: the cause is named by those that should, and by no other."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from opslib import OpsError
from opslib.catalogue import runbooks
from opslib.core.checks import plots
from opslib.core.connections import connection, targets
from opslib.lab import places as base
from tests.conftest import PracticeLab
from tests.notebooks import run

DRILLS = {
    (system, drill.name): drill
    for system in runbooks.systems()
    for drill in base.load(system).drills
}
TARGETS = [targets.load(name) for name in targets.names()]
# Where a system's drills are put: a target that is no production, where there is one.
TARGET = {each.system: each.key for each in sorted(TARGETS, key=lambda each: -each.production)}
NOT_FOR_LOOKING = {"logs/follow", "logs/query"}  # show what one asks for, and judge nothing


@functools.cache
def entries(system: str) -> dict[str, str]:
    """The procedure of each entry that judges what it sees."""
    return {
        e.name: e.procedure for e in runbooks.entries(system) if e.procedure not in NOT_FOR_LOOKING
    }


def causes(entry: str, target: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The causes that an entry names; one that refuses to plan has named what it saw before."""
    seen = []
    connect = connection.Connection.__init__

    def watched(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        seen.append(self)
        connect(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(connection.Connection, "__init__", watched)
        try:
            run(entry, target=f"lab/{target}")
        except OpsError:
            assert seen, f"{entry} did not even connect"
    return set(seen[0].findings.causes)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Much is looked at here: no plot is painted."""
    monkeypatch.setattr(plots, "_png", lambda *_: b"")


def expected(system: str, drill: str) -> dict[str, set[str]]:
    """What each entry should name: the drill's cause where the drill says that it is found there, else nothing.

    Where a drill lists an entry of a procedure, that procedure's other entries should not name it.
    """
    named = set(DRILLS[system, drill].found_by)
    by_entry = {procedure for entry, procedure in entries(system).items() if entry in named}
    return {
        entry: {drill}
        if entry in named or (procedure in named and procedure not in by_entry)
        else set()
        for entry, procedure in entries(system).items()
    }


@pytest.mark.parametrize(("system", "drill"), sorted(DRILLS))
def test_a_cause_is_named_where_it_should_be_and_nowhere_else(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch, system: str, drill: str
) -> None:
    target = TARGET[system]
    with lab.broken(drill, target):
        assert {entry: causes(entry, target, monkeypatch) for entry in entries(system)} == expected(
            system, drill
        )


@pytest.mark.parametrize("target", TARGETS, ids=lambda each: each.key)
def test_a_healthy_target_names_no_cause(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch, target: targets.Target
) -> None:
    assert not set().union(
        *(causes(entry, target.key, monkeypatch) for entry in entries(target.system))
    )


@pytest.mark.parametrize(("system", "drill"), sorted(DRILLS))
def test_a_drill_is_found_by_something(system: str, drill: str) -> None:
    known = {name for entry in runbooks.entries(system) for name in (entry.name, entry.procedure)}
    assert DRILLS[system, drill].found_by
    assert set(DRILLS[system, drill].found_by) <= known
