"""Executions of a window, and one that is started again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opslib import apply, queues, workflows
from opslib.core import poll
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, Refused, UsageError
from opslib.core.reads import metrics
from opslib.queues import queues as letters
from opslib.workflows import executions
from opslib.workflows.machines import Machine
from tests import canned

TARGET, FLOW = "lab/dms-dev", "documents"

pytestmark = pytest.mark.usefixtures("records_folder")


def names(ops: Connection) -> set[str]:
    return set(Machine(ops, FLOW).executions(None)["execution"])


def test_executions_that_succeed_name_no_cause(ops: Connection) -> None:
    found = workflows.check_executions(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert found.evidence is not None
    assert list(found.evidence.columns) == list(executions.SHOWN)


@pytest.mark.slow
def test_a_failed_item_is_found_started_again_and_mended(ops: Connection, lab: Any) -> None:
    before = lab.state("dms-dev")
    with lab.broken("state-unavailable", "dms-dev"):
        failed = workflows.check_executions(ops)
        assert failed.causes == {"state-unavailable"}
        assert "2 failed in IndexDocument" in next(f.seen for f in failed.troubles)
        item = workflows.find_failed(ops, FLOW)
        assert workflows.check_item(ops, FLOW, item).worst == "critical"
        broken, known = lab.state("dms-dev"), names(ops)
        plan = workflows.plan_restart(ops, FLOW, item)
        assert lab.state("dms-dev") == broken, "a preview changes nothing"
        applied = apply(ops, plan, "now")
        assert names(ops) - known == {f"{item}-2"}
        after = applied.verify(workflows.check_item, FLOW, item, 20)
        assert after.worst == "critical", "the index still takes no writes"
        third = workflows.plan_restart(ops, FLOW, item).steps[0]
        assert third.do["parameters"]["name"] == f"{item}-3"
    assert lab.state("dms-dev") == before


@pytest.mark.slow
def test_rows_that_failed_are_told_also_where_no_execution_tells_of_them(
    ops: Connection, lab: Any
) -> None:
    ready = "SELECT id FROM documents WHERE status = 'ready' ORDER BY id LIMIT 3"
    said = "UPDATE documents SET status = 'failed', updated_at = now(), error_message = 'no quota' "
    try:
        sql.execute(ops, f"{said} WHERE id IN ({ready})", {}, 3)
        (found,) = workflows.check_executions(ops).troubles
        assert (found.check, found.next) == ("failed rows of documents", "workflows/restart")
        assert found.seen.startswith("3 rows in 24 h: ")
        assert found.seen.endswith(": no quota")
    finally:
        lab.reset()


@pytest.mark.slow
def test_objects_that_are_gone_are_seen_by_a_sample(ops: Connection, lab: Any) -> None:
    assert workflows.check_objects(ops).worst == "ok"
    bucket = ops.target["buckets"]["documents"]["name"]
    listed = ops.pages("s3", "list_objects_v2", "Contents[].Key", Bucket=bucket)
    try:
        for key in sorted(listed)[::2]:
            ops.call("s3", "delete_object", Bucket=bucket, Key=key)
        found = workflows.check_objects(ops, FLOW)
        assert (found.worst, found.causes) == ("critical", {"objects-gone"})
        assert [f.next for f in found] == ["buckets/restore"]
    finally:
        lab.reset()


@pytest.mark.slow
def test_letters_of_a_work_flow_are_of_its_items_and_go_through_it_again(
    ops: Connection, lab: Any
) -> None:
    before = lab.state("dms-dev")
    with lab.broken("item-unreadable", "dms-dev"):
        found, item = letters.find_letters(ops, "processing"), workflows.find_failed(ops, FLOW)
        told = list(found["failure"]), list(found["item"])
        assert told == (["item cannot be read"], [item])
        plan = queues.plan_redrive(ops, "processing")
        to = plan.steps[0].do["parameters"]["DestinationArn"]
        assert to.endswith(":dms-processing-dev")
        apply(ops, plan, "now")
        again, _ = poll(lambda: names(ops), lambda known: f"{item}-2" in known, 20)
        assert f"{item}-2" in again
        found = workflows.check_item(ops, FLOW, item, 20)
        assert (found.worst, found[0].check) == ("ok", f"execution {item}-2")
        assert [f.seen for f in found if f.check.startswith("entry")] == ["found"]
        assert workflows.check_executions(ops).worst == "ok", "what was mended counts no more"
    assert lab.state("dms-dev") == before


def test_what_has_not_failed_is_not_started_again(ops: Connection) -> None:
    done = Machine(ops, FLOW).executions(None, "SUCCEEDED", 1)["execution"].iloc[0]
    known = names(ops)
    with pytest.raises(Refused, match=r"has not failed: its row says done\. Nothing was changed"):
        workflows.plan_restart(ops, FLOW, done.removesuffix("-1"))
    with pytest.raises(NotFound, match="nobody has no execution"):
        workflows.plan_restart(ops, FLOW, "nobody")
    with pytest.raises(UsageError, match="one of new, redrive, stop"):
        workflows.plan_restart(ops, FLOW, "nobody", "again")
    assert workflows.plan_restart(ops, FLOW, "").steps == ()
    assert names(ops) == known


def test_one_that_runs_is_not_started_twice_and_one_that_hangs_is_stopped_first(
    ops: Connection, lab: Any
) -> None:
    before = lab.state("dms-dev")
    with lab.broken("executions-stuck", "dms-dev"):
        found = workflows.check_executions(ops)
        assert found.causes == {executions.STUCK}
        assert found.evidence is not None
        item = found.evidence["item"].iloc[0]
        with pytest.raises(Refused, match="would be processed twice"):
            workflows.plan_restart(ops, FLOW, item)
        applied = apply(ops, workflows.plan_restart(ops, FLOW, item, "stop"), "now")
        assert applied.verify(workflows.check_item, FLOW, item, 20).worst == "ok"
        with pytest.raises(Refused, match=f"No execution of {item} runs"):
            workflows.plan_restart(ops, FLOW, item, "stop")
    assert lab.state("dms-dev") == before


def test_a_redrive_is_for_what_nothing_caught(ops: Connection, lab: Any) -> None:
    """The role could not even call what marks a document failed: there a redrive goes on."""
    with lab.broken("state-denied", "dms-dev"):
        last = Machine(ops, FLOW).executions(None, "FAILED", 1)["execution"].iloc[0]
        step = workflows.plan_restart(ops, FLOW, last.removesuffix("-1"), "redrive").steps[0]
        assert (step.do["operation"], step.before) == ("redrive_execution", "FAILED")
        assert "MarkFailed after ScanDocument" in step.title
    with lab.broken("item-unreadable", "dms-dev"):
        item = workflows.find_failed(ops, FLOW)
        with pytest.raises(Refused, match="the definition caught that"):
            workflows.plan_restart(ops, FLOW, item, "redrive")


def test_a_machine_that_is_gone_is_critical_and_a_denied_one_is_unknown(
    ops: Connection, lab: Any
) -> None:
    with lab.denied("stepfunctions:ListExecutions", "dms-dev"):
        found = workflows.check_executions(ops)
    assert (found.worst, found.causes) == ("unknown", {"access-denied"})
    none = canned.connection(lambda *_: (200, b'{"stateMachines": []}'), TARGET)
    gone = workflows.check_executions(none)
    assert (gone.worst, gone.causes) == ("critical", {"described-and-gone"})


def test_a_denied_history_hides_no_failure(ops: Connection, lab: Any) -> None:
    with (
        lab.broken("item-unreadable", "dms-dev"),
        lab.denied("stepfunctions:GetExecutionHistory", "dms-dev"),
    ):
        found = workflows.check_executions(ops)
    assert found.causes == {"item-unreadable"}
    assert "failed in a state (its history may not be read): CorruptDocument" in str(found)


def test_of_express_machines_only_the_metrics_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: str, operation: str) -> tuple[int, bytes]:
        told: dict[str, Any] = {"type": "EXPRESS", "status": "ACTIVE", "stateMachineArn": "a"}
        if operation == "ListStateMachines":
            name = "dms-document-processing-dev"
            told = {"stateMachines": [{"name": name, "stateMachineArn": "arn:aws:states:::x:y"}]}
        assert operation in ("ListStateMachines", "DescribeStateMachine")
        return 200, json.dumps(told).encode()

    ops = canned.connection(answer, TARGET)
    import pandas as pd

    counted = {"ExecutionsStarted": 200.0, "ExecutionsFailed": 3.0, "ExecutionsTimedOut": 0.0}
    measured = {name: pd.Series([value]) for name, value in counted.items()}
    monkeypatch.setattr(metrics, "series", lambda *_: measured)
    found = workflows.check_executions(ops)
    assert [f.seen for f in found if "failed" in f.seen] == [
        "3 of 200 failed. Step Functions keeps no history of express ones: and they do not log"
    ]
    assert {f.status for f in found.troubles} == {"warn"}
    with pytest.raises(Refused, match="express machine"):
        workflows.plan_restart(ops, FLOW, "x")
