"""The phases of an incident by its target's file: due when, late by how much, unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from opslib.cli.incidents import texts
from opslib.incidents import clocks, incidents, watching
from opslib.incidents.incidents import Incident
from opslib.records.records import Record
from tests.incidents.test_events import started
from tests.projects import JOURNAL, Project

SEVERITIES = """severities:
  escalate_after_minutes: 30
  levels:
    P1: {title: down, respond_minutes: 15, assess_minutes: 30, watch_minutes: 30,
         post_mortem_hours: 24, escalate_to: lead}
    P2: {title: hurt, respond: next day, escalate_to: lead}
    P3: {title: slow, respond_minutes: 240, escalate_to: lead}
"""
NOW = datetime.now(UTC)


@pytest.fixture
def begun(project: Project) -> Incident:
    """An incident of P1 that began an hour ago."""
    file = project.home / "parameters" / "targets" / "bluemoxon-staging.yaml"
    file.write_text(file.read_text() + SEVERITIES)
    return started(severity="P1", began="60m")


def at(incident: Incident, minutes: float) -> datetime:
    return incident.began + timedelta(minutes=minutes)


def state(incident: Incident, minutes: float) -> dict[str, str]:
    """Of each phase, so many minutes after it began."""
    found = clocks.phases(incidents.find(incident.id), at(incident, minutes))
    return {phase.name.split(" ")[0].strip(","): phase.state for phase in found}


def mark(incident: Incident, **minutes: float) -> None:
    for name, after in minutes.items():
        incidents.mark(name.replace("_", "-"), at(incident, after), incident.id)


@pytest.mark.parametrize(
    ("hours", "words"),
    [(1.5, "90 min"), (-0.1, "-6 min"), (14.25, "14.2 h"), (480.8, "20.0 days")],
)
def test_how_long_something_took_is_told_in_the_unit_that_one_counts_it_in(
    hours: float, words: str
) -> None:
    assert clocks.minutes(timedelta(hours=hours)) == words


def test_a_phase_runs_until_it_is_late_and_is_in_time_or_not_once_it_is_marked(
    begun: Incident,
) -> None:
    assert state(begun, 14)["acknowledged"] == "runs"
    assert state(begun, 16)["acknowledged"] == "late"
    mark(begun, acknowledged=10, assessed=36)
    said = state(begun, 40)
    assert (said["acknowledged"], said["assessed"]) == ("in time", "late")
    late = clocks.phases(incidents.find(), at(begun, 40))[1]
    assert late.told.endswith(", 6 min late")
    assert (said["watched"], said["post-mortem"]) == ("waits", "waits")


def test_what_nobody_marked_is_unknown_once_a_later_phase_is(begun: Incident) -> None:
    mark(begun, mitigated=20)
    said = state(begun, 60)
    assert (said["acknowledged"], said["assessed"]) == ("unknown", "unknown")
    assert said["mitigated"] == "in time"
    assert incidents.find().missing == ["detected", "acknowledged", "cause-found", "resolved"]


def test_the_post_mortem_is_due_from_when_it_was_resolved_and_is_owed_until_it_is_written(
    begun: Incident,
) -> None:
    mark(begun, resolved=40)
    assert state(begun, 40 + 23 * 60)["post-mortem"] == "runs"
    incidents.write("end")
    assert state(begun, 40 + 25 * 60)["post-mortem"] == "late"
    assert clocks.late(incidents.find(), at(begun, 40 + 25 * 60)) == ["post-mortem"]
    mark(begun, post_mortem=59)
    assert state(begun, 40 + 25 * 60)["post-mortem"] == "in time"


def test_nothing_is_handed_on_before_it_has_to_be_acknowledged(
    begun: Incident, project: Project
) -> None:
    incidents.write("end")
    slow = started(severity="P3", began="10m")
    due = {p.name.split(",")[0]: p.due for p in clocks.phases(slow, NOW)}
    assert due["mitigated"] == due["acknowledged"] == at(slow, 240)


def looked(project: Project, monkeypatch: pytest.MonkeyPatch, status: str) -> Record:
    monkeypatch.setattr(watching, "_LOOKS", ("tests/look",))
    finding = {"status": status, "check": "health", "seen": "x"}
    return project.run("look", f"{JOURNAL}\njournal.write('findings', findings=[{finding}])")


def test_it_is_watched_for_as_long_as_the_file_says_and_looked_at_when_that_is_over(
    begun: Incident, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(begun, resolved=20)  # to be watched until ten minutes ago
    assert state(begun, 45)["watched"] == "runs"
    assert state(begun, 60)["watched"] == "unknown"
    looked(project, monkeypatch, "unknown")
    assert state(begun, 60)["watched"] == "unknown"
    looked(project, monkeypatch, "ok")
    assert state(begun, 61)["watched"] == "in time"
    looked(project, monkeypatch, "critical")  # later, so it is another trouble
    assert state(begun, 62)["watched"] == "in time"


def test_what_is_critical_again_while_it_is_watched_is_said(
    begun: Incident, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(begun, resolved=59)
    record = looked(project, monkeypatch, "critical")
    looked(project, monkeypatch, "ok")
    [watch] = [p for p in clocks.phases(incidents.find(), at(begun, 62)) if "watched" in p.name]
    assert "critical again at" in watch.told
    assert record.id in watch.told
    assert f"critical again at {record.started:%H:%M} UTC: {record.id}" in texts.status(
        incidents.find()
    )


def test_a_level_without_times_and_a_target_without_levels_have_no_phases(
    begun: Incident,
) -> None:
    calm = started(severity="P2", another=True)
    assert clocks.phases(calm, NOW) == []
    assert "respond: next day" in clocks.told(calm, NOW)
    other = started(target="lab/bluemoxon-production")
    assert clocks.phases(other, NOW) == []
    assert "no response times" in clocks.told(other, NOW)[1]
