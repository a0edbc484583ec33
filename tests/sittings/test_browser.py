"""An evening in JupyterLab, in a browser, as `./run lab` starts it: from the door to a record.

With Debian's chromium. Where there is none it is left out, but never where CI is `true`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PracticeLab
from tests.sittings.desk import text_of
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CI = os.environ.get("CI") == "true"
CHROMIUM = shutil.which("chromium")
TARGET = "lab/bluemoxon-staging"
MILLISECONDS = 180_000  # for what takes a second where nobody else works
WIDGET = "application/vnd.jupyter.widget-view+json"
NEEDED = ("run", "requirements.lock", "pyproject.toml", ".gitignore", "README.md")

if not CI:
    pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CI or CHROMIUM), reason="there is no chromium"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a repository of its own, with an environment that is this one."""
    home = tmp_path_factory.mktemp("copy")
    for name in NEEDED:
        shutil.copy2(ROOT / name, home / name)
    for name in ("notebooks", "opslib", "parameters", "docs"):
        shutil.copytree(ROOT / name, home / name)
    commands = {"jupyter": "-m jupyter", "opslib": "-m opslib", "python": ""}
    (home / ".venv" / "bin").mkdir(parents=True)
    for name, module in commands.items():
        command = home / ".venv" / "bin" / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        command.chmod(0o755)
    made = (home / "requirements.lock").read_bytes() + (home / "pyproject.toml").read_bytes()
    (home / ".venv" / "made-from").write_bytes(made)
    environment = {**os.environ, "PYTHONPATH": str(home)}
    making = [sys.executable, "-m", "opslib.catalogue.contents"]
    subprocess.run(making, cwd=home, env=environment, check=True)
    for said in (["init", "-q"], ["add", "."], ["commit", "-qm", "As it is"]):
        _git(home, *said)
    return home


def _git(home: Path, *said: str) -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    command = ["git", *who, *said]
    return subprocess.run(command, cwd=home, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def jupyter(
    lab: PracticeLab, copy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """`./run lab` of the copy, with records of its own; its address."""
    mine = tmp_path_factory.mktemp("jupyter")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    for name in ("OPSLIB_HOME", "OPSLIB_RECORDS", "OPSLIB_INDEX", "OPSLIB_WIDGETS"):
        kept.pop(name, None)
    folders = {f"JUPYTER_{each}_DIR": str(mine / each) for each in ("CONFIG", "DATA", "RUNTIME")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--port-retries=0", "--IdentityProvider.token="]
    with (mine / "log").open("w") as log:
        server = subprocess.Popen(
            ["./run", "lab", *options],
            cwd=copy,
            env={**kept, **folders, "PYTHONPATH": str(copy)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until(lambda: " is running at:" in text_of(mine / "log") or server.poll() is not None)
    assert server.poll() is None, text_of(mine / "log")
    yield f"http://127.0.0.1:{port}"
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()


@pytest.fixture(scope="module")
def page(jupyter: str) -> Iterator[Any]:
    """A tab of the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        tab = browser.new_page(viewport={"width": 1366, "height": 768})
        tab.set_default_timeout(MILLISECONDS)
        yield tab
        browser.close()


def test_from_a_symptom_to_a_record_and_the_catalogue_stays_as_it_was(
    page: Any, jupyter: str, copy: Path
) -> None:
    page.goto(f"{jupyter}/lab/tree/notebooks/start.ipynb")
    _seen(page, "notebook is read-only")
    _idle(page)
    page.get_by_role("button", name="Search", exact=True).click()
    box = page.get_by_placeholder("What do you see?")
    until(lambda: box.evaluate("box => box === document.activeElement"))  # one types at once
    page.keyboard.type("an alarm rings for what is known and men")
    page.locator(".opslib-hit").get_by_role("button", name="Silence an alarm").click()

    # it opens: a sitting, not the catalogue
    sitting = page.locator(".jp-NotebookPanel:visible", has_text="What rings, and what is silent")
    sitting.wait_for()
    (opened,) = (copy / "records" / "sittings").glob("*.ipynb")
    _idle(page)
    _add_below(page, sitting, "conclude, connect", 'from opslib import note\nnote("one in four")')
    _run_all(page)
    sitting.get_by_role("button", name="Not now").click()  # what waits for a person is answered
    _seen(sitting, f"Kept and sealed as record {opened.stem}")

    # closed, and opened again, it shows what it showed
    page.keyboard.press("Control+s")
    until(lambda: "Kept and sealed" in opened.read_text(encoding="utf-8"))
    page.get_by_role("tab", name=opened.stem[:15]).locator(".lm-TabBar-tabCloseIcon").click()
    sitting.wait_for(state="hidden")
    page.goto(f"{jupyter}/lab/tree/records/sittings/{opened.name}")
    _seen(sitting, f"Kept and sealed as record {opened.stem}")
    assert "model not found" not in page.content().lower()

    # it is a record as any other, with its page
    (record,) = (copy / "records").glob(f"2*/*/{opened.stem}.ipynb")
    shown = record.with_suffix(".html").read_text(encoding="utf-8")
    assert "one in four" in shown
    assert "Silence bluemoxon-staging-api-errors" in shown
    assert "previewed" in shown

    # and nothing of it is in the catalogue, which cannot be saved
    place = f"{jupyter}/api/contents/notebooks/alarms/silence.ipynb"
    model = page.request.get(place).json()
    crossing = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    headers = {"X-XSRFToken": crossing["_xsrf"]}
    refused = page.request.put(place, data=model, headers=headers)
    assert refused.status == 403
    assert "opslib open NAME -t TARGET" in refused.json()["message"]
    assert _git(copy, "status", "--porcelain") == ""
    assert not [*(copy / "notebooks").rglob(".ipynb_checkpoints")]


def test_lines_are_followed_until_stopped_and_a_check_is_made_once_more(
    page: Any, jupyter: str, copy: Path
) -> None:
    opened, sitting = _open(page, jupyter, copy, "logs/follow", "seconds=600", "minutes=5")
    _run_all(page)
    sitting.locator("code", has_text="REPORT").wait_for()
    sitting.get_by_placeholder("lines that hold").fill("no line has this")
    _seen(sitting, "No line so far")
    for _ in range(2):  # each change is heard, not only the first
        sitting.get_by_role("button", name="Pause", exact=True).click()
    sitting.get_by_placeholder("lines that hold").fill("REPORT")
    sitting.locator("code", has_text="REPORT").wait_for()
    sitting.get_by_role("button", name="Stop", exact=True).click()
    _seen(sitting, f"Kept and sealed as record {opened.stem}")
    sitting.get_by_text("Once more").click()
    sitting.get_by_role("button", name="Stop", exact=True).click()
    _seen(sitting, "Before, at")
    saved = _saved(page, opened, "Before, at")
    assert "REPORT" in saved
    assert WIDGET not in saved


def test_one_window_for_the_notebook_and_a_table_to_filter(
    page: Any, jupyter: str, copy: Path
) -> None:
    opened, sitting = _open(page, jupyter, copy, "logs/search", "minutes=30")
    _run_all(page)
    _seen(sitting, f"Kept and sealed as record {opened.stem}")
    sitting.get_by_role("button", name="3 h", exact=True).click()
    _seen(sitting, "-p since=3h")
    sitting.get_by_text("Run from here down").click()
    _seen(sitting, "Before, at")
    _idle(page)
    sitting.get_by_role("button", name="Filter and sort").click()
    sitting.get_by_placeholder("rows that hold").fill("no row has this")
    _seen(sitting, "0 of 1,000 rows")
    assert WIDGET not in _saved(page, opened, "Before, at")
    assert _git(copy, "status", "--porcelain") == ""


def _open(page: Any, jupyter: str, copy: Path, name: str, *given: str) -> tuple[Path, Any]:
    """A sitting that the command opened, in the browser: its file, and what shows it."""
    pairs = [word for pair in given for word in ("-p", pair)]
    kept = {n: v for n, v in os.environ.items() if n not in ("OPSLIB_HOME", "OPSLIB_RECORDS")}
    command = [str(copy / ".venv" / "bin" / "opslib"), "open", name, "-t", TARGET, *pairs]
    env = {**kept, "PYTHONPATH": str(copy)}
    subprocess.run(command, cwd=copy, env=env, check=True, capture_output=True)
    every = (copy / "records" / "sittings").glob("*.ipynb")
    opened = max(every, key=lambda each: each.stem)
    page.goto(f"{jupyter}/lab/tree/records/sittings/{opened.name}?reset")
    _idle(page)
    return opened, page.locator(".jp-NotebookPanel:visible")


def _seen(within: Any, text: str) -> None:
    """Waited for until it stands somewhere: a cell's answer often stands below its table, too."""
    within.get_by_text(text).first.wait_for()


def _run_all(page: Any) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def _saved(page: Any, opened: Path, until_it_has: str) -> str:
    """By the menu: a field that is typed into keeps the keys to itself."""
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.locator(".lm-Menu-item[data-command='docmanager:save']").click()
    until(lambda: until_it_has in text_of(opened))
    return text_of(opened)


def _idle(page: Any) -> None:
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()


def _add_below(page: Any, sitting: Any, beside: str, code: str) -> None:
    """Type a cell below the one that says this."""
    sitting.locator(".jp-CodeCell", has_text=beside).locator(".jp-InputPrompt").first.click()
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.insert_text(code)
    page.keyboard.press("Escape")
