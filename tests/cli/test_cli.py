"""The command: what it refuses before anything starts, what it says, how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opslib.cli import commands
from opslib.cli import runs as told
from opslib.core import console, paths
from opslib.records import reading, records
from tests.projects import JOURNAL, TARGET, Project

PRODUCTION = "lab/bluemoxon-production"


@pytest.fixture
def bluemoxon(project: Project) -> Project:
    """A project with a change, and a runbook with an entry that sets one of its parameters."""
    project.procedure(
        "purge",
        JOURNAL,
        "step = {'title': f'Purge {queue}', 'before': 7, 'after': 0, 'undo': None}\n"
        "plan = {'id': 'abc.op.20261122T160000Z', 'summary': 'purge', 'steps': [step], "
        "'notes': ['They are lost.']}",
        "journal.write('plan', plan=plan)",
        "if approved:\n    journal.write('applying', plan='p', approved=approved, by='op')\n"
        "    journal.write('step', number=1, title='Purge', state='applied', undo=None)",
        parameters='queue: str = None  # which\nmost: int = 10  # at most\napproved: str = ""  # '
        "the plan",
        effect="destroy",
    )
    runbook = project.home / "parameters" / "runbooks" / "bluemoxon.yaml"
    runbook.parent.mkdir()
    runbook.write_text(
        "system: bluemoxon\ntitle: BlueMoxon\nsections:\n- title: Queues\n  entries:\n  - name: "
        "purge-orders\n    title: Purge the orders\n"
        "    procedure: tests/purge\n    parameters: {queue: orders}\n    symptoms: [orders pile "
        "up]\n"
    )
    return project


def refused(project: Project, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says when it refuses for usage; nothing may have been started."""
    with pytest.raises(SystemExit) as ended:
        commands.main(list(arguments))
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert not project.records.exists()
    return said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["tests/purg", "-t", TARGET],
            "Unknown procedure 'tests/purg'. Did you mean 'tests/purge'?",
        ),
        (
            ["bluemoxon/purge", "-t", TARGET],
            "Unknown runbook entry 'bluemoxon/purge'. Did you mean 'bluemoxon/purge-orders'?",
        ),
        (["tests/purge", "-t", "lab/bluemoxon-stagin"], "Did you mean 'lab/bluemoxon-staging'"),
        (
            ["tests/purge", "-t", TARGET, "-p", "qeue=x"],
            "Unknown parameter 'qeue' of tests/purge. Did you mean 'queue'?",
        ),
        (
            ["tests/purge", "-t", TARGET],
            "tests/purge needs queue (str: which). Give it with -p queue=…",
        ),
        (
            ["tests/purge", "-t", TARGET, "-p", "queue=x", "-p", "most=many"],
            "most='many' of tests/purge is not int",
        ),
        (["tests/purge", "-t", TARGET, "-p", "queue"], "-p 'queue' is not NAME=VALUE"),
        (
            ["tests/purge", "-t", TARGET, "-p", "queue=x", "-p", "queue=y"],
            "-p queue=… is given twice",
        ),
        (["tests/purge", "-t", TARGET, "-p", "target=x"], "The target is given with -t"),
        (
            ["tests/purge", "-t", TARGET, "-p", "queue=x", "-p", "approved=p", "--apply"],
            "Give one of them",
        ),
        (["tests/purge"], "Missing option '-t'"),
    ],
)
def test_bad_usage_is_refused_before_a_kernel_starts(
    bluemoxon: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in refused(bluemoxon, capsys, "run", *arguments)


def test_apply_is_refused_where_there_is_nothing_to_apply(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.procedure("looks", "1")
    assert "changes nothing" in refused(
        project, capsys, "run", "tests/looks", "-t", TARGET, "--apply"
    )


@pytest.mark.slow
def test_values_are_taken_as_they_are_written(project: Project) -> None:
    """papermill's own -p makes 12345678901 of the account 012345678901."""
    parameters = (
        'account: str = ""  # id\nsince: str = ""  # time\nmost: int = 0  # n\nready: '
        "bool = False  # b"
    )
    project.procedure("typed", "print(repr((account, since, most, ready)))", parameters=parameters)
    given = [
        word
        for pair in ("account=012345678901", "since=12:30", "most=7", "ready=yes")
        for word in ("-p", pair)
    ]
    done = project.command("run", "tests/typed", "-t", TARGET, *given)
    assert done.returncode == 0, done.stderr
    assert project.text(reading.list_records()[0]) == "('012345678901', '12:30', 7, True)\n"


_FOUND = """journal.write("findings", findings=[
    {{"status": status, "check": "c", "seen": "s"}} for status in "{}".split()])"""


@pytest.mark.some(7)
@pytest.mark.parametrize(
    ("cell", "status"),
    [
        (_FOUND.format("ok"), 0),
        (_FOUND.format("warn"), 0),
        (_FOUND.format("critical"), 4),
        (_FOUND.format("ok unknown warn"), 5),
        ("1/0", 1),
        ("import os; os.kill(os.getpid(), 9)", 1),
        ("from opslib import Refused\nraise Refused('no')", 3),
    ],
)
def test_the_exit_status_says_how_it_ended(project: Project, cell: str, status: int) -> None:
    project.procedure("ends", JOURNAL, cell)
    done = project.command("run", "tests/ends", "-t", TARGET)
    assert done.returncode == status, done.stdout + done.stderr
    assert f"record:  {project.records}" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("statuses", "status"),
    [(("ok", "warn"), 0), (("ok", "unknown"), 5), (("unknown", "critical"), 4), ((), 0)],
)
def test_of_several_runs_the_worst_counts(statuses: tuple[str, ...], status: int) -> None:
    ended: list[Any] = [SimpleNamespace(outcome="attention", status=s) for s in statuses]
    assert told.exit_status(ended) == status
    for outcome, worse in (("failed", 1), ("refused", 3), ("interrupted", 130)):
        other: Any = SimpleNamespace(outcome=outcome, status="ok")
        assert told.exit_status([*ended, other]) == worse


@pytest.mark.slow
def test_a_time_out_ends_with_1(project: Project) -> None:
    project.procedure("slow", "import time; time.sleep(60)")
    done = project.command("run", "tests/slow", "-t", TARGET, "--timeout", "2")
    assert done.returncode == 1
    assert "timed out: Stopped in cell 4 of 4" in done.stdout


@pytest.mark.slow
def test_a_preview_says_how_to_apply_it(bluemoxon: Project) -> None:
    done = bluemoxon.command("run", "bluemoxon/purge-orders", "-t", TARGET, "-p", "most=5")
    assert done.returncode == 0, done.stderr
    assert "previewed" in done.stdout
    assert "step 1:  Purge orders (cannot be undone): 7 → 0\n" in done.stdout
    assert "note:    They are lost.\n" in done.stdout
    command = (
        "opslib run bluemoxon/purge-orders -t lab/bluemoxon-staging -p most=5 -p "
        "approved=abc.op.20261122T160000Z"
    )
    assert f"apply:   {command}" in done.stdout
    record = reading.list_records()[0]
    assert (record.name, record.procedure, record.parameters["queue"]) == (
        "bluemoxon/purge-orders",
        "tests/purge",
        "orders",
    )


@pytest.mark.slow
def test_the_command_that_applies_types_the_name_of_production(bluemoxon: Project) -> None:
    """The journal of a connection says that the target is production; the record keeps it."""
    bluemoxon.procedure(
        "stop",
        JOURNAL,
        "journal.write('connected', target=target, production='production' in target)",
        "journal.write('plan', plan={'id': 'abc.op.20261122T160000Z', 'summary': 's', 'steps': "
        "[{'title': 'Stop'}]})",
        parameters='approved: str = ""  # the plan',
        effect="change",
    )
    shown = {
        target: bluemoxon.command("run", "tests/stop", "-t", target).stdout
        for target in (TARGET, PRODUCTION)
    }
    assert "confirm=" not in shown[TARGET]
    assert f"-p approved=abc.op.20261122T160000Z -p confirm={PRODUCTION}\n" in shown[PRODUCTION]


@pytest.mark.slow
def test_the_command_that_applies_says_that_it_is_outside_of_the_window(bluemoxon: Project) -> None:
    meant = f"{PRODUCTION} outside the window"
    bluemoxon.procedure(
        "stop",
        JOURNAL,
        "journal.write('connected', target=target, production=True)",
        "journal.write('plan', plan={'id': 'abc.op.20261122T160000Z', 'summary': 's', 'steps': "
        f"[{{'title': 'Stop'}}]}}, confirm={meant!r})",
        parameters='approved: str = ""  # the plan',
        effect="change",
    )
    shown = bluemoxon.command("run", "tests/stop", "-t", PRODUCTION).stdout
    assert f"-p 'confirm={meant}'\n" in shown


@pytest.mark.slow
def test_apply_passes_the_approval(bluemoxon: Project) -> None:
    done = bluemoxon.command("run", "bluemoxon/purge-orders", "-t", TARGET, "--apply", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["outcome"], said["changed"]) == ("changed", ["Purge"])
    assert reading.list_records()[0].parameters["approved"] == "now"


@pytest.mark.slow
def test_findings_are_shown_worst_first_and_control_codes_are_not(project: Project) -> None:
    found = [
        {"status": "ok", "check": "one", "seen": "fine"},
        {
            "status": "critical",
            "check": "two",
            "seen": "\x1b]0;owned\x07\x1b[31mbad " + "word " * 40,
            "next": "queues/redrive",
        },
    ]
    project.procedure("looks", JOURNAL, f"journal.write('findings', findings={found!r})")
    out = project.command("run", "tests/looks", "-t", TARGET).stdout
    assert out.index("critical") < out.index("ok  ")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert len(out.split("\n\n")[1].splitlines()) == 3  # under a pipe a row is a line
    assert "next:    queues/redrive" in out


@pytest.mark.slow
def test_an_entry_on_a_target_of_another_system_is_said_to_be_one(bluemoxon: Project) -> None:
    book = bluemoxon.home / "parameters" / "runbooks" / "bluemoxon.yaml"
    other = book.read_text().replace("system: bluemoxon", "system: dms")
    book.with_name("dms.yaml").write_text(other)
    ours = bluemoxon.command("run", "bluemoxon/purge-orders", "-t", TARGET)
    theirs = bluemoxon.command("run", "dms/purge-orders", "-t", TARGET)
    assert "runbook" not in ours.stderr
    assert f"dms/purge-orders is of dms's runbook, {TARGET} is not" in theirs.stderr
    assert (ours.returncode, theirs.returncode) == (0, 0)


@pytest.mark.slow
def test_data_goes_to_stdout_and_progress_to_stderr_as_lines(project: Project) -> None:
    project.procedure(
        "steps",
        "## Look",
        "1",
        "2",
        "3",
        "## Act",
        "4",
        JOURNAL + "\njournal.write('progress', message='half')",
    )
    done = project.command("run", "tests/steps", "-t", TARGET, "--json")
    assert json.loads(done.stdout)["outcome"] == "ok"
    assert done.stderr.splitlines() == ["[1/10] Steps", "[4/10] Look", "[8/10] Act", "half"]


@pytest.mark.slow
def test_on_a_terminal_progress_is_one_line(project: Project) -> None:
    project.procedure("steps", "## Look", "1", "## Act", "2")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "opslib", "run", "tests/steps", "-t", TARGET]
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=follower, cwd=project.home, check=True
    )
    said = os.read(leader, 10_000).decode()
    os.close(follower)
    os.close(leader)
    assert "\n" not in said
    assert said.count("\r\x1b[K") >= 5
    assert "[7/7] Act" in said


def test_list_and_show(bluemoxon: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(said(capsys, "list", "--json"))[0]["name"] == "tests/purge"
    [entry] = json.loads(said(capsys, "list", "bluemoxon", "--json"))
    assert {k: entry[k] for k in ("name", "title", "section", "procedure", "effect")} == {
        "name": "bluemoxon/purge-orders",
        "title": "Purge the orders",
        "section": "Queues",
        "procedure": "tests/purge",
        "effect": "destroy",
    }
    assert "bluemoxon/purge-orders  destroy  Purge the orders" in said(capsys, "list", "bluemoxon")
    shown = said(capsys, "show", "bluemoxon/purge-orders")
    assert "orders pile up" in shown
    assert "opslib run bluemoxon/purge-orders -t lab/bluemoxon-staging --apply" in shown
    assert (
        json.loads(said(capsys, "show", "tests/purge", "--json"))["parameters"][0]["default"]
        is None
    )


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        commands.main(list(arguments))
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_records_are_listed_shown_and_verified(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "records") == "No records.\n"
    assert json.loads(said(capsys, "records", "--json")) == []
    record = project.run("hello", "print('hello')")
    [row] = json.loads(said(capsys, "records", "--target", TARGET, "--since", "1d", "--json"))
    assert {
        "id",
        "name",
        "target",
        "started",
        "ended",
        "outcome",
        "verdict",
        "path",
        "page",
    } <= set(row)
    assert (row["id"], row["name"], row["outcome"]) == (record.id, "tests/hello", "ok")
    assert Path(row["path"]).is_file()
    assert Path(row["page"]).is_file()
    assert record.id in said(capsys, "records")
    nothing = said(capsys, "records", "--outcome", "failed")
    assert nothing == "No record fits. All of them: opslib records\n"
    later = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    with pytest.raises(SystemExit):
        commands.main(["records", "--since", later])
    assert f"opslib: {later} lies in the future (now " in capsys.readouterr().err
    assert json.loads(said(capsys, "records", "show", record.id, "--json"))["versions"]["python"]
    assert said(capsys, "records", "page", record.id).strip() == str(record.page)
    head = said(capsys, "records", "head").strip()
    assert said(capsys, "records", "verify") == f"1 record, as it was sealed.\nhead: {head}\n"
    record.path.write_text(record.path.read_text() + " ")
    with pytest.raises(SystemExit) as ended:
        commands.main(["records", "verify", "--json"])
    assert ended.value.code == 1
    [problem] = json.loads(capsys.readouterr().out)
    assert problem == {
        "id": record.id,
        "problem": f"its file {records.place(record.id)} was altered",
    }


@pytest.mark.slow
def test_a_report_runs_on_several_targets_at_once(project: Project) -> None:
    path = project.procedure("daily", "print(target)", JOURNAL)
    (path.parent.parent / "reports").mkdir()
    path.rename(path.parent.parent / "reports" / "daily.ipynb")
    done = project.command(
        "report", "daily", "-t", TARGET, "-t", "lab/bluemoxon-production", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert [row["target"] for row in json.loads(done.stdout)] == [
        TARGET,
        "lab/bluemoxon-production",
    ]
    assert "lab/bluemoxon-production: [1/5] Daily" in done.stderr


@pytest.mark.slow
def test_a_read_only_records_folder_is_said_clearly(project: Project) -> None:
    project.procedure("hello", "1")
    project.records.write_text("a file")
    done = project.command("run", "tests/hello", "-t", TARGET)
    assert done.returncode == 1
    assert done.stderr.startswith("opslib: Records cannot be written to")
    assert done.stdout == ""


def test_help_needs_no_lab_and_names_the_exit_statuses(project: Project) -> None:
    done = project.command("run", "--help")
    assert "4 done, and a finding is critical" in done.stdout
    assert "5 done, none is critical, and one is unknown" in done.stdout


def test_list_loads_nothing_heavy() -> None:
    """Half a second is the promise; what would break it is a library that is loaded for nothing."""
    script = (
        "import atexit, sys; from opslib.cli import commands as cli; "
        "atexit.register(lambda: print(*{name.split('.')[0] for name in sys.modules}, "
        "file=sys.stderr)); "
        "cli.main(['list'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    heavy = {
        "boto3",
        "botocore",
        "jinja2",
        "jsonschema",
        "matplotlib",
        "moto",
        "nbformat",
        "numpy",
        "pandas",
    }
    assert not {*heavy, "papermill", "psycopg", "sqlalchemy"} & set(done.stderr.split())
    assert "yaml" in done.stderr.split()
    assert "queues/redrive" in done.stdout


@pytest.mark.parametrize(
    ("stdout", "status", "said"),
    [
        (">/dev/full", 1, "opslib: No space left on device: not all could be shown.\n"),
        (">&-", 0, ""),
    ],
)
def test_a_full_or_closed_stdout_is_said_in_a_line(stdout: str, status: int, said: str) -> None:
    command = f"{sys.executable} -m opslib list {stdout}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (status, said)


def test_a_folder_is_found_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, folder in (("RECORDS", paths.records), ("LAB_DIR", paths.lab)):
        monkeypatch.setenv(f"OPSLIB_{name}", "~/kept")
        assert folder() == tmp_path / "kept"


@pytest.mark.slow
def test_find_names_what_to_run_and_says_when_it_does_not_understand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("people", "can't", "log", "in", "-t", "lab/bluemoxon-staging")
    [best, *_] = json.loads(said(capsys, "find", *words, "--json"))
    assert best["run"] == "opslib run bluemoxon/sign-in -t lab/bluemoxon-staging"
    assert "The first: opslib run bluemoxon/sign-in" in said(capsys, "find", *words)
    [first_look] = json.loads(said(capsys, "find", "qwertz", "--json"))
    assert first_look["name"] == "reports/triage"
    assert "'qwertz' is not understood" in first_look["why"]
    assert "nothing is known yet" in said(capsys, "find", "I do not know yet")


@pytest.mark.parametrize("name", ["ai-studio/rotate-jwt-secret", "bluemoxon/rollback"])
def test_the_command_that_is_shown_is_for_a_target_of_its_own_system(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A notebook's own default may be of another system."""
    for command in json.loads(said(capsys, "show", name, "--json"))["run"]:
        assert f" -t lab/{name.split('/')[0]}-" in command


@pytest.mark.slow
def test_a_report_begins_with_what_is_not_well_and_counts_the_rest(project: Project) -> None:
    found: list[Any] = [
        {"status": s, "check": s, "seen": s, "threshold": "none"} for s in ("ok", "critical", "ok")
    ]
    found.append({"status": "ok", "check": "told", "seen": "what has no rule is told, not passed"})
    path = project.procedure("daily", JOURNAL, f"journal.write('findings', findings={found!r})")
    (path.parent.parent / "reports").mkdir()
    path.rename(path.parent.parent / "reports" / "daily.ipynb")
    done = project.command("report", "daily", "-t", TARGET)
    id = reading.list_records()[0].id
    table, counted = done.stdout.split("\n\n")[-3:-1]
    assert [line.split()[:2] for line in table.splitlines()] == [
        ["status", "check"],
        ["critical", "critical"],
        ["ok", "told"],
    ]
    assert counted == f"2 ok: opslib records show {id}"
    assert "ok        ok" in project.command("records", "show", id).stdout


@pytest.mark.slow
def test_a_live_cell_is_heard_line_by_line_and_not_in_json(project: Project) -> None:
    path = project.procedure("follow", "print('one\\ntw', end='', flush=True)\nprint('o')")
    notebook = json.loads(path.read_text())
    notebook["cells"][-1]["metadata"]["tags"] = ["live"]
    path.write_text(json.dumps(notebook))
    done = project.command("run", "tests/follow", "-t", TARGET)
    assert done.stdout.startswith("one\ntwo\n")
    assert json.loads(project.command("run", "tests/follow", "-t", TARGET, "--json").stdout)


@pytest.mark.parametrize(("no_colour", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_a_terminal_that_wants_them(
    monkeypatch: pytest.MonkeyPatch, no_colour: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    assert ("\x1b" in console.coloured("critical")) is coloured
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: False))
    assert console.coloured("critical") == "critical"


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == f"opslib {version('opslib')}\n"


@pytest.mark.some(4)
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("opslib run queues/re", "queues/redrive"),
        ("opslib run bluemoxon/sig", "bluemoxon/sign-in"),
        ("opslib run logs/follow -t lab/dm", "lab/dms-dev"),
        ("opslib run logs/follow -p sec", "seconds="),
        ("opslib run logs/follow -t lab/dms-dev -p function=init", "function=init-upload"),
        ("opslib report da", "daily"),
        ("opslib list log", "loglineos"),
    ],
)
def test_tab_completes_names(typed: str, offered: str) -> None:
    words = typed.split()
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "opslib"],
        env=os.environ | asked | {"_OPSLIB_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
    )
    assert f"plain,{offered}" in done.stdout.splitlines()


def test_completion_is_set_up_by_a_line_for_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("zsh", "fish", "bash"):
        assert "_OPSLIB_COMPLETE" in said(capsys, "completion", shell)
