"""What strangers write is shown as it is, and does nothing: not in a notebook, on a page, on a
terminal, in JSON.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from nbformat import v4

from opslib.core import Finding, Findings, Plan, Step, console, frame
from opslib.core.actions.actions import Aws
from opslib.core.reads import log_lines
from opslib.core.tables import html_frame
from opslib.core.text import plain, printable, visible
from opslib.pages import pages

PAYLOADS = {
    "formula": r"costs $1 and $2, \(x\), \[y\], $$z$$, \begin{equation}a\end{equation}",
    "html": "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;",
    "turned round": "invoice\u202egnp.exe\u2066 \u200f",
    "no width": "ad\u200bmin\u2060\ufeff\u00ad\u3164 \U000e0041",
    "colours": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://x\x1b\\link \x1bc",
    "bytes of C1": "\x9b31mred \x85 \x90q\x9c",
    "half an emoji": "cut \ud83d",
    "nothing": "a\x00b\x08c",
    "returns": "ok: all fine\rcritical\r\nnext",
}


def plan(text: str) -> Plan:
    step = Step(text, Aws("sqs", "send_message", MessageBody=text), text, {"x": text})
    return Plan(text, text, "1", "r", "p", datetime(2026, 1, 1, tzinfo=UTC), (step,), (text,))


def findings(text: str) -> Findings:
    rows = pd.DataFrame({"message": [text], "n": [1]})
    return Findings([Finding("warn", text, text, text)], rows, text)


def page(text: str) -> str:
    outputs = [
        v4.new_output("stream", name="stdout", text=text),
        v4.new_output("display_data", {"text/html": html_frame(pd.DataFrame({"m": [text]}))}),
        v4.new_output("display_data", {"text/plain": text}),
        v4.new_output("error", ename="E", evalue=text, traceback=[text]),
    ]
    cells = [v4.new_markdown_cell(f"# {text}"), v4.new_code_cell(text, outputs=outputs)]
    facts = {"name": "n", "parameters": {"p": text}, "verdict": text}
    return pages.render(v4.new_notebook(cells=cells, metadata={"opslib": facts}))


HTML: dict[str, Callable[[str], str]] = {
    "findings": lambda text: findings(text)._repr_mimebundle_()["text/html"],
    "plan": lambda text: plan(text)._repr_mimebundle_()["text/html"],
    "table": lambda text: html_frame(pd.DataFrame({text: [text, {"x": [text]}]}, index=[text, 1])),
}
PLACES: dict[str, Callable[[str], str]] = {
    **HTML,
    "page": page,
    "findings as text": lambda text: repr(findings(text)),
    "plan as text": lambda text: repr(plan(text)),
    "table of the terminal": lambda text: console.table(["a"], [[text]]),
    "json": lambda text: console.as_json({text: [text]}),
    "line": plain,
    "log line": log_lines.brief,
    "structured log line": lambda text: log_lines.brief(json.dumps({"message": text})),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_unseen_is_shown(payload: str, place: str) -> None:
    shown = PLACES[place](PAYLOADS[payload])
    unseen = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"}
    assert unseen == set()
    shown.encode()


@pytest.mark.parametrize("place", HTML)
def test_a_notebook_sets_no_formula_and_runs_nothing(place: str) -> None:
    shown = HTML[place](PAYLOADS["formula"]) + HTML[place](PAYLOADS["html"])
    alone = shown.replace("<span>$</span>", "").replace("<span>\\</span>", "")
    assert "$" not in alone
    assert "\\" not in alone
    assert "<img" not in shown
    assert "<script" not in shown
    words = re.sub("</?span>", "", shown)
    assert r"\begin{equation}" in words  # it is all there to be read


def test_what_is_spelt_out_says_what_it_is() -> None:
    assert printable("a\u202eb\x00\n\ud83d") == r"a\u202eb\x00\n\ud83d"
    assert visible("\U000e0041\t\n") == "\\U000e0041\t\n"
    assert plain("\x1b[31mred\x1b[0m\r\nnext") == "red\nnext"
    assert plain("\U0001f468\ufe0f ü 漢") == "\U0001f468\ufe0f ü 漢"
    assert plain("adm\u200din \u200cx é\u200dé") == r"adm\u200din \u200cx é\u200dé"


@pytest.mark.parametrize(
    "joined",
    ["\U0001f469\u200d\U0001f680", "\u2764\ufe0f\u200d\U0001f525", "می\u200cخواهم", "क्\u200dष"],
)
def test_a_joiner_of_a_script_that_needs_it_is_no_hidden_character(joined: str) -> None:
    assert plain(joined) == printable(joined) == joined


def test_json_says_exactly_what_was_said() -> None:
    for text in (text for name, text in PAYLOADS.items() if name != "half an emoji"):
        assert json.loads(console.as_json([text])) == [text]


@pytest.mark.parametrize("text", ["cut \ud83d", "\ude00", "a\udcff"])
def test_half_a_character_ends_no_table(text: str) -> None:
    rows: list[dict[str, Any]] = [{"message": text, "n": 1}, {"message": None, "n": 2}]
    made = frame(rows, {"message": "str", "n": "int64"})
    assert made["n"].tolist() == [1, 2]
    for shown in (html_frame(made), repr(Findings([], made))):
        assert text.encode(errors="backslashreplace").decode() in re.sub("</?span>", "", shown)
