"""The post-mortem, which keeps every word, and the zip that a stranger verifies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest

from opslib.cli import commands
from opslib.cli.incidents import texts
from opslib.core import OpsError
from opslib.core.findings import known
from opslib.incidents import incidents, timelines
from opslib.incidents.papers import documents, exports, pictures
from opslib.incidents.papers.people import Hidden
from opslib.incidents.papers.pictures import Pictures
from opslib.incidents.papers.sections import PostMortem
from opslib.incidents.timelines import Row
from opslib.records import facts, outcomes, sealing, verification
from tests.incidents.test_events import applies, started
from tests.projects import TARGET, Project

HOSTILE = "<script>alert(1)</script> | [x](javascript:y) `z`"


def cells(path: Path) -> dict[str, Any]:
    return {cell["id"]: cell for cell in nbformat.read(path, as_version=4)["cells"]}


def write(path: Path, **sources: str) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook["cells"]:
        cell["source"] = sources.get(cell["id"], cell["source"])
    path.write_text(nbformat.writes(notebook))


def test_without_any_record_what_nobody_read_is_unknown(project: Project) -> None:
    notebook, markdown = documents.make(started())
    said = markdown.read_text()
    assert "requests that failed, of all | *unknown*: nobody read it" in said
    assert "time to detect | began to detected | *unknown*: began and detected not marked" in said
    assert "*unknown*: the account was not asked" in said
    assert "UTC, when it was started: nobody marked it |" in said
    assert "No run of ours changed anything." in said
    # a time that nobody marked is one gap, and no action
    assert said.count("not marked: began, detected, acknowledged") == 1
    assert "- [ ] not marked" not in said
    assert {"summary", "surprised", "lucky", "actions"} <= cells(notebook).keys()
    assert verification.verify() == []


def test_what_was_not_measured_is_told_under_impact_and_is_no_change(project: Project) -> None:
    made = PostMortem(started(), str)
    looked = project.run("looked", "pass")
    unseen = ["impact: Latency: no data", "alarms: denied"]
    made.__dict__["timeline"] = timelines.Timeline([], looked, unseen)
    text = next(part.text for part in made.parts() if part.name == "trigger")
    assert "No change was seen in what could be read." in text
    assert "*unknown*: alarms: denied" in text
    assert "Latency" not in text


def test_made_again_it_has_new_facts_and_every_word_that_was_written(project: Project) -> None:
    found = started()
    [notebook, _] = documents.make(found)
    write(notebook, summary="## Summary\n\nThe pool was full.", impact="## Impact\n\n12 users rang")
    more = nbformat.read(notebook, as_version=4)
    more["cells"].insert(2, nbformat.v4.new_markdown_cell("A cell of mine", id="mine"))
    notebook.write_text(nbformat.writes(more))
    project.run("silence-alarm", applies("p1"))
    for _ in range(2):
        documents.make(incidents.find())
        made = cells(notebook)
        assert made["summary"]["source"] == "## Summary\n\nThe pool was full."
        assert made["kept-impact-1"]["source"] == "## Impact\n\n12 users rang"
        assert "seen critical" in made["impact"]["source"]
        assert "Silence it" in made["resolution"]["source"]
        assert "Silence it" in made["actions"]["source"]  # nobody wrote there yet
        names = [*made]
        assert names.index("mine") == names.index("summary") + 1
        assert sum(name.startswith("kept-") for name in names) == 1


def test_a_post_mortem_that_cannot_be_read_is_not_written_over(project: Project) -> None:
    [notebook, _] = documents.make(started())
    notebook.write_text("half a noteb")
    with pytest.raises(OpsError, match="somebody's words may be in it"):
        documents.make(incidents.find())
    assert notebook.read_text() == "half a noteb"


def test_what_strangers_wrote_is_shown_and_does_nothing(project: Project, tmp_path: Path) -> None:
    started()
    incidents.note(HOSTILE)
    incidents.note("=cmd()")
    _, markdown = documents.make(incidents.find())
    assert "<script>" not in markdown.read_text()
    exports.write(incidents.find(), tmp_path / "x.zip")
    page = zipfile.ZipFile(tmp_path / "x.zip").read(f"{incidents.find().id}/index.html")
    assert b"<script" not in page
    assert b'href="javascript' not in page
    rows = timelines.as_csv(timelines.timeline(incidents.find()).rows)
    assert "saw: =cmd()" in rows


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("it went from $5 to $10 a day", "it went from `$`5 to `$`10 a day"),
        (r"in C:\(new) and \begin{x}", r"in C:`\`(new) and `\`begin{x}"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("evil \u202etxt.exe", "evil `\\`u202etxt.exe"),
        ("it says &lt;b&gt; and ~~gone~~", r"it says &amp;lt;b&amp;gt; and \~\~gone\~\~"),
    ],
)
def test_a_note_reads_in_jupyterlab_as_it_was_said(said: str, written: str) -> None:
    """No formula in which text vanishes, no colour, no direction turned round."""
    assert timelines.escape(said) == written


def test_an_exported_incident_has_one_title_and_fits_its_page(
    project: Project, tmp_path: Path
) -> None:
    started()
    incidents.note("w" * 3000)
    documents.make(incidents.find())
    exports.write(incidents.find(), tmp_path / "x.zip")
    page = zipfile.ZipFile(tmp_path / "x.zip").read(f"{incidents.find().id}/index.html").decode()
    assert page.count("<h1>") == 1
    assert "<th></th>" not in page, "a screen reader says what a column is"
    assert "Practice lab</span>" in page
    assert f'<td class="said">saw: {"w" * 3000}' in page
    assert re.search(r"td\.said \{[^}]*overflow-wrap: anywhere", page)


def test_a_log_that_somebody_pasted_into_a_note_does_not_bury_the_timeline(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = started()
    incidents.note("one line of a log\n" * 5000)
    with pytest.raises(SystemExit):
        commands.main(["incident", "timeline", "--kept"])
    assert max(map(len, capsys.readouterr().out.splitlines())) < 700
    _, markdown = documents.make(incidents.find())
    assert len(markdown.read_text()) < 10_000
    exports.write(incidents.find(), tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as made:
        assert made.read(f"{found.id}/timeline.json").count(b"one line of a log") == 5000


def test_what_still_runs_is_said_and_left_out_of_an_export(
    project: Project, tmp_path: Path
) -> None:
    found = started()
    draft = sealing.opened(
        nbformat.v4.new_notebook(), facts.at_start("tests/long", "tests/long", TARGET, {})
    )
    id = draft.facts["id"]
    assert f"runs:      tests/long (record {id}) has not ended" in texts.status(found)
    made = exports.write(found, tmp_path / "x.zip")
    assert made.left_out[0] == f"record {id}: it still runs, export again when it has ended"
    with zipfile.ZipFile(tmp_path / "x.zip") as zipped:
        assert not [name for name in zipped.namelist() if id in name]
    draft.conclude(outcomes.Ending(outcomes.DONE), [])
    sealing.keep(draft)
    assert id not in "".join(exports.write(found, tmp_path / "y.zip").left_out)


IMPACT = [
    {"check": "impact: Errors", "seen": "worst 13 at 08:55; beyond its threshold from 08:55"},
    {"check": "impact: Latency", "seen": "worst 3 ms at 08:55; within its threshold"},
    {"check": "impact: Connections", "seen": "worst 9 at 08:55; within its threshold"},
]
COUNTED = {"check": "Dead letters of a", "seen": "24 visible", "cause": "dead-letter-backlog"}
RINGS = {"check": "alarm a-dlq", "seen": "ALARM since 09:12", "cause": "dead-letter-backlog"}


def test_impact_tells_what_was_beyond_its_threshold_and_jobs_by_their_number(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, rang = project.run("looked", "1"), project.run("looked", "1")
    found = {counted.id: [COUNTED], rang.id: [RINGS]}
    of = lambda record: [known({"status": "ok", **f}) for f in found.get(record.id, IMPACT)]  # noqa: E731
    monkeypatch.setattr("opslib.incidents.papers.sections.standing.findings", of)
    made = PostMortem(started(), str)
    made.__dict__["records"] = [counted, rang]
    made.__dict__["timeline"] = timelines.Timeline([], project.run("looked", "1"), [])
    text = next(part.text for part in made.parts() if part.name == "impact")
    assert "| Errors | worst 13 at 08:55; beyond its threshold from 08:55 |" in text
    calm = "Latency: worst 3 ms at 08:55. Connections: worst 9 at 08:55"
    assert f"| within their thresholds | {calm} |" in text
    assert (
        f"| jobs that did not go through | Dead letters of a: 24 visible | [{counted.id}]" in text
    )


def unpacked(tmp_path: Path, **given: Any) -> Path:
    found = incidents.find()
    made = exports.write(found, tmp_path / "x.zip", **given)
    assert made.files > 5
    with zipfile.ZipFile(tmp_path / "x.zip") as zipped:
        zipped.extractall(tmp_path / "stranger")
    return tmp_path / "stranger" / found.id


def verified(folder: Path) -> tuple[int, str]:
    """As a stranger does: Python alone, without our library."""
    command = [sys.executable, "-I", "-S", str(folder / "verify.py")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
    return said.returncode, said.stdout + said.stderr


def test_a_stranger_verifies_the_zip_and_finds_what_was_altered(
    project: Project, tmp_path: Path
) -> None:
    started()
    record = project.run("looked", "print('ok')")
    documents.make(incidents.find())
    folder = unpacked(tmp_path)
    assert verified(folder)[0] == 0, verified(folder)[1]
    page = folder / "records" / record.page.relative_to(project.records)
    assert page.is_file()
    assert f"records/{record.page.relative_to(project.records)}" in (
        folder / "index.html"
    ).read_text(encoding="utf-8")
    page.write_text(page.read_text() + " ")
    (folder / "more.txt").write_text("")
    chain = json.loads((folder / "chain.json").read_text())
    chain["rows"][0]["verdict"] = "All is well."
    (folder / "chain.json").write_text(json.dumps(chain))
    status, said = verified(folder)
    assert status == 1
    assert f"{page.name} was altered" in said
    assert "more.txt was added" in said
    assert f"the row of record {record.id} is not what was sealed" in said
    assert verification.verify() == []


@pytest.mark.slow
def test_people_are_hidden_everywhere_each_by_one_name(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "anabel")
    started()
    project.run("looked", "print('asked anabel and june.harrow@example.com')")
    incidents.note("Anabel restarted it", "told")
    documents.make(incidents.find())
    folder = unpacked(tmp_path, hide=True)
    whole = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert "anabel" not in whole.lower()
    assert "june.harrow" not in whole
    assert "asked person-1 and person-2" in whole
    assert verified(folder)[0] == 0


MEASURED = [
    {
        "metric": name,
        "title": f"{name} of {HOSTILE}",
        "unit": "count",
        "lines": [{"label": "Sum", "points": [[f"2026-11-22T14:{m:02}:00+00:00", -m]]}],
        "thresholds": [["warn", 5]],
        "beyond": name == "errors",
        "around": ["2026-11-22T13:00:00+00:00", "2026-11-22T15:00:00+00:00"],
    }
    for m, name in enumerate(["calm", "errors", "a", "b", "c"], 1)
]


@pytest.mark.slow
def test_what_was_beyond_its_threshold_is_drawn_first_with_its_words_and_values(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = started()
    record = project.run("looked", "1")
    monkeypatch.setattr(pictures, "kept", lambda *_: MEASURED)
    made = timelines.Timeline([row("ECS", "deployment <b> of anabel", 30)], record, [])
    drawn = pictures.pictures(found, made, lambda text: text.replace("anabel", "person-1"))
    assert drawn.drawn[0].name == "metrics-errors.png"
    assert len(drawn.drawn) == 4
    assert len(drawn.others) == 1
    assert "deployment <b> of person-1 14:30" in drawn.drawn[0].words
    assert drawn.table.splitlines()[2].endswith(",Sum,-2,count")
    monkeypatch.setattr("opslib.incidents.papers.sections.pictures.pictures", lambda *_: drawn)
    [_, markdown] = documents.make(found)
    assert (markdown.parent / "metrics-errors.png").read_bytes().startswith(b"\x89PNG")
    assert "<script>" not in markdown.read_text()
    exports.write(found, tmp_path / "x.zip")
    page = zipfile.ZipFile(tmp_path / "x.zip").read(f"{found.id}/index.html").decode()
    assert page.count('<img class="plot" alt="') == 4
    assert "<script>" not in page
    monkeypatch.setattr("opslib.incidents.papers.sections.pictures.pictures", lambda *_: Pictures())
    documents.make(found)
    assert not list(markdown.parent.glob("metrics*"))


def test_a_name_is_not_looked_for_within_words() -> None:
    hidden = Hidden(["root", "ana@example.com"])
    assert hidden.hide(":root {} /root-cause by root, ana") == (
        ":root {} /root-cause by person-2, person-1"
    )
    assert hidden.hide(
        "}:root{} AROAEXAMPLEID:ana, user:ana, chown ana:ana, ana%40example.com"
    ) == (
        "}:root{} AROAEXAMPLEID:person-1, user:person-1, chown person-1:person-1, "
        "person-1%40example.com"
    )


def row(source: str, what: str, minute: int, kind: str = "deployment") -> Row:
    return Row(datetime(2026, 11, 22, 14, minute, tzinfo=UTC), kind, what, source)


def test_what_our_run_did_and_what_cloudtrail_tells_better_is_no_row_of_its_own() -> None:
    ours = [{"operation": "UpdateAlias", "started": "2026-11-22T14:20:03+00:00"}]
    rows = [
        row("CloudTrail", "PublishVersion20150331 bmx-api", 1),
        row("versions", "version 7 (x) published bmx-api", 1),
        row("versions", "version 9 (x) published bmx-worker", 1),
        row("CloudTrail", "UpdateAlias20150331v2 bmx-api", 20),
        row("CloudTrail", "UpdateAlias20150331v2 bmx-api", 40),
        row("CloudWatch", "bmx-errors: OK to ALARM", 2, "alarm"),
    ]
    kept = {(r.source, r.time.minute, r.what) for r in timelines.without_doubles(rows, ours)}
    assert kept == {(rows[at].source, rows[at].time.minute, rows[at].what) for at in (0, 2, 4, 5)}


def test_an_alarm_that_swings_stands_once_with_how_often_and_until_when() -> None:
    midnight = datetime(2027, 1, 1, tzinfo=UTC)
    swings = [
        timelines.Row(midnight + timedelta(minutes=at - 5), "alarm", f"bmx: {said}", "CloudWatch")
        for at in range(10)
        for said in ("OK to INSUFFICIENT_DATA", "INSUFFICIENT_DATA to OK")
    ]
    rang = timelines.Row(midnight, "alarm", "bmx: OK to ALARM", "CloudWatch")
    shown = timelines.as_markdown([*timelines.together([*swings, rang])])
    assert shown.count("2026-12-31 23:55:00 | bmx: OK to") == 1
    assert shown.count("(10 times until 2027-01-01 00:04:00)") == 2
    assert "2027-01-01 00:00:00 | bmx: OK to ALARM | alarm" in shown
