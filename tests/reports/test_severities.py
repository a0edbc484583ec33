"""Severity: by the file's rules alone, with the times that count."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import UsageError
from opslib.core import Findings, Question, Target
from opslib.core.checks.severities import told
from opslib.records import outcomes
from opslib.reports import severities

NOW = datetime(2026, 11, 25, 3, 10, tzinfo=UTC)
ABOUT = {
    "escalate_after_minutes": 30,
    "contacts": {"lead": "#leads"},
    "levels": {
        "P1": {
            "title": "down",
            "respond_minutes": 0,
            "escalate_to": "lead",
            "matches": ["database-*", "GET /health*"],
        },
        "P2": {
            "title": "broken",
            "respond_minutes": 60,
            "escalate_to": "on-call",
            "matches": ["storage-denied"],
        },
        "P4": {"title": "cosmetic", "respond": "next sprint", "escalate_to": "nobody"},
    },
}


def connection(**facts: Any) -> Any:
    described = type("Facts", (dict,), {})(facts)
    of = {"__getitem__": lambda _, key: described[key], "at": Target.at}
    target = type("Target", (SimpleNamespace,), of)
    return SimpleNamespace(
        target=target(facts=described, name="shop", key="shop"),
        now=lambda: NOW,
        findings=Findings(),
        changed=False,
        journal=SimpleNamespace(write=lambda *_, **__: None),
    )


def finding(status: str, cause: str = "", words: str = "something") -> Any:
    return Question(words).answer(status, "seen", cause=cause)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            [finding("critical", "storage-denied")],
            "may be P2 broken: respond by 04:10 UTC; not solved",
        ),
        (
            [finding("critical", "storage-denied"), finding("critical", "", "GET /health answers")],
            "may be P1 down: respond at once; not solved by 03:40 UTC: lead (#leads)",
        ),
        (
            [finding("critical", "strange")],
            "no rule of the target's file fits: choose. P1 down; P2",
        ),
    ],
)
def test_the_worst_rule_that_fits_gives_level_time_and_contact(found: Any, said: str) -> None:
    ((label, line),) = told(connection(severities=ABOUT), found)
    assert (label, said in line) == ("severity", True), line


def test_nothing_is_said_without_the_key_or_without_what_is_critical() -> None:
    critical, warning = finding("critical", "storage-denied"), finding("warn", "storage-denied")
    assert told(connection(), [critical]) == []
    assert told(connection(severities=ABOUT), [warning]) == []


def test_a_chosen_level_counts_from_when_it_began() -> None:
    ops = connection(severities=ABOUT)
    found, _ = severities.check_severity(ops, "P2", "20m")
    assert "respond by 03:50 UTC; not solved by 03:50 UTC: on-call (no contact" in found.seen
    every = severities.check_severity(ops)
    assert list(every.evidence["level"]) == ["P1", "P2", "P4"]
    assert [f.check for f in every] == [
        *("severity P1", "severity P2", "severity P4"),
        "contact: lead",
    ]
    assert {f.threshold for f in every} == {""}, "told, not passed: a report lists it"
    assert every.evidence["respond"].iloc[-1] == "next sprint"
    with pytest.raises(UsageError, match="'P4'"):
        severities.check_severity(ops, "P5")


def test_contacts_are_told_without_levels_and_one_that_nobody_wrote_down_is_a_warning() -> None:
    ops = connection(severities={"contacts": {"on-call": "the rotation", "security": ""}})
    found = severities.check_severity(ops)
    assert [(f.status, f.check, f.seen) for f in found] == [
        ("ok", "contact: on-call", "the rotation"),
        ("warn", "contact: security", "nobody wrote down how"),
    ]


def test_an_empty_contact_is_no_contact() -> None:
    about = {**ABOUT, "contacts": {"lead": ""}}
    ((_, line),) = told(connection(severities=about), [finding("critical", "storage-denied")])
    assert "(no contact in the file)" in line


def test_the_record_and_the_terminal_have_the_line_of_the_verdict() -> None:
    said = [["severity", "may be P1"], ["cause", "x"]]
    events = [{"event": "verdict", "sentence": "s", "evidence": said}]
    kept = outcomes.conclude(outcomes.Ending(outcomes.DONE), events)
    assert kept["evidence"] == [("severity", "may be P1")]
