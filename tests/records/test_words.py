"""Records found again by what they say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from opslib.core import UsageError, redaction
from opslib.core.checks import notes
from opslib.records.chain import late_notes, rebuilding
from opslib.records.texts import words
from tests.projects import JOURNAL, TARGET, Project
from tests.records.test_leases import index
from tests.records.test_records import make, postgres
from tests.records.test_seals import change, said

__all__ = ["index", "postgres"]
_FOUND = """journal.write('findings', findings=[{'status': 'critical', 'check': 'queue orders-dlq',
'seen': '7 messages of /aws/lambda/orders_api', 'next': '', 'verifies': False}])"""
_SAYS = "journal.write('verdict', sentence='Throttled by DynamoDB.', evidence=[])"
_PLAN = "journal.write('plan', plan={'id': 'p', 'summary': 'redrive', 'steps': [{'title': 'x1'}]})"


def ids(*asked: str, **narrowed: list[str]) -> list[str]:
    return [hit.record.id for hit in words.search(asked, **narrowed).found]  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_record_is_found_by_findings_verdict_notes_and_plan(
    index: None, project: Project
) -> None:
    quiet = project.run("quiet", JOURNAL)
    record = project.run("found", JOURNAL, _FOUND, _SAYS, _PLAN)
    for asked in (
        "orders-dlq",
        "throttl dynamodb",
        "ORDERS_API 7",
        "/aws/lambda/orders",
        "redrive",
        "x1",
    ):
        assert ids(asked) == [record.id], asked
    assert ids("throttled", "nowhere") == []
    assert ids("bluemoxon") == [record.id, quiet.id]
    late_notes.add(quiet.id, notes.noted("a deploy of the image service at noon", "think"))
    assert ids("image service") == [quiet.id]
    assert ids("bluemoxon", targets=[TARGET]) == [record.id, quiet.id]
    assert ids("bluemoxon", targets=["lab/other-staging"]) == []
    later = words.search(["bluemoxon"], since=record.started + timedelta(seconds=1))
    assert (later.found, later.more) == ([], 0)
    assert words.search(["bluemoxon"], most=1).more == 1
    for strange in ('"', "' OR 1=1 --", "a:* & b", "NEAR(x"):
        try:
            ids(strange)
        except UsageError:
            continue


def test_what_was_masked_is_not_found(project: Project) -> None:
    secret = "correct-horse-battery-1"
    redaction.redactor.register(secret, "database password")
    project.run(
        "leaks", JOURNAL, f"journal.write('verdict', sentence='it is {secret}', evidence=[])"
    )
    assert ids("battery") == []
    assert len(ids("database password")) == 1


def test_records_of_before_are_counted_until_they_are_entered(
    index: None, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [make(project, minute) for minute in (1, 2)]
    status, shown = said(capsys, "search", "fine")
    assert status == 0
    assert "No record says 'fine'" in shown
    assert "2 records cannot be searched yet: opslib records index --rebuild" in shown
    assert rebuilding.rebuild().searchable == 2
    assert rebuilding.rebuild().searchable == 0
    assert ids(old[0].id[:4]) == []  # made without a verdict in its file
    status, shown = said(capsys, "search", "--json", "2026")
    assert "cannot be searched" not in shown


def test_an_index_of_before_gets_its_tables(project: Project) -> None:
    record = project.run("quiet", JOURNAL)
    change(
        project, "DROP TABLE record_texts", "DROP TABLE record_words", "DROP INDEX records_started"
    )
    assert words.search(["quiet"]).unread == 1
    rebuilding.rebuild()
    assert ids("quiet") == [record.id]
