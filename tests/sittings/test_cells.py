"""How a sitting's record is laid out, which of its answers count, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat import v4

from opslib.catalogue import following
from opslib.catalogue.parameters import Parameter
from opslib.core import Json
from opslib.records import outcomes
from opslib.records.sittings import cells

TARGET = "lab/bluemoxon-staging"


def _notebook() -> list[Any]:
    return [
        v4.new_markdown_cell("# Look", id="head"),
        v4.new_code_cell("check()", id="check"),
        v4.new_markdown_cell("## Then", id="then"),
        v4.new_code_cell("change()", id="change"),
    ]


def _run(number: int, cell: str, code: str) -> Any:
    return cells.new_run(number, cell, None, code, started=f"2026-11-26T10:00:0{number}+00:00")


def test_runs_stand_where_their_cell_is_each_with_its_time() -> None:
    runs = [_run(0, "check", "check()"), _run(1, "gone", "1 / 0"), _run(2, "check", "check(2)")]
    made = cells.laid_out(_notebook(), runs)
    assert [cell["source"] for cell in made] == [
        "# Look",
        "*Run at 10:00:00 UTC*",
        "check()",
        "*Run at 10:00:01 UTC*",
        "1 / 0",
        "*Run at 10:00:02 UTC*",
        "check(2)",
        "## Then",
        "change()",
    ]
    assert cells.runs_of({"cells": made}) == runs
    assert len({cell["id"] for cell in made}) == len(made)


def test_only_the_last_answer_of_a_cell_counts_and_no_step_is_forgotten() -> None:
    def event(kind: str, number: int, cell: str = "check", **more: Any) -> dict[str, Any]:
        return {"event": kind, "during": [cell, number], **more}

    told = [
        event(cells.RUN, 0),
        event("findings", 0, findings=[{"status": "critical"}]),
        event("step", 0, state="applied"),
        event("refused", 0, message="no"),
        event(cells.RUN, 1, "other"),
        event("findings", 1, "other", findings=[{"status": "warn"}]),
        event(cells.RUN, 2),
        event("findings", 2, findings=[{"status": "ok"}]),
        {"event": "connected"},
    ]
    counted = cells.latest(told)
    assert [each["event"] for each in counted] == ["step", "findings", "findings", "connected"]
    found = outcomes.add_up(counted)["findings"]
    assert [finding["status"] for finding in found] == ["warn", "ok"]


FUNCTIONS = {"api": {"name": "shop-api"}, "loader": {"name": "shop-loader"}}


@pytest.mark.parametrize(
    ("target", "about", "here", "more"),
    [
        (TARGET, "errors of loader", {}, " -p function=loader"),
        (TARGET, "Throttles of loader", {"function": "api"}, " -p function=loader"),
        (TARGET, "errors", {"function": "api"}, " -p function=api"),
        (TARGET, "errors of loader and api", {}, ""),  # its default is practised on
        ("shop-production", "errors", {}, " -p 'function=api|loader'"),
    ],
)
def test_what_follows_names_the_thing_that_it_is_about_or_those_to_choose_from(
    target: str, about: str, here: Json, more: str
) -> None:
    def known(parameter: Parameter) -> Json:
        return FUNCTIONS if parameter.of else {}

    line = following.command("functions/scale", about, target=target, here=here, known=known)
    assert line == f"opslib open functions/scale -t {target}{more}"


@pytest.mark.parametrize(
    ("name", "here", "line"),
    [
        ("queues/redrive", {}, f"opslib open queues/redrive -t {TARGET}"),
        (
            "logs/errors",
            {"since": "2026-11-22 14:05", "until": ""},
            f"opslib open logs/errors -t {TARGET} -p since=2026-11-22T14:05",
        ),
        # `since` of a report is what it is compared with
        ("logs/errors", {"since": "1d"}, f"opslib open logs/errors -t {TARGET}"),
        ("logs/errors", {"since": "noon", "until": ""}, f"opslib open logs/errors -t {TARGET}"),
        ("look at the console", {}, ""),
    ],
)
def test_what_follows_is_a_line_with_target_and_window(
    name: str, here: dict[str, Any], line: str
) -> None:
    assert following.command(name, target=TARGET, here=here, known=lambda _: {}) == line
