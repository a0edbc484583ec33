"""An incident in the lab, from the alarm of a drill to the zip, by the commands one types."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib import OpsError, connect, reports
from opslib.cli import commands
from opslib.core import UsageError
from opslib.incidents import incidents
from opslib.records import reading, verification
from tests.conftest import PracticeLab
from tests.notebooks import run

pytestmark = pytest.mark.slow

TARGET = "lab/bluemoxon-staging"
OTHER = "lab/bluemoxon-production"
BY = f"reports/triage -t {TARGET}"
ALARM = "bluemoxon-staging-api-errors"


@pytest.fixture
def said(
    lab: PracticeLab, records_folder: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Said]:
    before = lab.state()
    yield Said(capsys)
    if lab.state() != before:
        lab.reset()


class Said:
    """What a command says on stdout; `status`: how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self.status = capsys, 0

    def __call__(self, *arguments: str) -> str:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            commands.main([*arguments])
        self.status = ended.value.code
        return self._capsys.readouterr().out


def test_from_the_alarm_of_a_drill_to_the_zip(lab: PracticeLab, said: Said, tmp_path: Path) -> None:
    with lab.broken("bad-version"):
        given = f"-t {TARGET} --severity 2 --began 50m --alarm {ALARM}"
        told = said("incident", "start", "One in four fails", *given.split())
        assert "inc-" in told
        assert said.status == 0
        said("incident", "mark", "detected", "--at", "40m")
        said("incident", "note", "it is the pool", "--kind", "think")
        said("run", "functions/rollback", "-t", TARGET, "-p", "function=api", "--apply")
        update = said("incident", "update")
        assert "Cause: not known yet." in update  # nobody marked it, whatever a check named
        assert "version 7 to 6" in update
        said("incident", "mark", "mitigated")
        status = said("incident", "status")
        assert "cause:     bad-version" in status
        assert "stands:    1 change of 1" in status
        rows = json.loads(said("incident", "timeline", "--json"))["rows"]
        what = [f"{row['kind']}: {row['what']}" for row in rows]
        assert any("version 7" in each and each.startswith("deployment") for each in what)
        assert [each for each in what if ALARM in each and each.endswith("to ALARM")]
        assert "note: think: it is the pool" in what
        assert len([each for each in what if "version 7 to 6" in each]) == 1
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
        links = {row["record"] for row in rows} - {""}
        assert links <= {record.id for record in reading.list_records()}
        said("incident", "post-mortem", "--kept")
        ended = said("incident", "end")
    assert "opslib incident mark acknowledged" in ended
    assert "compared:  nothing" not in ended
    found = incidents.find()
    text = reading.list_records()[0].path.parents[2] / "incidents" / found.id / "post-mortem.md"
    written = text.read_text()
    assert f"minutes in ALARM: {ALARM}" in written
    assert "version 7 (" in written.split("## What changed in the hour before")[1].split("## ")[0]
    assert "10 min" in written.split("## Times")[1].split("## ")[0]
    assert "![API errors per 5 minutes from " in written
    assert "](metrics-api-errors.png)" in written
    assert "Marked: version 7 " in written
    values = (text.parent / "metrics.csv").read_text().splitlines()
    assert values[0] == "time,metric,title,line,value,unit"
    assert len([line for line in values if ",api-errors," in line]) > 12
    said("incident", "export", "-o", str(tmp_path / "x.zip"))
    before = (tmp_path / "x.zip").read_bytes()
    with pytest.raises(SystemExit):
        commands.main(["incident", "export", "-o", str(tmp_path / "x.zip")])
    assert (tmp_path / "x.zip").read_bytes() == before
    zipped = zipfile.ZipFile(tmp_path / "x.zip")
    names = zipped.namelist()
    page = zipped.read(f"{found.id}/index.html").decode()
    assert f'<a href="records/incidents/{found.id}/metrics.csv">' in page
    assert '<img class="plot" alt="API errors per 5 minutes from ' in page
    assert page.count("<h2>Timeline</h2>") == 1
    assert f"records/{found.id.split('-')[1][:4]}/" in page.split("<h2>Impact")[1]
    assert f"{found.id}/index.html" in names
    assert sum(name.endswith(".html") and "/records/2" in name for name in names) >= 4
    assert verification.verify() == []


def test_what_is_denied_is_unknown_in_the_timeline_and_no_row_is_invented(
    lab: PracticeLab, said: Said
) -> None:
    incidents.start("x", TARGET, "2", "20m")
    with lab.denied("cloudwatch:DescribeAlarmHistory"), lab.denied("cloudtrail:LookupEvents"):
        told = json.loads(said("incident", "timeline", "--json"))
    assert not [row for row in told["rows"] if row["kind"] == "alarm"]
    dark = " ".join(told["unseen"])
    assert "describe_alarm_history" in dark
    assert said.status == 0


def test_a_target_without_an_incident_has_nothing_to_tell(
    lab: PracticeLab, records_folder: Path
) -> None:
    left = run("reports/post-mortem", target=TARGET)
    assert left["found"] is None
    assert list(left["ops"].findings) == []


def test_the_incident_of_another_target_is_refused(lab: PracticeLab, records_folder: Path) -> None:
    found = incidents.start("x", OTHER, "2")
    with pytest.raises(UsageError, match=f"{found.id} is of {OTHER}, not of {TARGET}"):
        reports.find_incident(connect(TARGET), found.id)


def test_an_incident_is_started_though_the_first_look_cannot_be_made(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OpsError("No credentials.")

    monkeypatch.setattr("opslib.incidents.looks.look", broken)
    told = said("incident", "start", "x", "-t", TARGET, "--severity", "2")
    assert said.status == 0
    assert f"baseline:  none, so the end would compare nothing. Make it: opslib run {BY}" in told
    assert "compared:  nothing" in said("incident", "end")
    assert said.status == 4
