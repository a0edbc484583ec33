"""A bucket and its backup: what differs is copied, nothing destroyed, nothing given away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opslib import NotAllowed, OpsError, Refused, UsageError, apply, changes
from opslib.buckets import copies
from opslib.core.actions.stores import objects as actions
from opslib.core.connections.connection import Connection
from opslib.core.reads.stores.objects import list_versions
from opslib.records import reading
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import confirmed, objects_taken_out

TARGET = "lab/image-caption-prod"
NAME, TO = "image-caption-gen-images-prod", "image-caption-gen-backup-prod"
KEY = "images/abc/1.jpg"


@pytest.fixture
def s3(ops: Connection, clean: dict[str, Any]) -> Iterator[Any]:
    """What the test leaves in the two buckets is taken out."""
    with objects_taken_out(ops, NAME, TO):
        yield ops.client("s3")


def put(s3: Any, body: bytes, bucket: str = NAME, key: str = KEY, **how: Any) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=body, **how)


def copied(ops: Connection) -> Any:
    applied = apply(ops, copies.plan_copies(ops, "images"), "now", confirmed(TARGET))
    return applied.verify(copies.check_copied, "images", applied.plan.steps)


def test_a_healthy_copy_is_all_ok_and_leaves_nothing_to_do(
    ops: Connection, clean: dict[str, Any]
) -> None:
    found = copies.check_copies(ops, "images")
    assert found.worst == "ok"
    assert found[0].seen.startswith("87 objects, ")  # nine are under a marker
    assert "kept in the copy: 9." in found.note
    assert not list(copies.plan_copies(ops, "images").steps)


def test_what_is_missing_or_changed_is_copied_with_all_that_it_has_and_nothing_else(
    ops: Connection, s3: Any, lab: PracticeLab
) -> None:
    put(
        s3,
        b"new",
        Metadata={"of": "a user"},
        ContentType="image/png",
        Tagging="kind=cat",
        StorageClass="STANDARD_IA",
    )
    old = s3.list_objects_v2(Bucket=NAME, MaxKeys=1)["Contents"][0]
    put(s3, b"x" * old["Size"], key=old["Key"])  # the same size: only its ETag tells
    before = lab.state("image-caption-prod")
    found = copies.check_copies(ops, "images")
    assert found.causes == {copies.CAUSE}
    assert [*found.evidence["why"]] == [copies.CHANGED, copies.MISSING]
    assert copied(ops).worst == "ok"
    changed = differences(before, lab.state("image-caption-prod"))
    assert changed == [f"s3.{TO}.keys.{key}" for key in sorted((old["Key"], KEY))]
    head = s3.head_object(Bucket=TO, Key=KEY)
    assert (head["Metadata"], head["ContentType"]) == ({"of": "a user"}, "image/png")
    assert head["StorageClass"] == "STANDARD_IA"
    assert s3.get_object_tagging(Bucket=TO, Key=KEY)["TagSet"] == [{"Key": "kind", "Value": "cat"}]
    assert len(list_versions(ops, TO, old["Key"])) == 2  # what it had is under it


def test_what_is_changed_after_it_was_shown_is_left_and_the_others_are_copied(
    ops: Connection, s3: Any
) -> None:
    put(s3, b"one")
    put(s3, b"two", key="images/abc/2.jpg")
    step = copies.plan_copies(ops, "images").steps[0]
    put(s3, b"another")
    with pytest.raises(OpsError, match=r"1 of 2 .* 1 were not; .*PreconditionFailed") as raised:
        step.do.perform(ops)
    assert [each["Key"] for each in raised.value.done["Copied"]] == ["images/abc/2.jpg"]


def test_a_copy_open_to_the_public_is_refused_unless_it_is_described(
    ops: Connection, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, b"private")
    blocked = s3.get_public_access_block(Bucket=TO)["PublicAccessBlockConfiguration"]
    s3.delete_public_access_block(Bucket=TO)
    found = {each.check: each.status for each in copies.check_copies(ops, "images")}
    assert found[f"Public access to {TO}"] == "critical"
    with pytest.raises(Refused, match=r"Public access to .* is not blocked.*Nothing was copied"):
        copies.plan_copies(ops, "images")
    monkeypatch.setitem(ops.target["buckets"]["backup"], "public", True)
    assert list(copies.plan_copies(ops, "images").steps)
    s3.put_public_access_block(Bucket=TO, PublicAccessBlockConfiguration=blocked)


def test_another_accounts_bucket_is_denied_unless_it_is_described(
    ops: Connection, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ops.target["buckets"]["backup"], "account", "999988887777")
    found = copies.check_copies(ops, "images")[0]
    assert (found.status, found.cause) == ("unknown", "access-denied")
    with pytest.raises(NotAllowed):
        copies.plan_copies(ops, "images")


def test_undo_without_versions_leaves_what_was_written_over_the_copy_since(
    ops: Connection, s3: Any
) -> None:
    s3.put_bucket_versioning(Bucket=TO, VersioningConfiguration={"Status": "Suspended"})
    put(s3, b"one")
    put(s3, b"two", key="images/abc/2.jpg")
    assert copied(ops).worst == "ok"
    put(s3, b"somebody's", TO)
    undo = changes.plan_undo(ops, reading.list_records()[0].id)
    with pytest.raises(OpsError, match=rf"1 of the items failed .*{KEY}: PreconditionFailed"):
        apply(ops, undo, "now", confirmed(TARGET))
    kept = {each["Key"] for each in s3.list_objects_v2(Bucket=TO)["Contents"]}
    assert (KEY in kept, "images/abc/2.jpg" in kept) == (True, False)
    s3.put_bucket_versioning(Bucket=TO, VersioningConfiguration={"Status": "Enabled"})


def test_without_versions_nothing_is_written_over(ops: Connection, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket=TO, VersioningConfiguration={"Status": "Suspended"})
    put(s3, b"new")
    assert copied(ops).worst == "ok"  # what is not there destroys nothing
    put(s3, b"newer")
    with pytest.raises(Refused, match=r"keeps no versions \(Suspended\).*Nothing was copied"):
        copies.plan_copies(ops, "images")
    s3.put_bucket_versioning(Bucket=TO, VersioningConfiguration={"Status": "Enabled"})


def test_what_is_large_goes_in_parts_and_is_known_again(
    ops: Connection, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = 5 * 1024**2
    monkeypatch.setattr(actions, "LARGEST", part)
    monkeypatch.setattr(actions, "_PART", part)
    put(s3, b"x" * (part + 9), Metadata={"of": "a user"})
    assert copied(ops).worst == "ok"
    head = s3.head_object(Bucket=TO, Key=KEY)
    assert (head["ContentLength"], head["Metadata"]) == (part + 9, {"of": "a user"})
    assert head["ETag"] != s3.head_object(Bucket=NAME, Key=KEY)["ETag"]
    later = datetime.now(UTC) + timedelta(seconds=2)  # as S3 takes a second for it
    pair = copies._pair(ops, "images")
    one, other = (each[KEY] for each in pair.listed)
    assert pair._why(one, other._replace(modified=later)) == ""
    assert pair._why(one._replace(modified=later), other) == copies.CHANGED


def test_where_kms_makes_etags_differ_the_later_one_is_the_copy(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    one = copies.Held(KEY, 3, '"a"', at, "STANDARD")
    later = one._replace(etag='"b"', modified=at + timedelta(seconds=1))
    assert copies._pair(ops, "images")._why(one, later) == copies.CHANGED
    monkeypatch.setattr(copies.Pair, "encryption", lambda *_: "aws:kms")
    pair = copies._pair(ops, "images")
    assert pair._why(one, later) == ""
    assert pair._why(later, one) == pair._why(one, one._replace(etag='"b"')) == copies.CHANGED
    assert pair._why(one._replace(storage="GLACIER"), None) == copies.FROZEN


def test_a_bucket_is_never_its_own_copy_and_needs_one_that_is_described(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="copy_to"):
        copies.plan_copies(ops, "backup")
    monkeypatch.setitem(ops.target["buckets"]["images"], "copy_to", "images")
    with pytest.raises(Refused, match="its own copy"):
        copies.plan_copies(ops, "images")
