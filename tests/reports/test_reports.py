"""The daily report: everything at once, what changed first,
and one denied call costs one finding.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pandas as pd
import pytest

from opslib import connect
from opslib.core.findings import Finding, Findings
from opslib.records.texts import comparisons
from opslib.reports import changed, reports
from tests import notebooks

TARGET = "lab/bluemoxon-staging"


@pytest.fixture(scope="module")
def healthy(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the notebook of the first report leaves, of a system that has nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_RECORDS", str(tmp_path_factory.mktemp("records")))
        return notebooks.run("reports/daily", target=TARGET)


def test_the_report_of_a_healthy_system_has_every_part(healthy: Any) -> None:
    report = healthy["report"]
    assert {name for name, parts in report.parts.items() if parts} == {
        "access",
        "before",
        "configuration",
        "health",
        "metrics",
        "alarms",
        "queues",
        "jobs",
        "functions",
        "database",
        "errors",
        "backups",
        "buckets",
        "network",
        "secrets",
        "certificates",
        "changes",
    }
    assert not [f for f in report.findings if f.status in ("critical", "unknown")]
    assert healthy["ops"].findings.causes == set()


def test_findings_are_in_the_reports_order_whatever_answers_first(healthy: Any) -> None:
    ops, report = healthy["ops"], healthy["report"]
    assert [f.check for f in ops.findings] == [f.check for f in report.findings]


@pytest.mark.slow
def test_each_of_three_troubles_at_once_is_in_the_report_with_its_cause(
    lab: Any, records_folder: Any
) -> None:
    drills = ["dead-letter-backlog", "stale-jobs", "configuration-drift"]
    with ExitStack() as stack:
        for drill in drills:
            stack.enter_context(lab.broken(drill))
        report = reports.daily(connect(TARGET))
    assert {*drills} <= report.findings.causes
    assert report.troubles[0].status in ("critical", "warn")
    assert report.troubles[0].next


@pytest.mark.slow
def test_one_denied_call_is_unknown_where_it_is_asked_and_the_rest_is_done(
    lab: Any, records_folder: Any
) -> None:
    with lab.denied("cloudwatch:DescribeAlarms"):
        report = reports.daily(connect(TARGET))
    unknown = [f for f in report.findings if f.status == "unknown"]
    # Their state, reach, silences and configuration; and what they name.
    assert [f.cause for f in unknown] == ["access-denied"] * 5
    assert all("cloudwatch:DescribeAlarms" in f.seen + f.check for f in unknown)
    assert len(report["metrics"]) == 14


@pytest.mark.slow
def test_a_section_that_is_not_described_says_so_and_a_mistake_in_another_ends_no_report(
    lab: Any, records_folder: Any
) -> None:
    ops = connect(TARGET)
    del ops.target.facts["secrets"], ops.target.facts["alarms"]["patterns"]
    report = reports.daily(ops)
    assert (
        repr(report["secrets"])
        == "Not described in parameters/targets/bluemoxon-staging.yaml, so not looked at."
    )
    assert {f.check for f in report.findings if f.status == "unknown"} == {"alarms"}


def test_a_deployment_and_an_alarm_that_rings_are_marked_in_plots() -> None:
    at = pd.Timestamp("2026-11-22T10:00Z")
    live = {"time": at, "kind": "deployment", "what": "version 7", "resource": "api"}
    alarms = [
        {"alarm": name, "state": of, "since": at} for name, of in (("x", "ALARM"), ("y", "OK"))
    ]
    parts = {"before": [live], "alarms": alarms}
    found = {of: [Findings(evidence=pd.DataFrame(rows)), Findings()] for of, rows in parts.items()}
    marks = reports.Daily(found, Findings(), "").marks
    assert list(zip(marks["kind"], marks["what"], strict=True)) == [
        ("deployment", "version 7"),
        ("alarm", "x"),
    ]


def test_what_changed_is_told_by_the_check() -> None:
    was = [
        {"check": "a", "status": "ok", "seen": "1"},
        {"check": "b", "status": "critical", "seen": "2"},
        {"check": "c", "status": "warn", "seen": "3"},
        {"check": "d", "status": "warn", "seen": "4"},
        {"check": "e", "status": "critical", "seen": "5"},
        {"check": "f", "status": "warn", "seen": "6"},
    ]
    now = [
        Finding("warn", "a", "10"),
        Finding("ok", "b", "20"),
        Finding("critical", "c", "30"),
        Finding("warn", "d", "40"),
        Finding("warn", "e", "50"),
        Finding("unknown", "g", "70"),
        Finding("ok", "h", "80"),
    ]
    rows = [(row["change"], row["check"]) for row in comparisons.compare_findings(was, now)]
    assert rows == [
        ("new", "a"),
        ("new", "g"),
        ("worse", "c"),
        ("better", "e"),
        ("ended", "b"),
        ("ended", "f"),
    ]


@pytest.mark.slow
def test_the_second_report_begins_with_what_is_new(lab: Any, records_folder: Any) -> None:
    from tests.projects import ran

    ran(comparisons.REPORT, TARGET, forked=True)
    with lab.broken("dead-letter-backlog"):
        report = reports.daily(connect(TARGET))
    assert report.since_last.evidence is not None
    told = set(report.since_last.evidence["check"])
    assert {"Dead letters of analysis", "analysis jobs", "analysis jobs that failed"} < told
    assert f"{len(report.since_last.evidence)} differences" in report.since_last.note


def test_the_first_report_says_that_it_is_the_first(healthy: Any) -> None:
    assert "first report" in healthy["report"].since_last.note


@pytest.mark.slow
def test_a_change_that_was_made_is_listed(lab: Any, records_folder: Any) -> None:
    from tests.projects import ran

    given = {"function": "api", "approved": "now", "watch_seconds": 0}
    ran("functions/rollback", TARGET, given, forked=True)
    lab.reset()
    found = changed.check_changes(connect(TARGET))
    assert found.evidence is not None
    assert list(found.evidence["name"]) == ["functions/rollback"]
    assert "1 change: functions/rollback" in found[0].seen
