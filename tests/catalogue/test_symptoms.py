"""Which procedure for a symptom: in the words of people on call, of every system, with typos."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from opslib.catalogue import procedures, runbooks, symptoms
from opslib.catalogue.symptoms import Guide
from opslib.core import UsageError
from opslib.core.connections import targets
from opslib.runs import choices
from tests.projects import Project

SAID: Any = yaml.safe_load((Path(__file__).parent / "symptoms.yaml").read_text(encoding="utf-8"))


@cache
def guide(target: str) -> Guide:
    return Guide(targets.load(target) if target else None, choices.is_described)


def first(said: str, target: str = "", most: int = 3) -> list[str]:
    """The procedures that are found first."""
    return [hit.procedure for hit in guide(target).find(said).hits[:most]]


@pytest.mark.some(2)
@pytest.mark.parametrize("half", ["held", "tuned"])
def test_the_right_procedure_is_among_the_first_three_for_95_of_100_sentences(half: str) -> None:
    asked = [
        (said, target, set(right)) for target, rows in SAID[half].items() for said, *right in rows
    ]
    missed = [each for each in asked if not each[2] & {*first(each[0], each[1])}]
    assert len(asked) >= 50
    assert len(missed) <= 0.05 * len(asked), missed


def test_every_procedure_of_the_two_tables_is_there() -> None:
    """What one is sent to exists; so a procedure that is renamed is renamed there, too."""
    words = yaml.safe_load((Path(symptoms.__file__).parent / "words.yaml").read_text())
    starts = {name for each in words["means"].values() for name in each.get("first", ())}
    right = {
        name
        for half in SAID.values()
        for rows in half.values()
        for _, *names in rows
        for name in names
    }
    assert starts | right <= {*procedures.names()}


def test_with_a_target_its_own_entries_are_named_and_what_it_has_not_is_left_out() -> None:
    found = guide("image-caption-prod").find("too slow, and the queue is full").hits
    assert {hit.procedure.split("/")[0] for hit in found}.isdisjoint({"functions", "queues"})
    [best, *_] = guide("bluemoxon-staging").find("a user can't log in").hits
    assert (best.name, best.procedure) == ("bluemoxon/sign-in", "users/sign-in")
    assert guide("").find("a user can't log in").hits[0].name == "users/sign-in"


def test_an_alarm_is_known_by_its_name() -> None:
    found = guide("loglineos-production").find("loglineos-stage0-duration rings").hits
    assert "loglineos/high-latency" in [hit.name for hit in found[:2]]


@pytest.mark.slow
@pytest.mark.parametrize("target", targets.names())
def test_the_heading_of_the_page_that_an_entry_took_over_finds_it_first(target: str) -> None:
    of = targets.load(target)
    for entry in runbooks.entries(of.system):
        if choices.is_described(procedures.find(entry.procedure), of):
            for said in (*entry.headings, *(heading.lower() for heading in entry.headings)):
                found = guide(target).find(said).hits[0]
                assert found.name == entry.name, (said, found)


@pytest.mark.some(3)
@pytest.mark.parametrize("target", targets.names())
def test_every_entry_of_a_runbook_can_be_run_on_each_of_its_systems_targets(target: str) -> None:
    """A copy is made by the target that it is made into; nothing else may be lacking."""
    of = targets.load(target)
    every = runbooks.entries(of.system)
    lacking = {e.name for e in every if not choices.is_described(procedures.find(e.procedure), of)}
    assert lacking <= {e.name for e in every if e.procedure == "databases/sync"}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("people cannot lgoin", {"lgoin": "login"}),
        ("dead leters", {"leters": "letters"}),
        ("ProvisionedThroughputExceededException", {}),
        ("the databse is full", {"databse": "database"}),
    ],
)
def test_a_letter_or_two_may_be_wrong_and_what_was_read_is_said(
    said: str, read: dict[str, str]
) -> None:
    found = guide("").find(said)
    assert found.read == read
    assert found.hits


@pytest.mark.parametrize(
    ("said", "unsure"),
    [("I do not know yet", True), ("no idea", True), ("qwertz zxcvb", False), ("it is", False)],
)
def test_what_is_not_understood_finds_nothing(said: str, unsure: bool) -> None:
    found = guide("bluemoxon-staging").find(said)
    assert (found.hits, found.unsure) == ([], unsure)


def test_no_word_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="Say what is seen"):
        guide("").find(" ?! ")


def test_of_what_fits_as_well_what_only_reads_comes_first(project: Project) -> None:
    for name, effect in (("a", "destroy"), ("b", "change"), ("c", "read")):
        path = project.procedure(name, "## When the kettle boils over", "1", effect=effect)
        path.write_text(path.read_text().replace("somebody tests", "the tea tastes of soap"))
    found = Guide(None, choices.is_described).find("my tea tasted soapy").hits
    assert [hit.effect for hit in found] == ["read", "change", "destroy"]


def test_what_it_says_is_a_sentence_of_its_own_never_its_parameters() -> None:
    found = guide("bluemoxon-staging").find("scraper rate-limited").hits
    assert found
    assert not [hit.why for hit in found if hit.why.startswith("bluemoxon ")]


def test_what_is_new_in_a_notebook_or_runbook_is_found_without_code(project: Project) -> None:
    """Also beside a notebook that cannot be read, which is told."""
    path = project.procedure("kettle", "## When the kettle boils over", "1")
    text = path.read_text().replace("somebody tests", "the tea tastes of soap; no tea at all")
    path.write_text(text)
    (path.parent / "broken.ipynb").write_text(json.dumps({"cells": []}))
    told: list[str] = []
    found = Guide(None, choices.is_described, told.append)
    [hit] = found.find("my tea tasted soapy").hits
    assert (hit.procedure, hit.why) == ("tests/kettle", "the tea tastes of soap")
    assert len(told) == 1
    assert "tests/broken" in told[0]


@pytest.mark.parametrize(
    ("said", "target", "right"),
    [
        ("messages pile up", "ai-studio-production", "jobs/status"),
        ("a user cannot log in", "ai-studio-production", "caches/throttle"),
        ("the queue grows", "bluemoxon-staging", "functions/health"),
        ("users get 403", "image-caption-prod", "edge/block"),
        ("the API is slow", "ai-studio-production", "services/latency"),
    ],
)
def test_one_looks_before_a_password_is_changed_or_letters_are_destroyed(
    said: str, target: str, right: str
) -> None:
    found = [*first(said, target), "databases/password", "queues/purge"]
    assert found.index(right) < min(map(found.index, found[-2:]))


def test_why_a_procedure_is_here_is_said_without_marks_of_markdown() -> None:
    said = ("ssl certificate expired", "dead letters pile up", "it runs for too long")
    why = [hit.why for each in said for hit in guide("bluemoxon-production").find(each).hits]
    assert not [each for each in why if any(mark in each for mark in ("#", "[", "](", "*", "`"))]


def test_a_word_without_its_apostrophe_is_no_cat() -> None:
    assert guide("bluemoxon-production").find("people cant log in").read == {}
