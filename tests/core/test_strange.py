"""One strange element stops nothing: it costs its own check, or its own line of a check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opslib import reports
from opslib.core import (
    Connection,
    Findings,
    NotAllowed,
    Question,
    Refused,
    Unfinished,
    UsageError,
    answer,
    check,
    redaction,
    window,
)
from opslib.core.errors import NotUnderstood
from opslib.core.reads import logs, metrics
from tests import canned

GOOD = Question("a thing").answer("ok", "well")


@pytest.fixture
def strange(records_folder: Path) -> Connection:
    """A target of which every answer is JSON without anything in it."""
    return canned.connection(lambda *_: (200, b"{}"))


@check("Is it well?")
def check_it(ops: Connection, raised: BaseException | None = None) -> Findings:
    if raised:
        raise raised
    return Findings([GOOD])


def test_an_error_that_nobody_foresaw_is_one_unknown_finding(strange: Connection) -> None:
    [found] = check_it(strange, KeyError("State"))
    assert (found.status, found.check, found.source) == ("unknown", "Is it well?", "NotUnderstood")
    assert found.seen.startswith("Defect in opslib, or an answer that it did not understand")
    assert "KeyError: 'State', at test_strange.py:" in found.seen
    assert "in check_it" in found.seen
    assert found.trace.splitlines()[-1] == "KeyError: 'State'"
    assert "in check_it" in found.trace.splitlines()[-2]
    assert strange.findings == [found]
    [fine] = check_it(strange)
    assert (fine.status, fine.trace) == ("ok", "")


@pytest.mark.parametrize(
    "raised", [UsageError("typed wrongly"), Refused("no"), KeyboardInterrupt()]
)
def test_what_was_typed_a_guard_and_ctrl_c_still_end_it(
    strange: Connection, raised: BaseException
) -> None:
    with pytest.raises(type(raised)):
        check_it(strange, raised)


def test_the_trace_is_folded_and_masked(strange: Connection) -> None:
    redaction.register("hunter2-hunter2", "password")
    found = check_it(strange, ValueError("the password hunter2-hunter2 <b>is</b> short"))
    shown = found._repr_mimebundle_()
    assert "<details><summary>trace of: Is it well?</summary><pre>" in shown["text/html"]
    assert "<b>is</b>" not in shown["text/html"]
    assert "ValueError" in shown["text/plain"]
    assert "test_strange.py" in shown["text/html"]
    assert found[0].trace not in shown["text/plain"], "short in the terminal"
    assert "hunter2" not in json.dumps(shown)


def look(name: str) -> str:
    """One of forty cannot be understood, one is denied."""
    if name == "f7":
        raise TypeError("'NoneType' object is not subscriptable")
    if name == "f8":
        raise NotAllowed("Denied: f8")
    return name


@check("Are all of them well?")
def check_each(ops: Connection) -> Findings:
    found = ops.each(look, [f"f{i}" for i in range(40)], "function {}")
    return Findings(Question(f"function {name}").answer("ok", name) for name in found)


def test_one_of_forty_that_fails_costs_that_one(strange: Connection) -> None:
    found = check_each(strange)
    assert len(found) == 40
    bad = [(f.check, f.status, f.source, f.cause) for f in found.troubles]
    assert bad == [
        ("function f8", "unknown", "NotAllowed", "access-denied"),
        ("function f7", "unknown", "NotUnderstood", ""),
    ]
    assert "TypeError" in found.troubles[1].seen


def test_outside_a_check_nothing_is_left_out(strange: Connection) -> None:
    """A plan made of what remained would be another plan."""
    with pytest.raises(NotUnderstood, match="TypeError"):
        strange.each(look, ["f1", "f7"], "function {}")
    with pytest.raises(NotUnderstood, match="TypeError"):
        strange.gather(lambda: look("f7"))
    assert strange.each(look, ["f1"], "function {}") == {"f1": "f1"}


def test_an_answer_of_several_in_a_check_is_unknown_by_itself() -> None:
    assert answer("a", lambda: GOOD) is GOOD
    assert answer("a", lambda: Findings()[3]).source == "NotUnderstood"


BODIES = [
    b"",
    b"{}",
    b"null",
    b'{"events": [{"message": "cut',
    b"<html>Sign in</html>",
    b"\xff\xfe",
]


@pytest.mark.some(4)
@pytest.mark.parametrize("body", BODIES)
def test_a_report_of_strange_answers_is_made_and_nothing_of_aws_is_ok(
    records_folder: Path, body: bytes
) -> None:
    """`{}` is an answer of AWS's form, and says of one thing that it was never set."""
    daily = reports.daily(canned.connection(lambda *_: (200, body)), 24)
    well = {f.check for f in daily.findings if f.status == "ok"}
    some = (
        {"rules of configuration", "configuration", "suspicious events"} if body == b"{}" else set()
    )
    assert well - some == {"changes made"}
    assert not any("core/connections/calls.py" in f.seen for f in daily.findings)
    assert len(daily.findings.troubles) > 25
    assert repr(daily.troubles)


def lines(next: str, **more: Any) -> tuple[int, bytes]:
    event = {"eventId": "1", "timestamp": 0, "message": "a line", "logStreamName": "s"}
    return 200, json.dumps({"events": [event], "nextToken": next, **more}).encode()


def test_a_next_token_that_repeats_is_an_end_and_no_loop(records_folder: Path) -> None:
    ops = canned.connection(lambda *_: lines("again"))
    with pytest.raises(Unfinished, match=r"was cut, or is no answer of AWS's.*next token"):
        logs.search(ops, "api", "", window(ops, 5))


def test_a_time_that_is_told_as_text_is_a_time_and_not_a_million_of_it(
    records_folder: Path,
) -> None:
    event = {"eventId": "1", "timestamp": "86400000", "message": "a line", "logStreamName": "s"}
    ops = canned.connection(lambda *_: (200, json.dumps({"events": [event]}).encode()))
    found = logs.search(ops, "api", "", window(ops, 5))
    assert [f"{time:%Y-%m-%d}" for time in found["time"]] == ["1970-01-02"]


@pytest.mark.parametrize(
    ("service", "operation", "member"),
    [("cloudtrail", "lookup_events", "Events"), ("ecs", "list_clusters", "clusterArns")],
)
def test_a_list_that_is_null_is_no_empty_list(
    records_folder: Path, service: str, operation: str, member: str
) -> None:
    bodies = iter([{member: []}, {member: None, "nextToken": None}])
    ops = canned.connection(lambda *_: (200, json.dumps(next(bodies)).encode()))
    assert ops.call(service, operation) == {member: []}
    with pytest.raises(Unfinished, match=r"was cut, or is no answer of AWS's"):
        ops.call(service, operation)


def test_an_answer_that_leaves_a_metric_out_does_not_say_that_it_is_well(
    records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = canned.connection(lambda *_: (200, b"{}"))
    told = {"Id": "m0", "Label": "a", "Timestamps": [], "Values": []}
    monkeypatch.setattr(ops, "pages", lambda *_, **__: [told])
    asked = [metrics.asked(id, "AWS/SQS", "Age", {}, "Maximum") for id in ("m0", "m1")]
    assert not len(metrics.query(ops, asked[:1], window(ops, 60)))
    with pytest.raises(NotUnderstood, match="leaves out 1 of 2 metrics"):
        metrics.query(ops, asked, window(ops, 60))


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_half_an_answer_is_no_answer(records_folder: Path, cut: int) -> None:
    whole = lines("")[1]
    ops = canned.connection(lambda *_: (200, whole[:-cut]))
    with pytest.raises(Unfinished, match=r"filter_log_events.*was cut"):
        logs.search(ops, "api", "", window(ops, 5))


@check("Where to?")
def check_ways(ops: Connection) -> Findings:
    asked = Question("one")
    names = ("databases/health", "shop/database", "logs/search")
    return Findings(asked.answer("critical", "ill", next=name) for name in names)


def test_no_finding_sends_to_the_notebook_that_it_stands_in(
    strange: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert next(f.next for f in check_ways(strange)) == "databases/health"
    monkeypatch.setenv("OPSLIB_HERE", "shop/database databases/health")
    assert [f.next for f in check_ways(strange)] == ["", "", "logs/search"]
    monkeypatch.delenv("OPSLIB_HERE")
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ana/runbook/notebooks/logs/search.ipynb")
    assert [f.next for f in check_ways(strange)] == ["databases/health", "shop/database", ""]
