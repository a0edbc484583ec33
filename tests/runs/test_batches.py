"""Runs of which there are many.

Their kernels are forked from one process, and know nothing of each other.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from opslib.records import reading, verification
from opslib.records.records import Record
from opslib.runs import forks, runs
from tests.projects import JOURNAL, TARGET, Project, ran
from tests.runs.test_engine import (  # noqa: F401 - whatever holds for a kernel of its own
    WAITS,
    test_a_cell_that_fails_ends_the_run_and_the_rest_is_not_called_completed,
    test_a_failed_change_says_how_far_it_came,
    test_a_guard_that_refuses_is_not_a_failure,
    test_a_kernel_that_dies_is_said_to_have_died,
    test_a_progress_bar_is_kept_as_it_ended,
    test_a_record_says_who_when_where_and_with_which_code,
    test_a_run_leaves_no_kernel_and_no_folder_behind,
    test_a_run_that_takes_too_long_is_stopped,
    test_an_index_that_does_not_answer_stops_a_run_before_its_first_cell,
    test_leaving_with_status_0_is_no_success,
    test_much_output_is_kept_in_part_and_the_rest_beside_it,
    test_no_secret_reaches_the_disk,
)

PRODUCTION = "lab/bluemoxon-production"
pytestmark = pytest.mark.skipif(not forks.available(), reason="no fork is safe here")


@pytest.fixture
def project(project: Project) -> Project:
    """Its kernels are forked."""
    project.forked = True
    return project


def batch(
    project: Project, *names: str, on: tuple[str, ...] = (TARGET,), **more: Any
) -> list[Record]:
    return runs.run_many(
        [f"tests/{n}" for n in names], on, progress=lambda *_: lambda *_: None, **more
    )


def both(project: Project, *cells: str) -> dict[str, Any]:
    """What the last cell shows, as JSON, in a kernel of its own and in a forked one."""
    project.procedure("both", *cells)
    found = {}
    for forked in (False, True):
        record = ran("tests/both", TARGET, forked=forked)
        assert record.outcome == "ok", record.verdict
        found["forked" if forked else "plain"] = json.loads(project.text(record).splitlines()[-1])
    return found


PARENT = "import os, psutil; parent = psutil.Process().parent()"


def test_kernels_are_forked_from_one_process_of_one_thread(project: Project) -> None:
    tell = (
        "print(parent.pid, parent.num_threads(), len(parent.parent().children()), os.getsid(0) "
        "== os.getpid())"
    )
    said = [project.text(project.run(name, PARENT, tell)).split() for name in ("one", "two")]
    assert said[0][0] == said[1][0], "the same parent"
    assert said[0][1] == "1"
    assert said[0][3] == "True"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["one", "one, opslib.runs.preloads.many"])
def test_the_process_that_is_forked_has_read_no_credentials(
    project: Project, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "correct-horse-battery")
    record = project.run(
        "asks",
        "import os; print(os.environ['AWS_SECRET_ACCESS_KEY'] == 'correct-horse-' + 'battery')",
    )
    assert project.text(record) == "True\n"
    code = (
        "import os; os.environ['AWS_PROFILE'] = 'x'\n"
        f"import gc, zmq, sys, opslib.runs.preloads.{module}, boto3\n"
        "print([n for n in os.environ if n.startswith('AWS_') and os.environ[n] != os.devnull], "
        "len(os.listdir('/proc/self/task')), boto3.DEFAULT_SESSION, zmq.Context._instance, "
        "'matplotlib_inline' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[] 1 None None False\n", done.stderr


LEAVES = """import os, sys, random, warnings, types
import boto3, pandas as pd, matplotlib
def state():
    return [pd.get_option("display.max_rows"), matplotlib.rcParams["lines.linewidth"], os.environ.get("LEFT"),
            boto3.DEFAULT_SESSION is None, "left_behind" in sys.modules, len(warnings.filters), os.getcwd(),
            "left" in globals(), sys.path[0], pd.io.formats.format.__dict__.get("left")]
before = state()
pd.set_option("display.max_rows", 7)
matplotlib.rcParams["lines.linewidth"] = 42.0
os.environ["LEFT"] = "here"
boto3.setup_default_session(region_name="eu-west-1")
sys.modules["left_behind"] = types.ModuleType("left_behind")
warnings.filterwarnings("error", "left")
os.chdir("/")
sys.path.insert(0, "/left")
left = pd.io.formats.format.left = 1
assert state() != before
import json; print(json.dumps(before, default=str))"""


def test_what_a_run_does_to_its_process_is_not_there_for_the_next(project: Project) -> None:
    said = [json.loads(project.text(project.run("leaves", LEAVES))) for _ in range(3)]
    assert said[0] == said[1] == said[2]
    assert said[0][2] is None
    assert said[0][6] == str(project.home / "notebooks" / "tests")


def test_no_two_runs_draw_the_same_random_numbers(project: Project) -> None:
    draw = (
        "import random, secrets, uuid, numpy, os, tempfile\n"
        "print(random.random(), numpy.random.random(), numpy.random.default_rng().random(), "
        "secrets.token_hex(), "
        "uuid.uuid4(), uuid.uuid1(), os.urandom(4).hex(), tempfile.mktemp())"
    )
    project.procedure("one", draw)
    project.procedure("two", draw)
    drawn = [
        project.text(record).split()
        for record in batch(project, "one", "two", on=(TARGET, PRODUCTION))
    ]
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == 4, column


@pytest.mark.slow
def test_a_forked_kernel_has_the_state_of_a_new_one(project: Project) -> None:
    tell = """import json, locale, os, signal, sys, threading, warnings
import matplotlib, pandas, boto3, numpy
json_of = dict(
    backend=matplotlib.get_backend(), rc={k: str(v) for k, v in matplotlib.rcParams.items()}, path=sys.path,
    argv=sys.argv[1:2], main=__name__, filters=sorted(str(f) for f in warnings.filters), folder=os.getcwd(),
    locale=locale.getlocale(), encoding=sys.stdout.encoding, handler=str(signal.getsignal(signal.SIGTERM)),
    session=str(boto3.DEFAULT_SESSION), leader=os.getpgid(0) == os.getpid(), terminal=os.isatty(0),
    magic='matplotlib_inline' in sys.modules, recursion=sys.getrecursionlimit(), hooks=str(sys.excepthook).partition(' at ')[0],
    names=sorted(n for n in globals() if not n.startswith('_')), options=str(pandas.get_option('display.max_rows')),
    environment={k: v for k, v in os.environ.items() if k not in ('JPY_PARENT_PID', 'OPSLIB_JOURNAL_FD', 'OPSLIB_STEPS', '_', 'PYDEVD_USE_FRAME_EVAL')},
    root=__import__('logging').getLogger().level, gc=__import__('gc').get_threshold() + (__import__('gc').isenabled(),))
print(json.dumps(json_of))"""
    said = both(project, tell)
    for name, value in said["plain"].items():
        assert said["forked"][name] == value, name


@pytest.mark.slow
def test_the_environment_is_that_of_the_run_not_of_the_fork(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("first", "1")  # the process that is forked has its environment
    (project.home / "modules").mkdir()
    (project.home / "modules" / "beside_the_run.py").write_text("name = 'found'")
    for name, value in {
        "PYTHONPATH": str(project.home / "modules"),
        "MPLBACKEND": "svg",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
    }.items():
        monkeypatch.setenv(name, value)
    tell = (
        "import beside_the_run, locale, matplotlib, time, os, json\n"
        "print(json.dumps([beside_the_run.name, matplotlib.get_backend(), time.tzname[0], "
        "locale.setlocale(locale.LC_CTYPE), os.environ['OPSLIB_HOME']]))"
    )
    said = both(project, tell)
    assert said["plain"][:3] == ["found", "svg", "JST"]
    assert said["forked"] == said["plain"]


DRAWS = """import matplotlib.pyplot as plt
plt.plot([1, 2, 3]);"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [DRAWS, "from opslib.core.checks import plots\nplots.bars('t', 'u', ['a', 'b'], [1, 2])"],
)
def test_pictures_are_those_of_a_kernel_of_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    project.procedure("draws", cell)
    shown = []
    for forked in (False, True):
        record = ran("tests/draws", TARGET, forked=forked)
        [output] = project.notebook(record)["cells"][-1]["outputs"]
        shown.append(base64.b64decode(output["data"]["image/png"]))
        assert "data:image/png" in record.page.read_text()
    assert shown[0] == shown[1]
    assert verification.verify() == []


def test_each_of_several_runs_says_how_it_ended_when_it_has(project: Project) -> None:
    project.procedure("quick", JOURNAL)
    project.procedure("slow", JOURNAL, "import time\ntime.sleep(3)")
    told: list[tuple[str, str]] = []

    def progress(name: str, _: str) -> Callable[[int, int, str], None]:
        return lambda cell, cells, text: told.append((name, text))

    runs.run_many(["tests/slow", "tests/quick"], [TARGET], progress=progress)
    ends = [(name, text.split(":")[0]) for name, text in told if text.startswith("ended")]
    assert ends == [("tests/quick", "ended, ok"), ("tests/slow", "ended, ok")]


def test_many_runs_at_once_make_one_sealed_chain(project: Project) -> None:
    names = [f"n{number:02}" for number in range(16)]
    for name in names:
        project.procedure(name, JOURNAL, "print(target)")
    made = batch(project, *names, on=(TARGET, PRODUCTION))
    assert [(r.name, r.target) for r in made] == [
        (f"tests/{n}", t) for n in names for t in (TARGET, PRODUCTION)
    ]
    assert {record.outcome for record in made} == {"ok"}
    assert verification.verify() == []
    assert not [f for f in project.files() if f.name.endswith(".journal.jsonl")]


@pytest.mark.parametrize("why", ["elsewhere", "the server does not start"])
def test_where_nothing_can_be_forked_kernels_are_started(
    project: Project, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def fails(*_: Any) -> Any:
        raise EOFError

    if why == "elsewhere":
        monkeypatch.setattr("sys.platform", "darwin")
        assert not forks.available()
        monkeypatch.undo()
        monkeypatch.setattr(forks, "available", lambda: False)
    else:
        monkeypatch.setattr(forks, "Process", fails)
    monkeypatch.setenv("OPSLIB_HOME", str(project.home))
    for name in ("one", "two"):
        project.procedure(
            name, PARENT, f"print(parent.pid == {os.getpid()})", JOURNAL, "assert journal.kept"
        )
    assert [project.text(record) for record in batch(project, "one", "two")] == ["True\n", "True\n"]


def test_an_environment_may_be_large(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        monkeypatch.setenv(f"LARGE_{number}", "x" * 100_000)
    record = project.run("large", "import os; print(len(os.environ['LARGE_2']))")
    assert project.text(record) == "100000\n"


def test_a_fork_server_that_died_is_started_again(project: Project) -> None:
    tell = (PARENT, "print(parent.pid)")
    server = int(project.text(project.run("one", *tell)))
    os.kill(server, signal.SIGKILL)
    record = project.run("two", *tell)
    assert record.outcome == "ok"
    assert int(project.text(record)) != server


@pytest.fixture
def waiting(project: Project) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """`opslib run` of two procedures whose last cells wait, and all processes of it but itself."""
    for name in ("one", "two"):
        project.procedure(
            name,
            JOURNAL,
            "print('so far')",
            WAITS.replace('"waits"', f'"waits-{name}"'),
            "print('after')",
        )
    process = project.start("run", "tests/one", "tests/two", "-t", TARGET)
    until = time.monotonic() + 90
    while len(list(project.home.glob("waits-*"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    kernels = [int(file.read_text()) for file in project.home.glob("waits-*")]
    others = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert set(kernels) < set(others)
    yield process, others
    process.kill()
    process.communicate()


def left(pids: list[int], seconds: float) -> list[int]:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(map(psutil.pid_exists, pids)):
        time.sleep(0.1)
    return [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_ends_soon_and_every_run_is_kept(
    project: Project, waiting: tuple[subprocess.Popen[str], list[int]], number: signal.Signals
) -> None:
    process, others = waiting
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == 130
    kept = reading.list_records()
    assert [record.outcome for record in kept] == ["interrupted", "interrupted"]
    assert all(project.text(record) == "so far\n" for record in kept)
    assert verification.verify() == []
    assert left(others, 10) == []


@pytest.mark.slow
def test_a_batch_that_was_killed_leaves_no_process_and_its_runs_show_as_interrupted(
    project: Project, waiting: tuple[subprocess.Popen[str], list[int]]
) -> None:
    process, others = waiting
    until = time.monotonic() + 30
    while sum("so far\\n" in path.read_text() for path in project.records.rglob("*.ipynb")) < 2:
        assert time.monotonic() < until, "what is shown is not saved while the run goes on"
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert left(others, 10) == []
    kept = reading.list_records()
    assert [record.outcome for record in kept] == ["interrupted", "interrupted"]
    assert all("so far" in project.text(record) for record in kept)
    assert verification.verify() == []
    assert list(Path("/tmp").glob(f"opslib-{process.pid}-*")) == []


@pytest.mark.slow
def test_the_end_of_a_run_ends_what_it_started(project: Project) -> None:
    record = project.run(
        "starts", "import subprocess; print(subprocess.Popen(['sleep', '300']).pid)"
    )
    assert left([int(project.text(record))], 5) == []


@pytest.mark.slow
def test_the_command_shows_a_summary_first_and_ends_with_the_worst_status(project: Project) -> None:
    found = [
        {"status": "critical", "check": "queue is empty", "seen": "3", "next": "queues/redrive"}
    ]
    project.procedure("bad", JOURNAL, f"journal.write('findings', findings={found!r})")
    project.procedure("fails", "1/0")
    project.procedure("plain", "print(most)", parameters="most: int = 1  # at most")
    steps = (
        "journal.write('plan', plan={'id': 'abc', 'summary': 's', 'steps': [{'title': 'Stop'}]})"
    )
    project.procedure(
        "stop", JOURNAL, steps, parameters='approved: str = ""  # the plan', effect="change"
    )
    names = ["tests/plain", "tests/bad", "tests/stop"]
    done = project.command("run", *names, "-t", TARGET, "-p", "most=5")
    assert done.returncode == 4, done.stderr
    table = [line.split()[:2] for line in done.stdout.split("\n\n")[0].splitlines()]
    assert table == [
        ["worst", "run"],
        ["critical", "tests/bad"],
        ["ok", "tests/plain"],
        ["previewed", "tests/stop"],
    ]
    assert "apply:   opslib run tests/stop -t lab/bluemoxon-staging -p approved=abc" in done.stdout
    assert "3 runs: 1 critical, 1 ok, 1 previewed." in done.stdout
    assert "5\n" in [project.text(record) for record in reading.list_records()]
    page = Path(done.stdout.splitlines()[-1].removeprefix("summary: "))
    assert "<h1>Runs</h1>" in page.read_text()
    assert "since the last report" not in page.read_text() + done.stdout
    worse = project.command("run", *names, "tests/fails", "-t", "lab/*", "--json")
    assert worse.returncode == 1
    rows = json.loads(worse.stdout)
    assert [(row["name"], row["target"]) for row in rows[:2]] == [
        ("tests/plain", PRODUCTION),
        ("tests/plain", TARGET),
    ]
    assert len(rows) == 8
    assert "tests/fails on lab/bluemoxon-staging: [1/4] Fails" in worse.stderr


@pytest.mark.some(5)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tests/one", "tests/tow"], "Unknown procedure 'tests/tow'. Did you mean 'tests/two'"),
        (
            ["tests/one", "tests/two", "-p", "mots=3"],
            "Unknown parameter 'mots' of tests/one, tests/two. Did you mean 'most'?",
        ),
        (["tests/one", "tests/two", "-p", "most=many"], "most='many' of tests/two is not int"),
        (
            ["tests/one", "tests/two", "--apply"],
            "tests/one changes nothing, so there is nothing to apply.",
        ),
        (["tests/one", "tests/two", "-p", "approved=abc"], "-p approved=… applies one plan."),
        (["tests/one", "tests/two", "-p", "target=x"], "The target is given with -t"),
        (["tests/one", "-t", "lab/moon-*"], "No target matches 'lab/moon-*'"),
    ],
)
def test_bad_usage_of_any_is_refused_before_any_kernel_starts(
    project: Project, arguments: list[str], said: str
) -> None:
    project.procedure("one", "1")
    project.procedure(
        "two", "1", parameters='most: int = 1  # n\napproved: str = ""  # the plan', effect="change"
    )
    done = project.command("run", *arguments, "-t", TARGET)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not project.records.exists()


@pytest.mark.slow
def test_apply_goes_to_every_change(project: Project) -> None:
    step = "journal.write('step', number=1, title='Purge', state='applied', undo=None)"
    apply = (
        "if approved:\n    journal.write('applying', plan='p', approved=approved, by='op')\n "
        f"   {step}"
    )
    for name in ("one", "two"):
        project.procedure(
            name, JOURNAL, apply, parameters='approved: str = ""  # the plan', effect="change"
        )
    done = project.command("run", "tests/one", "tests/two", "-t", TARGET, "--apply", "--json")
    assert [row["outcome"] for row in json.loads(done.stdout)] == ["changed", "changed"]
