"""The engine: whatever becomes of a run, its record says so and has what there was."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from opslib.core.errors import OpsError
from opslib.records import reading, verification
from tests.projects import JOURNAL, TARGET, Project
from tests.waiting import until, wait

SECRET = "correct-horse-battery"
BIN = Path(sys.executable).parent


def finding(status: str, **more: object) -> str:
    found = {"status": status, "check": "queue is empty", "seen": "3"} | more
    return f"journal.write('findings', findings=[{found!r}])"


def test_importing_the_engine_imports_nothing_heavy() -> None:
    code = "import sys, opslib.runs.engine; print(*(m for m in sys.modules if '.' not in m))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    heavy = {
        "papermill",
        "nbformat",
        "nbclient",
        "jupyter_client",
        "sqlalchemy",
        "pandas",
        "boto3",
        "jinja2",
    }
    assert heavy & set(said.split()) == set()


def test_plain_papermill_makes_the_same_record(project: Project) -> None:
    notebook = project.procedure(
        "hello", "print('hello', who)", parameters='who: str = "you"  # who'
    )
    out = project.home / "out.ipynb"
    command = [
        str(BIN / "papermill"),
        "--engine",
        "opslib",
        str(notebook),
        str(out),
        "-p",
        "who",
        "me",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [record] = reading.list_records()
    assert (record.procedure, record.target, record.outcome) == ("tests/hello", TARGET, "ok")
    assert record.parameters == {"target": TARGET, "who": "me"}
    assert "hello me" in project.text(record)
    assert "hello me" in out.read_text()
    assert json.loads(out.read_text())["metadata"]["opslib"]["exit_status"] == 0
    assert "without encryption" not in done.stderr + record.path.read_text()


@pytest.mark.slow
def test_plain_papermill_still_fails_when_a_cell_fails(project: Project) -> None:
    notebook = project.procedure("broken", "1/0")
    command = [
        str(BIN / "papermill"),
        "--engine",
        "opslib",
        str(notebook),
        str(project.home / "out.ipynb"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "papermill-error-cell" in (project.home / "out.ipynb").read_text()
    assert reading.list_records()[0].outcome == "failed"


@pytest.mark.slow
def test_plain_papermill_keeps_its_copy_when_the_kernel_dies(project: Project) -> None:
    notebook = project.procedure("dies", "print('so far')", "import os; os.kill(os.getpid(), 9)")
    out = project.home / "out.ipynb"
    done = subprocess.run(
        [str(BIN / "papermill"), "--engine", "opslib", str(notebook), str(out)], capture_output=True
    )
    assert done.returncode != 0
    assert "so far" in out.read_text()


@pytest.mark.slow
def test_an_output_that_cannot_be_written_is_found_before_the_run(project: Project) -> None:
    notebook = project.procedure("hello", f"open({str(project.home / 'ran')!r}, 'w')")
    command = [
        str(BIN / "papermill"),
        "--engine",
        "opslib",
        str(notebook),
        str(project.home / "none" / "out.ipynb"),
    ]
    assert subprocess.run(command, capture_output=True).returncode == 1
    assert not (project.home / "ran").exists()
    assert project.files() == []


def test_a_record_says_who_when_where_and_with_which_code(project: Project) -> None:
    connected = (
        "journal.write('connected', account='111122223333', region='us-west-2', "
        "arn='arn:aws:iam::1:user/op')"
    )
    call = (
        "journal.write('call', service='sqs', operation='ListQueues', request_id='r1', seconds=0.1)"
    )
    record = project.run("facts", JOURNAL, connected, call)
    said = reading.details(record)
    assert (said["account"], said["region"], said["arn"]) == (
        "111122223333",
        "us-west-2",
        "arn:aws:iam::1:user/op",
    )
    assert said["calls"] == [
        {"service": "sqs", "operation": "ListQueues", "request_id": "r1", "seconds": 0.1}
    ]
    assert said["who"]
    assert said["versions"]["python"]
    assert said["started"] < said["ended"]
    assert (record.system, record.lab, record.account) == ("bluemoxon", True, "111122223333")
    assert record.page.is_file()


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("events", "outcome", "status"),
    [
        ([finding("ok")], "ok", "ok"),
        ([finding("warn")], "attention", "warn"),
        ([finding("unknown")], "attention", "unknown"),
        ([finding("ok"), finding("critical")], "attention", "critical"),
        (
            ["journal.write('plan', plan={'id': 'p', 'steps': [{'title': 'purge'}]})"],
            "previewed",
            "ok",
        ),
        (["journal.write('plan', plan={'id': 'p', 'steps': []})"], "ok", "ok"),
        (
            [
                finding("critical"),
                "journal.write('plan', plan={'id': 'p', 'steps': [{'title': 'purge'}]})",
                "journal.write('applying', plan='p', approved='now', by='op')",
                "journal.write('step', number=1, title='purge', state='started')",
                "journal.write('step', number=1, title='purge', state='applied', undo=None)",
                finding("ok", verifies=True),
            ],
            "changed",
            "ok",
        ),
    ],
)
def test_the_outcome_is_what_was_found_and_done(
    project: Project, events: list[str], outcome: str, status: str
) -> None:
    record = project.run("outcome", JOURNAL, *events)
    assert (record.outcome, record.status) == (outcome, status)


def test_a_cell_that_fails_ends_the_run_and_the_rest_is_not_called_completed(
    project: Project,
) -> None:
    record = project.run("fails", "## The cause", "print('before')", "1/0", "print('after')")
    assert record.outcome == "failed"
    assert record.verdict is not None
    assert "cell 6 of 7 (The cause): ZeroDivisionError: division by zero" in record.verdict
    assert "before" in project.text(record)
    statuses = [
        cell["metadata"]["papermill"]["status"] for cell in project.notebook(record)["cells"]
    ]
    assert statuses[-2:] == ["failed", "pending"]


def test_a_guard_that_refuses_is_not_a_failure(project: Project) -> None:
    record = project.run(
        "refuses", "from opslib import Refused\nraise Refused('Not now. Nothing was changed.')"
    )
    assert (record.outcome, record.verdict) == ("refused", "Not now. Nothing was changed.")


def test_leaving_with_status_0_is_no_success(project: Project) -> None:
    record = project.run("leaves", "import sys; sys.exit(0)")
    assert record.outcome == "failed"
    assert "told to exit" in str(record.verdict)


def test_a_failed_change_says_how_far_it_came(project: Project) -> None:
    record = project.run(
        "halfway",
        JOURNAL,
        "journal.write('plan', plan={'id': 'p', 'steps': [{'title': 'a'}, {'title': 'b'}]})",
        "journal.write('applying', plan='p', approved='now', by='op')",
        "journal.write('step', number=1, title='a', state='applied', undo=[], before=1, after=2, "
        "observe=None)",
        "journal.write('step', number=2, title='b', state='started')\n1/0",
    )
    assert record.outcome == "failed"
    assert "1 of 2 steps were applied. Whether step 2 (b) was applied is not known." in str(
        record.verdict
    )
    kept = reading.details(record)["steps"]
    assert [step["title"] for step in kept if step["state"] == "applied"] == ["a"]


@pytest.mark.slow
def test_a_run_that_takes_too_long_is_stopped(project: Project) -> None:
    slow = "print('so far', flush=True)\nimport time; time.sleep(60)\nprint('to the end')"
    record = project.run("slow", slow, timeout_seconds=3)
    assert record.outcome == "timed out"
    assert project.text(record) == "so far\n"


@pytest.mark.slow
def test_a_kernel_that_dies_is_said_to_have_died(project: Project) -> None:
    record = project.run(
        "dies", "print('so far')", "import os; os.kill(os.getpid(), 9)", "print('after')"
    )
    assert record.outcome == "kernel died"
    assert "SIGKILL, perhaps out of memory" in str(record.verdict)
    assert "so far" in project.text(record)
    assert project.notebook(record)["cells"][-1]["metadata"]["papermill"]["status"] == "pending"


def running(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """`opslib run`, once its last cell waits."""
    process = project.start("run", *arguments)
    waits = project.home / "waits"
    until(lambda: waits.exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


WAITS = """from pathlib import Path
import os, time
Path(os.environ["OPSLIB_HOME"], "waits").write_text(str(os.getpid()))
time.sleep(60)"""


def _begun_last(saved: Path) -> str:
    """The source of the last cell that was begun, as the file has it."""
    cells = json.loads(saved.read_text())["cells"]
    begun = [c for c in cells if c["metadata"].get("papermill", {}).get("start_time")]
    return "".join(begun[-1]["source"]) if begun else ""


@pytest.mark.slow
def test_a_run_whose_process_was_killed_shows_as_interrupted_with_all_it_had(
    project: Project,
) -> None:
    project.procedure(
        "waits",
        JOURNAL,
        finding("critical"),
        "print('so far')\nimport time; time.sleep(1.2)",
        WAITS,
    )
    process = running(project, "tests/waits", "-t", TARGET)
    assert reading.list_records()[0].outcome == "running"
    saved = next(project.records.rglob("*.ipynb"))
    wait(lambda: "Path(os.environ" in _begun_last(saved), True)
    process.kill()
    process.communicate()
    [record] = reading.list_records()
    assert (record.outcome, record.status) == ("interrupted", "critical")
    assert "killed in cell 7 of 7" in str(record.verdict)
    assert "so far" in project.text(record)
    assert reading.details(record)["findings"][0]["check"] == "queue is empty"
    assert record.page.is_file()
    assert verification.verify() == []
    kernel = int((project.home / "waits").read_text())
    until = time.monotonic() + 10
    while psutil.pid_exists(kernel) and time.monotonic() < until:
        time.sleep(0.1)
    assert list(Path("/tmp").glob(f"opslib-{process.pid}-*")) == []
    assert not psutil.pid_exists(kernel), "the kernel outlives the process that started it"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_soon_and_is_kept(project: Project, number: signal.Signals) -> None:
    project.procedure("waits", "print('so far')", WAITS, "print('after')")
    process = running(project, "tests/waits", "-t", TARGET)
    process.send_signal(number)
    out, _ = process.communicate(timeout=15)
    assert process.returncode == 130
    [record] = reading.list_records()
    assert record.outcome == "interrupted"
    assert "so far" in project.text(record)
    assert "after" not in project.text(record)
    assert "interrupted:" in out


@pytest.mark.slow
def test_a_cell_that_does_not_listen_is_ended(project: Project) -> None:
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WAITS
    project.procedure("deaf", deaf)
    process = running(project, "tests/deaf", "-t", TARGET)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert reading.list_records()[0].outcome == "interrupted"


def test_no_secret_reaches_the_disk(project: Project) -> None:
    tell = (
        f"secret = {SECRET[:7]!r} + {SECRET[7:]!r}\njournal.write('secret', value=secret, "
        "label='database/password')"
    )
    project.procedure(
        "secrets",
        JOURNAL,
        tell,
        "print('it is', secret)",
        "from IPython.display import HTML\nHTML(f'<b>{secret}</b>')",
        "journal.write('call', service='sql', operation=f'ALTER USER x PASSWORD {secret}')",
        finding("warn").replace("'3'", "secret"),
        "print('x\\n' * 150_000 + secret)",
        "raise ValueError(secret)",
        parameters='note: str = ""  # a note',
    )
    record = project.run("secrets", note=f"it is {SECRET}")
    assert record.outcome == "failed"
    for file in project.files():
        assert SECRET.encode() not in file.read_bytes(), file
    assert "[secret database/password]" in project.text(record)
    assert "[secret database/password]" in record.page.read_text()
    assert "[secret database/password]" in record.parameters["note"]
    assert (
        "[secret database/password]"
        in (record.path.with_suffix(".spill") / "cell-10.txt").read_text()
    )


@pytest.mark.slow
def test_no_secret_reaches_the_disk_while_the_run_goes_on(project: Project) -> None:
    tell = (
        f"secret = {SECRET[:7]!r} + {SECRET[7:]!r}\njournal.write('secret', value=secret, "
        "label='db')\nprint(secret)"
    )
    project.procedure(
        "waits", JOURNAL, tell, "import time; time.sleep(1.2)", "print(secret)", WAITS
    )
    process = running(project, "tests/waits", "-t", TARGET)
    contents: list[bytes] = []

    def told() -> bool:
        contents.extend(file.read_bytes() for file in project.files())
        return b"[secret db]" in b"".join(contents)

    until(told)
    process.kill()
    process.communicate()
    assert not any(SECRET.encode() in content for content in contents)


@pytest.mark.slow
def test_much_output_is_kept_in_part_and_the_rest_beside_it(project: Project) -> None:
    record = project.run(
        "talks",
        "for i in range(100_000): print('line', i)",
        "for i in range(3000): print(i, flush=True)",
    )
    assert record.path.stat().st_size < 1_000_000
    beside = record.path.with_suffix(".spill") / "cell-04.txt"
    text = project.text(record)
    assert f"{record.id}.spill/cell-04.txt" in text
    first = text.split("… the next")[0].splitlines()
    assert [*first, *beside.read_text().splitlines()] == [f"line {i}" for i in range(100_000)]
    last = project.notebook(record)["cells"][-1]["outputs"]
    assert len(last) == 1, "what is printed line by line is one output"
    assert reading.details(record)["spilled"][0]["file"] == f"{record.id}.spill/cell-04.txt"


def test_a_progress_bar_is_kept_as_it_ended(project: Project) -> None:
    record = project.run("bar", "for i in range(1001): print(f'\\r{i} of 1000', end='')\nprint()")
    assert project.text(record) == "1000 of 1000\n"


def test_large_tables_go_beside_the_record_and_pictures_stay(project: Project) -> None:
    picture = (
        "import io, os\nfrom PIL import Image as P\nfrom IPython.display import Image\nfile = "
        "io.BytesIO()\n"
        "P.frombytes('RGB', (500, 500), os.urandom(750_000)).save(file, "
        "'png')\nImage(file.getvalue())"
    )
    record = project.run(
        "shows", "from IPython.display import HTML\nHTML('<p>' + 'x' * 300_000 + '</p>')", picture
    )
    table, shown = project.notebook(record)["cells"][-2:]
    assert "text/html" not in table["outputs"][0]["data"]
    assert ".spill/cell-04-output-01.html" in table["outputs"][0]["data"]["text/plain"]
    assert len(shown["outputs"][0]["data"]["image/png"]) > 900_000


def test_records_that_cannot_be_written_stop_a_run_before_it_starts(project: Project) -> None:
    project.procedure("hello", f"open({str(project.home / 'ran')!r}, 'w')")
    project.records.write_text("a file where the folder should be")
    with pytest.raises(
        OpsError, match=r"cannot be written.*is a file, not a folder\. Nothing was run"
    ):
        project.run("hello")
    assert not (project.home / "ran").exists()


def test_an_index_that_does_not_answer_stops_a_run_before_its_first_cell(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_INDEX", "postgresql://nobody:hunter22@127.0.0.1:1/none")
    project.procedure("hello", f"open({str(project.home / 'ran')!r}, 'w')")
    with pytest.raises(
        OpsError, match=r"index of records at .*127.0.0.1:1/none does not answer"
    ) as caught:
        project.run("hello")
    assert "hunter22" not in str(caught.value)
    assert not (project.home / "ran").exists()
    assert [f for f in project.files() if f.suffix == ".ipynb"] == []


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_a_whole_record_without_outputs(project: Project) -> None:
    """The process may not write a file of more than 150 kB.

    The index fits, the record with its output does not.
    """
    project.procedure("large", JOURNAL, finding("critical"), "print('x' * 190_000)")
    done = project.command(
        "run",
        "tests/large",
        "-t",
        TARGET,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)),
    )
    assert done.returncode == 1
    assert "The run ended (attention" in done.stderr
    assert "larger than this process may write" in done.stderr
    assert "without outputs" in done.stderr
    [record] = reading.list_records()
    assert record.outcome == "attention"
    said = reading.details(record)
    assert said["findings"][0]["status"] == "critical"
    assert said["incomplete"].startswith("Outputs were not kept")
    assert verification.verify() == []
    assert [f for f in project.files() if f.name.startswith(".")] == []


@pytest.mark.slow
def test_a_full_disk_leaves_a_whole_record_in_the_room_that_was_held(
    project: Project, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        os.environ["OPSLIB_RECORDS"] = str(small)
        fill = f"open({str(small / 'fill')!r}, 'wb', 0).write(b'x' * 3_700_000)"
        more = (
            f"try:\n    open({str(small / 'fill')!r}, 'ab', 0).write(b'x' * 1_000_000)\nexcept "
            "OSError: pass"
        )
        project.procedure(
            "fills",
            JOURNAL,
            finding("warn"),
            "import time; time.sleep(1.1)",
            "1",
            fill,
            more,
            more,
            more,
        )
        project.command("run", "tests/fills", "-t", TARGET)
        (small / "fill").unlink()
        [record] = reading.list_records()
        assert record.outcome == "attention"
        assert reading.details(record)["findings"][0]["status"] == "warn"
        assert verification.verify() == []
    finally:
        del os.environ["OPSLIB_RECORDS"]
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.slow
def test_two_runs_at_once_keep_both_records(project: Project) -> None:
    project.procedure("hello", "print('hello')")
    with ThreadPoolExecutor(2) as pool:
        in_threads = list(pool.map(lambda _: project.run("hello"), range(2)))
    processes = [project.start("run", "tests/hello", "-t", TARGET) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    for process in processes:
        process.communicate()
    kept = reading.list_records()
    assert len({record.id for record in kept}) == 4
    assert {record.outcome for record in kept} == {"ok"}
    assert {record.id for record in in_threads} <= {record.id for record in kept}
    assert verification.verify() == []


@pytest.mark.slow
def test_many_short_cells_are_not_saved_each(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opslib.records import files

    saves: list[Path] = []
    write = files.write_atomically

    def watched(path: Path, *args: Any, **given: Any) -> None:
        saves.append(path)
        write(path, *args, **given)

    monkeypatch.setattr(files, "write_atomically", watched)
    record = project.run("short", *["1"] * 100)
    notebooks = [path for path in saves if path.suffix == ".ipynb"]
    assert len(notebooks) <= 4 + record.seconds


def test_a_run_leaves_no_kernel_and_no_folder_behind(project: Project) -> None:
    record = project.run(
        "asks", "import os; print(os.getpid(), os.environ['OPSLIB_JOURNAL_FD'], os.getcwd())"
    )
    pid, _, folder = project.text(record).split()
    assert not psutil.pid_exists(int(pid))
    assert Path(folder) == project.home / "notebooks" / "tests"
    assert not record.path.with_suffix(".journal.jsonl").exists()


@pytest.mark.slow
def test_the_journal_is_on_the_disk_while_the_run_goes_on(project: Project) -> None:
    project.procedure("waits", JOURNAL, finding("warn"), WAITS)
    process = running(project, "tests/waits", "-t", TARGET)
    [file] = [f for f in project.files() if f.name.endswith(".journal.jsonl")]
    until(lambda: "\n" in file.read_text())
    assert json.loads(file.read_text().split("\n")[1])["event"] == "findings"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
