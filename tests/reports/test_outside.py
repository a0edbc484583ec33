"""Faults that are no drill, several at once: each is named, and none hides another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opslib import connect
from opslib.core.checks import causes
from opslib.reports import reports

TARGET = "lab/bluemoxon-staging"


@pytest.fixture
def broken(lab: Any, records_folder: Any) -> Iterator[Any]:
    ops = connect(TARGET)
    functions = ops.target["functions"]

    def queue(name: str) -> str:
        return str(ops.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"])

    name = functions["analysis-worker"]["name"]
    kept = {"FunctionName": name, "ReservedConcurrentExecutions": 0}
    ops.call("lambda", "put_function_concurrency", **kept)
    ops.call("lambda", "delete_alias", FunctionName=functions["scraper"]["name"], Name="live")
    group = f"/aws/lambda/{functions['cleanup']['name']}"
    ops.call("logs", "delete_log_group", logGroupName=group)
    secret = "bluemoxon-staging/api-token"
    ops.call("secretsmanager", "delete_secret", SecretId=secret, RecoveryWindowInDays=30)
    ops.call("sqs", "delete_queue", QueueUrl=queue("bluemoxon-staging-eval-runbook-dlq"))
    policy = {"RedrivePolicy": ""}
    at = queue("bluemoxon-staging-analysis")
    ops.call("sqs", "set_queue_attributes", QueueUrl=at, Attributes=policy)
    yield ops
    lab.reset()


def test_each_of_six_faults_from_outside_is_named_by_the_report(broken: Any) -> None:
    found = reports.daily(broken).findings
    critical = {f.check: f for f in found if f.status == "critical"}
    said = "\n".join(f"{f.check}: {f.seen}" for f in critical.values())
    for words in (
        "throttles of analysis-worker: none in 1,440 min: 0 are reserved for it",
        "Described as functions.scraper.alias, and not there",
        "Described as queues.eval-runbook.dead_letters, and not there",
        "secret bluemoxon-staging/api-token: marked for deletion",
        "failed messages of analysis are kept: nowhere: no redrive policy",
    ):
        assert words in said, said
    assert "cleanup" in said, "its log group"
    assert causes.GONE in found.causes
    checks = {f.check for f in found if f.status == "ok"}
    assert {
        "Dead letters of analysis",
        "invocations of api",
        "secret bluemoxon-staging/database",
    } <= checks
