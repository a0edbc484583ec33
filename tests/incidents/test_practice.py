"""Practice: a drill with its incident, its times beside those of the last try."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from opslib import lab as practising
from opslib.cli.incidents import texts
from opslib.core import Refused
from opslib.incidents import causes, incidents, levels, practice
from opslib.incidents.papers import documents
from tests.conftest import PracticeLab
from tests.incidents.test_drilled import Said, said
from tests.incidents.test_events import started
from tests.projects import TARGET, Project

__all__ = ["said"]
DRILL = "dead-letter-backlog"


def tried(**minutes_after: int) -> incidents.Incident:
    """A try that was ended, with milestones so many minutes after it began."""
    found = practice.start(DRILL, "Orders hang", TARGET)
    began = datetime.now(UTC) - timedelta(hours=1)
    incidents.mark("began", began, found.id)
    for name, minutes in minutes_after.items():
        incidents.mark(name.replace("_", "-"), began + timedelta(minutes=minutes), found.id)
    return incidents.write("end", found.id)


def test_the_times_stand_beside_those_of_the_last_try(project: Project) -> None:
    tried(detected=30, mitigated=50)
    last = tried(detected=4, mitigated=20)
    incidents.write("end", started().id)  # no practice: not compared with
    now = tried(detected=6, resolved=30)
    assert practice.last_try(now) == last
    said = {line[0]: line[1:] for line in practice.compared(now, last)}
    assert said["time to detect"] == ("4 min", "6 min", "2 min later")
    assert said["time to mitigate"] == ("20 min", "unknown: mitigated not marked", "not compared")
    text, _ = texts.ended(now)
    assert f"practice:  of {DRILL}, beside {last.id}" in text
    _, markdown = documents.make(now)
    assert "| time to detect | 4 min | 6 min | 2 min later |" in markdown.read_text()


def test_the_cause_of_practice_is_known_once_it_is_over(project: Project) -> None:
    first = tried(detected=1)
    second = practice.start(DRILL, "Orders hang", TARGET)
    assert causes.alike(second) == {}  # it would say what the trouble is
    incidents.write("end", second.id)
    assert causes.alike(incidents.find(second.id)) == {first.id: [DRILL]}


def test_the_severity_of_practice_is_what_a_rule_of_the_targets_file_says() -> None:
    assert levels.fitting("lab/ai-studio-production", "database-unavailable") == "P0"
    assert levels.fitting("lab/ai-studio-production", "no-such-cause") == "P1"
    assert levels.fitting("lab/bluemoxon-staging", "no-such-cause") == "2"


@pytest.mark.slow
def test_a_drill_is_practised_from_its_break_to_its_table(lab: PracticeLab, said: Said) -> None:
    def broken() -> list[str]:
        return [each["drill"] for each in practising.status()["broken"]]

    told = said("lab", "break", DRILL, "-t", TARGET, "--incident", "--json")
    found = incidents.find(json.loads(told)["incident"]["id"])
    assert found.drill == DRILL
    assert found.alarm == "bluemoxon-staging-analysis-dlq"
    assert found.looks("before")
    assert "began" in found.milestones
    assert said("lab", "break", "bad-version", "-t", TARGET, "--incident") == ""
    assert said.status == 3  # one is open
    assert broken() == [DRILL]
    said("lab", "mend", DRILL, "-t", TARGET)
    found = incidents.find()
    assert found.ended is None
    assert "taken out by opslib lab mend" in found.events[-1].said["text"]
    assert "the first try that was ended" in said("incident", "end", "--no-look")
    told = said("lab", "break", DRILL, "-t", TARGET, "--incident")
    said("lab", "reset")
    assert "taken out by opslib lab reset" in incidents.find().events[-1].said["text"]
    assert f"beside {found.id}" in said("incident", "end", "--no-look")
    [shown] = json.loads(said("readiness", "-t", TARGET, "--json"))
    assert [(p["drill"], p["tries"]) for p in shown["practised"]] == [(DRILL, 2)]


def test_what_cannot_be_practised_is_refused_and_nothing_is_broken(
    lab: PracticeLab, said: Said
) -> None:
    for arguments, status in (
        (("break", "no-such-drill", "--incident"), 2),
        (("break", "bad-revision", "-t", TARGET, "--incident"), 2),
        (("break", DRILL, "-t", TARGET, "--incident", "--severity", "9"), 2),
        (("break", DRILL, "-t", TARGET, "--severity", "2"), 2),
    ):
        said("lab", *arguments)
        assert said.status == status, arguments
    assert practising.status()["broken"] == []
    assert incidents.every() == []


def test_another_practice_on_the_same_target_is_refused(project: Project) -> None:
    practice.start(DRILL, "Orders hang", TARGET)
    with pytest.raises(Refused, match="is open on"):
        practice.start("bad-version", "503", TARGET)
