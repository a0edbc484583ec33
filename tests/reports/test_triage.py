"""Triage: three procedures for a symptom in their order, and a first look when there is none."""

from __future__ import annotations

from opslib import conclude, reports
from opslib.core import Connection
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"


def test_a_symptom_leads_to_three_procedures_in_their_order(ops: Connection) -> None:
    found = reports.check_symptom(ops, "people can't lgoin")
    assert [f.status for f in found] == ["warn"] * 3
    assert conclude(ops).next == tuple(f.next for f in found)
    assert found[0].next == "bluemoxon/sign-in"
    assert "'lgoin' is read as 'login'" in found.note


def test_what_is_not_understood_is_unknown_and_nothing_said_is_no_finding(ops: Connection) -> None:
    [one] = reports.check_symptom(ops, "qwertz zxcvb")
    assert (one.status, one.next) == ("unknown", "")
    assert "not understood" in one.seen
    assert reports.check_symptom(ops) == []


def test_a_first_look_says_where_it_points(lab: PracticeLab, ops: Connection) -> None:
    assert reports.first_look(ops).note.endswith("Nothing is wrong.")
    with lab.broken("dead-letter-backlog", "bluemoxon-staging"):
        assert "It points to bluemoxon/dead-letters" in reports.first_look(ops).note


def test_its_verdict_says_what_was_looked_at_and_what_was_not(ops: Connection) -> None:
    reports.first_look(ops)
    said = conclude(ops).sentence
    assert said.startswith("All ")
    assert " passed. Looked at: api, functions, alarms, metrics; not at: database, jobs, " in said
    assert said.endswith(f"(opslib report daily -t {TARGET}).")
