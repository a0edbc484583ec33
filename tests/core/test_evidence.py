"""A verdict shows its work: what proves the cause, what a value rules out, what is not known."""

from __future__ import annotations

import ast
from pathlib import Path

import opslib
from opslib.core import Findings, NotAllowed, Question, unread
from opslib.core.checks.evidence import evidence
from opslib.core.findings import SEVERITY, known
from tests import rooms

LETTERS = Question("Dead letters of orders", "0", "sqs")
CPU = Question("CPU of the writer", "at most 80 %", "cloudwatch")
BUSY = CPU.judged(False, "97 %", cause="database-cpu-high")
IDLE = CPU.judged(True, "3 %", cause="database-cpu-high")
FULL = LETTERS.judged(False, "7 visible", cause="dead-letter-backlog")
DENIED = unread("alarms", NotAllowed("Denied: cloudwatch describe_alarms"))


def test_an_answer_that_is_ok_rules_its_cause_out() -> None:
    assert (IDLE.cause, IDLE.rules_out) == ("", "database-cpu-high")
    assert (BUSY.cause, BUSY.rules_out) == ("database-cpu-high", "")
    assert Findings([IDLE]).causes == set()


def test_cause_ruled_out_and_unknown_have_their_values() -> None:
    assert evidence([IDLE, DENIED, FULL]) == [
        ("cause", "dead-letter-backlog: Dead letters of orders: 7 visible"),
        ("ruled out", "database-cpu-high (CPU of the writer: 3 %)"),
        ("not known", "alarms: Denied: cloudwatch describe_alarms"),
    ]


def test_what_one_finding_names_another_does_not_rule_out() -> None:
    assert evidence([IDLE, BUSY]) == [("cause", "database-cpu-high: CPU of the writer: 97 %")]


def test_trouble_without_a_named_cause_says_so() -> None:
    strange = Question("sequence").answer("warn", "at 97 %")
    assert evidence([strange])[0] == (
        "cause",
        "none that is known by name; the findings say what is wrong",
    )
    assert evidence([DENIED])[0][0] == "not known", "nothing says that something is wrong"
    assert evidence([Question("a").answer("ok", "well")]) == []


def test_what_hides_many_answers_is_said_once() -> None:
    assert evidence([DENIED, DENIED, DENIED]) == [
        ("not known", "alarms: Denied: cloudwatch describe_alarms")
    ]


def test_it_is_five_lines_however_much_was_found() -> None:
    many = [Question(f"q{i}").judged(i % 2 == 0, "s" * 500, cause=f"c{i}") for i in range(60)]
    dark = [Question(f"d{i}").answer("unknown", "x" * 500) for i in range(40)]
    told = evidence([*many, *dark])
    assert [label for label, _ in told] == ["cause"] * 3 + ["ruled out", "not known"]
    assert max(len(said) for _, said in told) < 1000
    assert told[3][1].endswith("and 25 other causes")
    assert told[4][1].endswith("and 35 other checks")


def test_a_finding_of_another_version_is_read() -> None:
    assert known({"status": "ok", "check": "c", "seen": "s", "colour": "red"}).check == "c"
    assert known({}).status == "unknown"


LIBRARY = Path(opslib.__file__).parent
# Causes that no answer rules out, and why.
ONE_WAY = {
    "api-html": "a probe that answers JSON shows by itself that it is none",
    "api-404": "as above",
    "MISCOMPARED": "a share of all objects, told beside the orphans",
    "LOST": "jobs that wait are told only when there are some",
    "NONE_STARTED": "as above",
    "LOOP": "jobs of one item are told only when they are many",
    "INDEX": "an index that is throttled is told beside its table, which rules out the others",
    "PROBED": "denials in bulk are told only when there are some",
    "too-few-tasks": "a CPU that is not at its limit rules out the service's, the nearer cause",
}


def causes(tree: ast.AST) -> tuple[set[str], set[str]]:
    """The causes that answers name which are not ok, and those that an ok answer speaks against."""
    named: set[str] = set()
    out: set[str] = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        method, words = getattr(call.func, "attr", ""), set[str]()
        for node in (n for k in call.keywords if k.arg == "cause" for n in ast.walk(k.value)):
            word = getattr(node, "value", getattr(node, "attr", getattr(node, "id", "")))
            words |= {word} if isinstance(word, str) and (word.isupper() or "-" in word) else set()
            words |= {node.attr} if isinstance(node, ast.Attribute) else set()
        status = method if method in SEVERITY else ast.unparse(call.args[0]) if call.args else ""
        if method in ("answer", "judged", *SEVERITY):
            (out if method == "judged" or "ok" in status else named).update(words)
            named |= words if status == "status" else set()
            out |= words if status == "status" else set()
    return named, out


def test_what_judges_a_cause_also_says_when_it_is_not_there() -> None:
    files = [p for p in LIBRARY.rglob("*.py") if "lab" not in p.relative_to(LIBRARY).parts]
    found = [causes(rooms.parsed(file)) for file in files]
    named: set[str] = set().union(*(each for each, _ in found))
    out: set[str] = set().union(*(each for _, each in found))
    assert {"UNAVAILABLE", "COLD", "SLOW", "STALE"} <= named
    assert named - out <= set(ONE_WAY), "Question.answer('ok', …, cause=…) where it is judged"
