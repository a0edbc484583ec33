"""Where each alarm leads, and who has walked that way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opslib.cli import commands, readiness
from opslib.core import Connection, Json
from opslib.records.records import Record
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"


def asked(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        commands.main(["readiness", "-t", TARGET, *more])
    return int(str(ended.value.code)), capsys.readouterr().out


def test_an_alarm_that_leads_nowhere_comes_first(
    ops: Connection, clean: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = asked(capsys, "--json")
    assert status == 0
    ways = {row["alarm"]: row["procedure"] for row in json.loads(out)[0]["alarms"]}
    assert ways["bluemoxon-staging-analysis-dlq"] == "queues/dead-letters"
    cloudwatch = ops.client("cloudwatch")
    stray: Json = {"Namespace": "X", "MetricName": "Y", "Statistic": "Sum", "Period": 60}
    stray |= {"EvaluationPeriods": 1, "Threshold": 1.0}
    greater = "GreaterThanThreshold"
    cloudwatch.put_metric_alarm(
        AlarmName="bluemoxon-staging-stray", ComparisonOperator=greater, **stray
    )
    try:
        status, out = asked(capsys)
    finally:
        cloudwatch.delete_alarms(AlarmNames=["bluemoxon-staging-stray"])
    assert status == 4
    lines = out.splitlines()
    assert lines[0].startswith(f"{TARGET}: 1 of 6 alarms lead nowhere; ")
    assert lines[3].split()[:2] == ["nowhere", "bluemoxon-staging-stray"]


def test_alarms_that_nobody_may_see_are_unknown_and_not_missing(
    lab: PracticeLab, records_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lab.denied("cloudwatch:DescribeAlarms"):
        status, out = asked(capsys, "--json")
    (found,) = json.loads(out)
    assert status == 5
    assert {row["state"] for row in found["alarms"]} == {"unknown"}
    assert "DescribeAlarms" in found["not_looked_at"]


@pytest.mark.slow
def test_a_rehearsal_is_a_run_in_the_lab(
    lab: PracticeLab, records_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.projects import ran

    record: Record = ran("bluemoxon/dead-letters", TARGET)
    (found,) = json.loads(asked(capsys, "--json")[1])
    rehearsed = {e["entry"]: e["rehearsed"] for e in found["entries"] if e["rehearsed"]}
    assert rehearsed["bluemoxon/dead-letters"]["id"] == record.id
    assert rehearsed["bluemoxon/dead-letters"]["outcome"] == record.outcome
    assert rehearsed.keys() == {"bluemoxon/dead-letters"}
    elsewhere = readiness.of("lab/bluemoxon-production", [record])
    entry = next(e for e in elsewhere["entries"] if e["entry"] == "bluemoxon/dead-letters")
    assert (entry["ran"], entry["rehearsed"]["target"]) == (None, TARGET)
