"""The page of a record.

What strangers wrote is shown and does nothing, and a reader finds what matters first.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest

from opslib.core.checks import plots
from opslib.core.findings import MIME
from opslib.core.times import Window
from opslib.pages import pages, sanitise
from opslib.records import sealing, verification
from tests.projects import JOURNAL, TARGET, Project

v4 = nbformat.v4
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
TAGS = (
    "<script",
    "<iframe",
    "<svg",
    "<object",
    "<embed",
    "<form",
    "<input",
    "<link",
    "<base",
    "<video",
    "<math",
)
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def hostile(there: str) -> list[str]:
    """What a log line may hold when its writer knows that it will be looked at in a browser."""
    own = "document.title='owned'"
    return [
        f"<script>{own};fetch('{there}/fetch')</script>",
        f'<img src=x onerror="{own}">',
        f"<img src='{there}/img.png'>",
        f'<svg onload="{own}"><script>{own}</script></svg>',
        f'<div style="background:url({there}/css)">x</div>',
        f"<style>@import url({there}/import); body {{ background: url({there}/body) }}</style>",
        f"<iframe src='{there}/frame'></iframe><iframe src='javascript:{own}'></iframe>",
        f"<link rel=stylesheet href={there}/link><link rel=prefetch href={there}/prefetch>",
        f"<a href='javascript:{own}' autofocus onfocus=\"{own}\">js</a>",
        '<a href="data:text/html,<script>1</script>">data</a>',
        f"</pre></table></div></body></html><script>{own}</script>",
        f"<object data={there}/object></object><embed src={there}/embed><video src={there}/video "
        "autoplay></video>",
        f"<meta http-equiv=refresh content='0;url={there}/refresh'><base href={there}/>",
        f'<form action={there}/form><button autofocus>x</button></form><input onfocus="{own}" '
        "autofocus>",
        '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 '
        f'onerror={own}&gt;">',
        f'<details open ontoggle="{own}">x</details><table '
        f"background='{there}/table'><tr><td>x</td></tr></table>",
        f"`<script>{own}</script>` ![x]({there}/markdown.png) [x](javascript:{own}) <{there}/auto>",
    ]


def record_of(lines: list[str], there: str) -> Any:
    """A record in which every place that a stranger's text can reach holds it."""
    text, line = "\n".join(lines), lines[0]
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' onload='{line}'><image "
        f"href='{there}/svg.png'/></svg>"
    )
    shown = [
        {"text/html": text, "text/plain": "x"},
        {"text/markdown": text},
        {"image/svg+xml": svg},
        {"text/plain": text},
    ]
    shown += [{"text/html": each} for each in lines] + [{"text/markdown": each} for each in lines]
    outputs = [v4.new_output("stream", name="stdout", text=text)]
    outputs += [v4.new_output("display_data", data=data) for data in shown]
    outputs.append(
        v4.new_output("error", ename=lines[1], evalue=line, traceback=[f"\x1b[31m{text}\x1b[0m"])
    )
    cells = [
        v4.new_markdown_cell(f"# {line}\n\n{text}"),
        v4.new_code_cell(f"x = {text!r}", outputs=outputs),
    ]
    cells += [v4.new_markdown_cell(each) for each in lines]
    notebook = v4.new_notebook(cells=cells)
    words = (
        "id",
        "name",
        "procedure",
        "target",
        "who",
        "host",
        "verdict",
        "arn",
        "account",
        "region",
        "incomplete",
    )
    notebook["metadata"]["opslib"] = dict.fromkeys(words, line) | {
        "outcome": "attention",
        "lab": False,
        "started": "2026-11-22T16:00:00.000+00:00",
        "ended": "2026-11-22T16:00:03.000+00:00",
        "parameters": {line: line},
        "findings": [
            {"status": "critical", "check": line, "seen": lines[1], "threshold": line, "next": line}
        ],
        "calls": [{"service": line, "operation": line, "error": line}],
        "plan": {"summary": line, "id": line, "steps": [{"title": line}]},
        "versions": {line: line},
        "git": {"commit": line, "dirty": True},
        "spilled": [{"file": line, "bytes": 1}],
    }
    return notebook


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
@pytest.mark.parametrize("wall", ["with its policy", "without its policy"])
def test_a_browser_runs_nothing_and_loads_nothing(
    tmp_path: Path, requests: tuple[str, list[str]], wall: str
) -> None:
    """Once with the Content-Security-Policy, and once without it: escaping alone must be enough."""
    there, asked = requests
    lines = hostile(there)
    text = pages.render(record_of(lines, there))
    if wall == "without its policy":
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    page = tmp_path / "page.html"
    page.write_text(text + f"<!-- {there} -->")
    dom = opened(page, tmp_path)
    assert asked == []
    assert re.search(r"<title>(.*?) ·", dom, re.S)[1].startswith("&lt;script&gt;")
    for tag in TAGS:
        assert tag not in dom, tag
    assert re.search(r"<[^>]+\s(on\w+|style|background)=", dom) is None
    assert "&lt;script&gt;document.title='owned'" in dom, "it is shown, not hidden"


@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_the_browser_of_these_tests_would_run_and_load_it(
    tmp_path: Path, requests: tuple[str, list[str]]
) -> None:
    there, asked = requests
    page = tmp_path / "page.html"
    page.write_text("<title>mine</title>" + "\n".join(hostile(there)[:3]))
    assert "<title>owned</title>" in opened(page, tmp_path)
    assert {"/fetch", "/img.png"} <= set(asked)


def opened(page: Path, folder: Path) -> str:
    """What a browser makes of a page."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_policy_forbids_what_escaping_should_have_stopped(project: Project) -> None:
    page = project.run("hello", "print('hello')").page.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert 'src="http' not in page
    assert "url(" not in page


def test_the_top_says_what_where_and_how_it_ended(project: Project) -> None:
    findings = [
        {"status": "ok", "check": "disk", "seen": "fine"},
        {"status": "warn", "check": "age", "seen": "20 min"},
        {"status": "critical", "check": "depth", "seen": "12"},
    ]
    record = project.run(
        "looks", JOURNAL, f"journal.write('findings', findings={findings!r})", "## Why\n\nBecause."
    )
    page = record.page.read_text()
    assert "<h1>Looks</h1>" in page
    assert "Practice lab" in page
    assert TARGET in page
    assert '<span class="outcome attention worst-critical">attention</span>' in page
    statuses = re.findall(r'<td class="status (\w+)">', page)
    assert statuses == ["critical", "warn", "ok"]
    assert "<h2>Why</h2>" in page
    assert (
        page.index("2 of 3 checks did not pass")
        < page.index("<h2>Findings</h2>")
        < page.index("<h2>Why</h2>")
    )
    assert "injected-parameters" not in page
    assert "# Parameters" not in page


def test_production_is_marked() -> None:
    facts = {"target": "bluemoxon-production", "lab": False, "outcome": "ok"}
    notebook = v4.new_notebook(cells=[], metadata={"opslib": facts})
    assert '<span class="badge production">PRODUCTION</span>' in pages.render(notebook)


def test_pictures_and_tables_are_shown(project: Project) -> None:
    record = project.run(
        "shows",
        "import pandas as pd\npd.DataFrame({'queue': ['<b>orders</b>'], 'depth': [3]})",
        "from PIL import Image\nImage.new('RGB', (2, 2))",
        "print('\\x1b[31;1mred\\x1b[0m plain \\x07')",
        "1/0",
    )
    page = record.page.read_text()
    assert '<table class="dataframe">' in page
    assert "&lt;b&gt;orders&lt;/b&gt;" in page
    assert '<img alt="" src="data:image/png;base64,' in page
    assert ">red plain " in page
    assert "<strong>ZeroDivisionError</strong>: division by zero" in page


def test_a_page_can_be_made_again(project: Project) -> None:
    record = project.run("hello", "print('hello')")
    before = record.page.read_bytes()
    record.page.unlink()
    assert sealing.make(record).read_bytes() == before
    assert verification.verify() == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<b>bold</b>", "<b>bold</b>"),
        ("<p style='color:red' class='x' onclick='y()'>a</p>", "<p>a</p>"),
        (
            "<a href='https://example.com/?a=1&amp;b=2'>a</a>",
            '<a href="https://example.com/?a=1&amp;b=2">a</a>',
        ),
        ("<a href=' java\nscript:alert(1)'>a</a>", "<a>a</a>"),
        ("<img src='data:image/svg+xml;base64,PHN2Zz4='>", "<img>"),
        (
            "<img src='data:image/png;base64,iVBORw0KGgo='>",
            '<img src="data:image/png;base64,iVBORw0KGgo=">',
        ),
        (
            "<table><tbody><tr><td>critical</td></tr></tbody></table>",
            '<table><tbody><tr><td class="status critical">critical</td></tr></tbody></table>',
        ),
        (
            "<table><tbody><tr><td>automated</td><td>x arn:aws:ecs:us-east-1:5:task</td></tr>"
            "</tbody></table>",
            '<table><tbody><tr><td>automated</td><td class="long">x arn:aws:ecs:us-east-1:5:task'
            "</td></tr></tbody></table>",
        ),
        ("<script>x</script>a<style>b</style>", "a"),
        ("<script>x", ""),
    ],
)
def test_html_keeps_what_is_allowed_and_loses_the_rest(given: str, shown: str) -> None:
    assert sanitise.clean_html(given) == shown


def test_a_link_to_another_notebook_names_the_procedure() -> None:
    assert (
        sanitise.markdown("[search](../logs/search.ipynb)")
        == "<p>search (<code>logs/search</code>)</p>\n"
    )


def test_a_link_within_the_chapter_names_the_procedure_as_one_runs_it() -> None:
    text = v4.new_markdown_cell("See [its health](health.ipynb), [a note](https://x/y.ipynb).")
    page = of({"procedure": "services/deploy"}, text)
    assert "its health (<code>services/health</code>)" in page
    assert 'href="https://x/y.ipynb"' in page


def test_a_reader_elsewhere_and_later_knows_the_zone_and_what_was_not_given() -> None:
    cell = v4.new_code_cell('since: str = ""')
    cell["metadata"]["tags"] = ["parameters"]
    page = of({"findings": [DEEP], "parameters": {"since": "", "hours": 0}}, cell)
    assert "Times are UTC where no other zone is said." in page
    assert '<th scope="row">since</th><td><span class="note">not given</span></td>' in page
    assert '<th scope="row">hours</th><td>0</td>' in page


def test_control_codes_of_a_terminal_are_dropped() -> None:
    title = "\x1b]0;owned\x07"
    assert sanitise.terminal(f"a{title}b\x1b[2Jc\x1b[1;32md\x1b[0me") == "abcde"


def test_a_killed_run_with_few_facts_has_a_page() -> None:
    notebook = v4.new_notebook(
        cells=[v4.new_code_cell("1")], metadata={"opslib": {"id": "x", "outcome": "interrupted"}}
    )
    assert "interrupted" in pages.render(notebook)


def test_a_picture_is_not_taken_for_text() -> None:
    data = base64.b64encode(b"\x89PNG").decode()
    out = v4.new_output("display_data", data={"image/png": data, "text/plain": "<Figure>"})
    page = pages.render(v4.new_notebook(cells=[v4.new_code_cell("1", outputs=[out])]))
    assert f"data:image/png;base64,{data}" in page
    assert "Figure" not in page


def of(facts: dict[str, Any], *cells: Any) -> str:
    """The page of a record with these facts."""
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# T"), *cells])
    notebook["metadata"]["opslib"] = {"target": TARGET, "name": "a/b", "outcome": "ok"} | facts
    return pages.render(notebook)


def showing(**data: Any) -> Any:
    """A cell that showed something of ours."""
    markup = data.pop("html", "")
    shown = {MIME: data, "text/plain": "x"} | ({"text/html": markup} if markup else {})
    return v4.new_code_cell(
        "found", execution_count=1, outputs=[v4.new_output("display_data", data=shown)]
    )


DEEP = {
    "status": "critical",
    "check": "depth",
    "seen": "24 messages",
    "next": "queues/dead-letters",
}
FINE = {"status": "ok", "check": "age", "seen": "2 s"}


def test_a_finding_stands_once_and_its_cell_points_to_it() -> None:
    table = '<table class="opslib-findings"><tr><td>critical</td><td>24 messages</td></tr></table>'
    cell = showing(findings=[DEEP, FINE], html=table + "<p>the queue</p>")
    page = of({"findings": [FINE, DEEP], "verdict": "1 of 2"}, cell, showing(verdict={}))
    assert page.count("24 messages") == 1
    assert '<tr id="finding-0"><td class="status critical">' in page
    assert '<a href="#finding-0">depth</a>' in page
    assert "the queue" in page
    assert page.count("<td>2 s</td>") == 1, "what passed stands where it was asked"
    assert "The verdict stands at the top." in page


def test_a_page_says_what_to_type_next() -> None:
    page = of({"findings": [DEEP, DEEP | {"check": "messages"}], "outcome": "attention"})
    assert f"<code>opslib run queues/dead-letters -t {TARGET}</code>" in page
    assert "depth, and 1 more" in page


def test_a_previewed_page_says_how_it_is_applied() -> None:
    facts = {
        "outcome": "previewed",
        "production": True,
        "parameters": {"target": TARGET, "to": "it's 5", "watch": 120, "approved": ""},
        "plan": {"id": "abc.me.now", "summary": "back", "steps": [{"title": "move"}]},
    }
    cell = v4.new_code_cell('to: str = ""  # x\nwatch: int = 120\napproved: str = ""')
    cell["metadata"]["tags"] = ["parameters"]
    page = of(facts, cell)
    line = html.unescape(re.search(r'<pre class="apply">(.*?)</pre>', page)[1])
    assert shlex.split(line) == [
        *("opslib", "run", "a/b", "-t", TARGET, "-p", "to=it's 5"),
        *("-p", "approved=abc.me.now", "-p", f"confirm={TARGET}"),
    ]


def test_the_badge_is_as_bad_as_the_worst_finding() -> None:
    page = of({"findings": [FINE, DEEP], "outcome": "changed"})
    assert '<span class="outcome changed worst-critical">' in page
    assert '<span class="status critical">1 critical</span>' in page


def test_a_picture_is_cut_into_its_panels_each_with_its_words() -> None:
    panels = [plots.Panel(f"panel {n}", "ms", []) for n in range(3)]
    found = plots.Plotted([], None, "", panels, Window(NOON - timedelta(hours=1), NOON))
    picture, about = plots.draw(found)._repr_mimebundle_()
    out = v4.new_output("display_data", data=json.loads(json.dumps(picture)), metadata=about)
    page = of({}, v4.new_code_cell("draw(found)", outputs=[out]))
    assert re.findall(r'<img alt="([^"]+)"', page) == [f"panel {n}: no data" for n in range(3)]
    assert page.count('class="plot"') == 3


def test_what_scrolls_can_be_reached_by_the_keyboard_and_pictures_have_words(
    tmp_path: Path,
) -> None:
    """What axe-core finds in a page, asked of its structure: no network in a test."""
    page = pages.render(record_of(hostile("http://x"), "http://x"))
    scrolling = re.findall(r'<(?:div|pre) class="(?:wide|plots|stream)[^>]*>', page)
    assert scrolling
    assert all('tabindex="0" aria-label="' in tag for tag in scrolling)
    assert "opacity" not in page, "a text that is faded is hard to read"
    assert page.count("prefers-color-scheme: dark") == 1


def test_calls_are_added_up_and_those_that_failed_keep_a_request_id() -> None:
    call = {"service": "sqs", "operation": "GetQueueUrl", "seconds": 0.5, "request_id": "r"}
    calls = [call | {"request_id": f"r{n}"} for n in range(40)]
    calls += [call | {"request_id": f"bad{n}", "error": "AccessDenied"} for n in range(3)]
    page = of({"calls": calls})
    assert "43 AWS calls, 3 failed or repeated" in page
    assert "sqs.GetQueueUrl × 43 (21.5 s)" in page
    assert "bad2" in page
    assert "r39" not in page
