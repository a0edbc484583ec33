"""Every entry of a runbook under every drill: the cause is named by those that should, and by no other."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from conftest import PracticeLab
from notebooks import run
from opslib import OpsError, runbooks
from opslib.lab import drills

DRILLS = {drill["name"]: drill for drill in drills()}
NOT_FOR_LOOKING = {"logs/follow"}  # shows lines for as long as one says, and judges nothing


def preferred(targets: list[str]) -> str:
    """Staging where there is one."""
    return next((t for t in targets if t.endswith("-staging")), targets[0])


def system_of(target: str) -> str:
    return target.removeprefix("lab/").rpartition("-")[0]


@functools.cache
def entries(system: str) -> dict[str, str]:
    """The procedure of each entry that is of use to look."""
    return {e.name: e.procedure for e in runbooks.entries(system) if e.procedure not in NOT_FOR_LOOKING}


def causes(entry: str, target: str) -> set[str]:
    """The causes that an entry names; one that refuses to plan has named what it saw before."""
    from opslib import connections

    seen = []
    connect = connections.Connection.__init__

    def watched(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        seen.append(self)
        connect(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections.Connection, "__init__", watched)
        try:
            run(entry, target=target)
        except OpsError:
            assert seen, f"{entry} did not even connect"
    return seen[0].findings.causes


def expected(drill: str, system: str) -> dict[str, set[str]]:
    """What each entry should name: the drill's cause where the drill says that it is found there, else nothing."""
    named = set(DRILLS[drill]["found_by"])
    by_entry = {procedure for entry, procedure in entries(system).items() if entry in named}
    return {
        entry: {drill} if entry in named or (procedure in named and procedure not in by_entry) else set()
        for entry, procedure in entries(system).items()
    }


@pytest.mark.parametrize("drill", sorted(DRILLS))
def test_a_cause_is_named_where_it_should_be_and_nowhere_else(
    lab: PracticeLab, records_folder: Path, drill: str
) -> None:
    target = preferred(DRILLS[drill]["targets"])
    system = system_of(target)
    with lab.broken(drill, target.removeprefix("lab/")):
        assert {entry: causes(entry, target) for entry in entries(system)} == expected(drill, system)


@pytest.mark.parametrize("target", sorted({target for drill in DRILLS.values() for target in drill["targets"]}))
def test_a_healthy_target_names_no_cause(lab: PracticeLab, records_folder: Path, target: str) -> None:
    system = system_of(target)
    assert {entry: causes(entry, target) for entry in entries(system)} == {entry: set() for entry in entries(system)}


def test_every_drill_is_found_by_something(lab: PracticeLab) -> None:
    known = {name for system in runbooks.systems() for pair in entries(system).items() for name in pair}
    for name, drill in DRILLS.items():
        assert drill["found_by"], name
        assert set(drill["found_by"]) <= known, name
