"""Erasure: every version and marker, nothing of others, never under a lock, finished at last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from opslib import NotAllowed, NotFound, OpsError, Refused, UsageError, apply
from opslib.buckets import belongings, erasures
from opslib.core.actions.stores import objects as actions
from opslib.core.connections import sessions, sql
from opslib.core.connections.connection import Connection
from opslib.core.reads.stores.objects import list_versions
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

TARGET = "lab/dms-dev"
NAME = "dms-documents-dev"
TENANT = "7e4a0000-0000-4000-8000-000000000001"
ID = "e0c00000-0000-4000-8000-0000000000ee"
BELOW = f"{TENANT}/documents/{ID}/"


@pytest.fixture
def document(ops: Connection) -> Iterator[Any]:
    """A row with an object; whatever is left of it is taken away."""
    given = {"id": ID, "tenant": TENANT, "key": f"{BELOW}a.pdf"}
    sql.execute(
        ops,
        "INSERT INTO documents (id, tenant_id, name, content_type, size_bytes, s3_key, text) "
        "VALUES (:id, :tenant, 'a.pdf', 'application/pdf', 9, :key, 'Very Private Words')",
        given,
        1,
    )
    s3 = ops.client("s3")
    s3.put_object(Bucket=NAME, Key=f"{BELOW}a.pdf", Body=b"Very Private Words")
    yield s3
    lock = {"Bucket": NAME, "BypassGovernanceRetention": True}
    for each in list_versions(ops, NAME, BELOW):
        s3.delete_object(Key=each.key, VersionId=each.id, **lock)
    with sessions.session(ops, "tidy up", write=True) as session:
        sessions.run(session, "DELETE FROM documents WHERE id = :id", {"id": ID})
        session.commit()


def left(ops: Connection) -> int:
    return len(list_versions(ops, NAME, BELOW))


@pytest.mark.slow
def test_it_erases_all_that_belongs_to_the_row_and_nothing_else(
    ops: Connection, lab: PracticeLab, document: Any
) -> None:
    document.put_object(Bucket=NAME, Key=f"{BELOW}a.pdf", Body=b"another version")
    document.put_object(Bucket=NAME, Key=f"{BELOW}b.pdf", Body=b"")
    document.delete_object(Bucket=NAME, Key=f"{BELOW}b.pdf")
    beside = f"{BELOW[:-1]}0/a.pdf"  # an id that begins so
    document.put_object(Bucket=NAME, Key=beside, Body=b"somebody else's")
    before = lab.state("dms-dev")
    previewed = notebooks.run("dms/erase-document", id=ID)
    assert "1 row of documents; 2 keys with 4 versions" in previewed["ops"].findings[0].seen
    assert lab.state("dms-dev") == before
    run = notebooks.run("dms/erase-document", id=ID, approved="now")
    assert {f.status for f in run["ops"].findings if f.verifies} == {"ok"}
    changed = differences(before, lab.state("dms-dev"))
    assert {path.removeprefix(f"s3.{NAME}.keys.") for path in changed if "s3." in path} == {
        f"{BELOW}a.pdf",
        f"{BELOW}b.pdf",
    }
    asked = "SELECT status || ' ' || name || coalesce(text, '') FROM documents WHERE id = :id"
    assert sql.value(ops, asked, {"id": ID}) == "deleted erased"
    kept = reading.list_records()[0].path.read_text()
    assert "Very Private" not in kept
    assert "cannot be undone" in kept
    document.delete_object(Bucket=NAME, Key=beside)


def test_a_row_may_be_deleted_and_takes_nothing_along_unsaid(
    ops: Connection, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ops.target["erasure"]["document"], "set")
    plan = erasures.plan_erasure(ops, "document", ID)
    applied = apply(ops, plan, "now")
    found = applied.verify(erasures.check_erased, "document", ID, applied.plan.steps)
    assert [f.seen for f in found] == ["0 of 1 are left", "0 left", "gone"]
    with pytest.raises(NotFound, match="A row that is gone leaves its objects"):
        erasures.plan_erasure(ops, "document", ID)


@pytest.mark.some(4)
@pytest.mark.parametrize("how", ["hold", "GOVERNANCE", "COMPLIANCE", "past"])
def test_a_lock_on_any_version_stops_it_before_anything_is_deleted(
    ops: Connection, lab: PracticeLab, document: Any, how: str
) -> None:
    with lab.broken("legal-hold", "dms-dev"):  # the bucket has locks, on another document
        assert erasures.check_erasure(ops, "document", ID).causes == set()
        at = {"Bucket": NAME, "Key": f"{BELOW}a.pdf"}
        until = ops.now() + timedelta(days=-1 if how == "past" else 1)
        if how == "hold":
            document.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
        else:
            kept = {"Mode": "GOVERNANCE" if how == "past" else how, "RetainUntilDate": until}
            document.put_object_retention(**at, Retention=kept)
        document.put_object(**at, Body=b"the newest version has no lock")
        found = erasures.check_erasure(ops, "document", ID)
        if how == "past":
            assert found.causes == set()
            return
        assert found.causes == {erasures.HELD}
        with pytest.raises(Refused, match=r"1 version may not be deleted.*Nothing was deleted"):
            erasures.plan_erasure(ops, "document", ID)
        assert left(ops) == 2
        for operation in ("s3:GetObjectRetention", "s3:GetObjectLegalHold"):
            with lab.denied(operation, "dms-dev"):
                told = erasures.check_erasure(ops, "document", ID)[1]
                assert (told.status, told.cause) == ("unknown", "access-denied")
                with pytest.raises(NotAllowed):
                    erasures.plan_erasure(ops, "document", ID)
        locked = document.list_object_versions(Bucket=NAME, Prefix=BELOW)["Versions"][-1]
        if how == "hold":
            off = {"Status": "OFF"}
            document.put_object_legal_hold(**at, VersionId=locked["VersionId"], LegalHold=off)
        ops.client("s3")  # what is left is taken away with its lock
        past = {"Mode": "GOVERNANCE", "RetainUntilDate": ops.now() - timedelta(days=1)}
        document.put_object_retention(**at, VersionId=locked["VersionId"], Retention=past)


@pytest.mark.slow
def test_a_thousand_versions_go_and_what_broke_off_is_finished_by_running_it_again(
    ops: Connection,
    lab: PracticeLab,
    document: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lab_put = {"Bucket": NAME, "Key": f"{BELOW}a.pdf"}
    for _ in range(5):
        document.put_object(**lab_put, Body=b"x")
        document.delete_object(**lab_put)
    monkeypatch.setattr(actions, "_A_CALL", 2)
    monkeypatch.setattr(actions, "_AT_ONCE", 2)
    monkeypatch.setattr(actions, "_PAUSES", (0.0,))
    asked = actions._failed

    def breaks(ops: Connection, bucket: str, some: Any) -> Any:
        if left(ops) <= 7:
            raise OpsError("the network is gone")
        return asked(ops, bucket, some)

    with monkeypatch.context() as patch:
        patch.setattr(actions, "_failed", breaks)
        with pytest.raises(
            OpsError, match=r"4 of 11 versions were deleted, 7 were not; first: the"
        ):
            apply(ops, erasures.plan_erasure(ops, "document", ID), "now")
    assert left(ops) == 7
    assert sql.value(ops, "SELECT text FROM documents WHERE id = :id", {"id": ID})
    applied = apply(ops, erasures.plan_erasure(ops, "document", ID), "now")
    assert applied.verify(erasures.check_erased, "document", ID, applied.plan.steps).worst == "ok"
    assert "4 of 7 versions deleted" in capsys.readouterr().out


def test_what_changed_since_it_was_shown_is_not_erased(ops: Connection, document: Any) -> None:
    step = erasures.plan_erasure(ops, "document", ID).steps[0]
    document.put_object(Bucket=NAME, Key=f"{BELOW}c.pdf", Body=b"come since")
    with pytest.raises(Refused, match="no longer what was shown"):
        step.do.perform(ops)
    assert left(ops) == 2


def test_the_row_stays_while_anything_is_left(
    ops: Connection, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_failed", lambda *_: {})  # S3 says that it is done
    plan = erasures.plan_erasure(ops, "document", ID)
    with pytest.raises(OpsError) as failed:
        plan.steps[0].do.perform(ops)
    assert failed.value.done == {"deleted": 1}  # and no record says that nothing was
    with pytest.raises(OpsError, match=r"in part: 1 versions of .* are there still, or again"):
        apply(ops, plan, "now")
    assert sql.value(ops, "SELECT text FROM documents WHERE id = :id", {"id": ID})


def test_a_key_is_no_prefix_and_an_empty_column_says_no_place(
    ops: Connection, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = ops.target["erasure"]["document"]
    document.put_object(Bucket=NAME, Key=f"{BELOW}a.pdf.bak", Body=b"another key")
    monkeypatch.setitem(facts, "objects", [{"bucket": "documents", "at": "{s3_key}"}])
    [place] = belongings.find(ops, "document", ID).places
    assert [each.key for each in place.versions] == [f"{BELOW}a.pdf"]
    plan = erasures.plan_erasure(ops, "document", ID)
    applied = apply(ops, plan, "now")
    assert applied.verify(erasures.check_erased, "document", ID, plan.steps).worst == "ok"
    assert [each.key for each in list_versions(ops, NAME, BELOW)] == [f"{BELOW}a.pdf.bak"]
    monkeypatch.setitem(facts, "objects", [{"bucket": "documents", "at": "{error_message}/"}])
    with pytest.raises(Refused, match=r"error_message of documents .* is empty"):
        belongings.find(ops, "document", ID)
    with pytest.raises(UsageError, match="A value does not fit"):
        erasures.plan_erasure(ops, "document", "x'; DROP TABLE documents")


@pytest.mark.parametrize("at", ["by-type/{content_type}", "{tenant_id}/documents/", "all/"])
def test_a_place_that_other_rows_have_too_is_not_erased_with_one(
    ops: Connection, document: Any, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """As where uploads of the same content are one object."""
    places = [{"bucket": "documents", "at": at}]
    monkeypatch.setitem(ops.target["erasure"]["document"], "objects", places)
    with pytest.raises(Refused, match=r"of documents .* is of other rows, too, .* Nothing was"):
        erasures.plan_erasure(ops, "document", ID)


def test_the_folder_that_a_console_made_hides_nothing_below_it(
    ops: Connection, document: Any
) -> None:
    document.put_object(Bucket=NAME, Key=BELOW, Body=b"")
    [place] = belongings.find(ops, "document", ID).places
    assert [each.key for each in place.versions] == [BELOW, f"{BELOW}a.pdf"]
    assert left(ops) == 2


def test_copies_that_stay_are_said(
    ops: Connection, lab: PracticeLab, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ops.call
    rule = {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::dms-documents-copy"}}

    def replicated(service: str, operation: str, /, **given: Any) -> Any:
        if operation == "get_bucket_replication":
            return {"ReplicationConfiguration": {"Rules": [rule]}}
        return call(service, operation, **given)

    monkeypatch.setattr(ops, "call", replicated)
    found = {f.check: f for f in erasures.check_erasure(ops, "document", ID)}
    copies = found[f"copies of {NAME} elsewhere"]
    assert (copies.status, "arn:aws:s3:::dms-documents-copy" in copies.seen) == ("warn", True)
    assert "35 days" in found["copies of the row"].seen
