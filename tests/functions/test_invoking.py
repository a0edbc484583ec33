"""A function invoked once: what is sent, what came back, and that nothing ran before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opslib import apply
from opslib.core.actions.lambdas import Ask, Reply
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, NotFound, Refused, UsageError
from opslib.core.plans import narrowing
from opslib.functions import check_answer, plan_invocation
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"
CLEANUP = "bluemoxon-staging-cleanup"
COUNT = '{"dry_run": true}'

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


def calls(ops: Connection) -> int:
    """How often the function really ran, as its log says."""
    group = f"/aws/lambda/{CLEANUP}"
    lines = ops.pages("logs", "filter_log_events", "events[].message", logGroupName=group)
    return sum(line.startswith("START") for line in lines)


def test_a_preview_asks_whether_it_may_and_an_apply_runs_it_once(ops: Connection) -> None:
    before = calls(ops)
    plan = plan_invocation(ops, "cleanup", COUNT)
    [step] = plan.steps
    assert step.title == f"Invoke {CLEANUP}, live, with {COUNT}"
    assert (step.before[:10], step.undo) == ("version 2 ", None)
    assert calls(ops) == before
    applied = apply(ops, plan, plan.id, TARGET)
    assert calls(ops) == before + 1
    answered, bounds = applied.verify(check_answer)
    assert (answered.status, bounds.status) == ("ok", "ok")
    assert answered.seen.startswith('version 2: {"expired": ')
    assert "MB of 512" in bounds.seen


def test_what_the_function_raises_is_a_finding_with_the_end_of_its_log(ops: Connection) -> None:
    given = {"function": "db-sync", "payload": '{"no_such": 1}'}
    left = notebooks.run("functions/invoke", approved="now", **given)
    [failed] = [found for found in left["ops"].findings if found.status == "critical"]
    assert failed.seen == "other error: ValueError: Unknown options: no_such"
    assert failed.next == "logs/search"
    assert left["applied"].changed
    told = check_answer(left["ops"])
    assert told.evidence is not None
    assert told.evidence["line"].str.contains("Traceback").any()


@pytest.mark.parametrize(
    ("reply", "status", "seen"),
    [
        ({"Payload": {"statusCode": 503, "body": "down"}}, "critical", "503: down"),
        ({"Payload": {"batchItemFailures": [{"itemIdentifier": "a"}]}}, "critical", "1 of the"),
        (
            {"Failed": "Sandbox.Timedout: Error: Task timed out after 3.00 seconds"},
            "critical",
            "function timed out",
        ),
        (
            {"Failed": "Runtime.ExitError: Runtime exited with error: signal: killed"},
            "critical",
            "out of memory",
        ),
        ({"Failed": "KeyError: 'id'"}, "critical", "message cannot be read"),
        ({"Payload": None}, "ok", "version 7: null"),
        ({"Payload": "text"}, "ok", 'version 7: "text"'),
        ({"StatusCode": 202}, "ok", "handed over"),
    ],
)
def test_an_answer_is_judged_by_what_it_says(
    ops: Connection, reply: dict[str, Any], status: str, seen: str
) -> None:
    ops.keep(Reply({"StatusCode": 200, "ExecutedVersion": "7", "Timeout": 3} | reply))
    [found] = check_answer(ops)
    assert found.status == status
    assert seen in found.seen
    assert not found.next.startswith("queues/")


@pytest.mark.parametrize(
    ("report", "status"),
    [
        ("REPORT RequestId: 1\tDuration: 812.40 ms\tBilled Duration: 813 ms\t", "ok"),
        ("REPORT RequestId: 1\tDuration: 2950.11 ms\tBilled Duration: 2951 ms\t", "warn"),
    ],
)
def test_the_bounds_are_read_of_a_log_in_text_and_in_json(
    ops: Connection, report: str, status: str
) -> None:
    text = f"my own Duration: 9 ms\n{report}Memory Size: 128 MB\tMax Memory Used: 70 MB\t\n"
    taken = float(report.split("\tDuration: ")[1].split()[0])
    metrics = {"durationMs": taken, "billedDurationMs": 1, "memorySizeMB": 128}
    record = {"requestId": "1", "metrics": metrics | {"maxMemoryUsedMB": 70}, "status": "success"}
    document = json.dumps({"type": "platform.report", "record": record}, separators=(",", ":"))
    for log in (text, document):
        ops.keep(Reply({"LogResult": log, "Timeout": 3}))
        _, bounds = check_answer(ops)
        assert (bounds.status, "70 MB of 128" in bounds.seen) == (status, True)


def test_a_payload_may_be_a_file_that_stays_as_it_was_planned(
    ops: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "event.json").write_text(COUNT)
    monkeypatch.setenv("PWD", str(tmp_path))
    plan = plan_invocation(ops, "cleanup", "event.json")
    assert "dry_run" not in repr(plan)
    assert apply(ops, plan, "now", TARGET).verify(check_answer).worst == "ok"
    plan = plan_invocation(ops, "cleanup", "event.json")
    plan.again = None
    (tmp_path / "event.json").write_text("{}")
    with pytest.raises(Refused, match="no longer what was planned"):
        apply(ops, plan, "now", TARGET)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("{dry_run:", "single quotes"),
        ("NaN", "neither JSON"),
        ("x" * 5000, "neither JSON"),
        ("~nobody-here/event.json", "neither JSON"),
        ('"' + "x" * 1_048_576 + '"', "Lambda takes 1,048,576 bytes"),
    ],
)
def test_what_lambda_would_not_take_is_told_before_it_is_asked(
    ops: Connection, payload: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        plan_invocation(ops, "cleanup", payload, background=True)


def test_who_may_not_invoke_is_told_in_the_preview_and_a_version_that_is_none(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.denied("lambda:Invoke"), pytest.raises(NotAllowed):
        plan_invocation(ops, "cleanup")
    with pytest.raises(NotFound):
        plan_invocation(ops, "cleanup", qualifier="99")


def test_handed_over_it_runs_by_itself(ops: Connection) -> None:
    plan = plan_invocation(ops, "cleanup", COUNT, background=True)
    assert "twice more" in plan.notes[1]
    [found] = apply(ops, plan, "now", TARGET).verify(check_answer)
    assert (found.status, found.seen[:4]) == ("ok", "202:")


def test_the_role_that_applies_may_call_that_function_alone(ops: Connection) -> None:
    do = Ask(CLEANUP, "live", "RequestResponse", "{}", 3)
    [(service, operation, on)] = narrowing.made(do)
    assert (service, operation) == ("lambda", "invoke")
    assert on == {"FunctionName": CLEANUP, "Qualifier": "live"}


def test_a_secret_in_payload_and_answer_is_in_no_record(ops: Connection) -> None:
    given = {"function": "db-sync", "payload": '{"password": "Tr0ub4dor-and-3"}'}
    notebooks.run("functions/invoke", approved="now", **given)
    record = reading.list_records()[0]
    assert "Tr0ub4dor" not in Path(record.path).read_text()
