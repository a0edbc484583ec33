"""An incident that is open: what is due, what could end it, whether it stays well."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from opslib import connect, reports
from opslib.core import Findings, Question
from opslib.incidents import incidents
from tests.conftest import PracticeLab
from tests.notebooks import run

TARGET = "lab/ai-studio-production"


def test_without_an_incident_it_looks_at_the_last_hour_and_nothing_is_due(
    lab: PracticeLab, records_folder: Path
) -> None:
    left = run("reports/respond", target=TARGET)
    assert left["found"] is None
    assert left["until"] == ""
    assert left["ops"].findings.troubles == []


def test_what_went_live_before_it_can_be_taken_back_by_the_line_that_is_shown(
    lab: PracticeLab, records_folder: Path
) -> None:
    found = incidents.start("The backend answers 500", TARGET, "1", "20m")
    incidents.mark("acknowledged", found.began + timedelta(minutes=16))
    with lab.broken("app-throws", TARGET):
        left = run("reports/respond", target=TARGET)
        ops = left["ops"]
        ops.follow = lambda name, about="": f"opslib open {name} -t {TARGET}"
        options = reports.check_options(ops, left["recent"]).evidence
    lines = list(options["run"])
    assert f"opslib open services/rollback -t {TARGET} -p service=backend" in lines
    effects = set(options.loc[options["run"].str.contains("rollback"), "effect"])
    assert effects == {"change"}
    found = incidents.find()
    said = {f.check: f for f in reports.check_phases(ops, found)}
    assert said["phase: acknowledged"].status == "warn"
    assert said["phase: acknowledged"].seen.endswith("1 min late")
    assert said["phase: assessed"].status == "ok"
    assert not reports.check_watch(ops, found)


def test_it_is_watched_by_what_this_run_saw_and_unseen_is_not_well(
    lab: PracticeLab, records_folder: Path
) -> None:
    incidents.start("x", TARGET, "1", "60m")
    found = incidents.mark("resolved", incidents.find().began + timedelta(minutes=29))
    for status, told in (("ok", "ok"), ("unknown", "unknown"), ("critical", "critical")):
        ops = connect(TARGET)
        ops.findings = Findings([Question("health").answer(status, "x")])
        [watch] = reports.check_watch(ops, found)
        assert watch.status == told
    nobody = connect(TARGET)
    assert [f.status for f in reports.check_watch(nobody, found)] == ["unknown"]
