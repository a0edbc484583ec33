"""A bucket that was deleted: made anew, filled out of its copy, and what cannot come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opslib import NotFound, UsageError, recovery
from opslib.core.connections.connection import Connection
from tests.conftest import PracticeLab
from tests.notebooks import run
from tests.undoing import confirmed

TARGET = "lab/ai-studio-production"
SURE = {"target": TARGET, "approved": "now", "confirm": confirmed(TARGET)}
BUCKET = "ai-studio-assets"


@pytest.fixture
def deleted(ops: Connection, lab: PracticeLab) -> Iterator[None]:
    with lab.broken("bucket-missing", "ai-studio-production"):
        yield
    lab.reset()


def keys(ops: Connection) -> list[str]:
    return ops.pages("s3", "list_objects_v2", "Contents[].Key", Bucket=BUCKET)


def said(left: dict[str, Any], check: str) -> str:
    return [each.seen for each in left["ops"].findings if each.check == check][-1]


@pytest.mark.slow
def test_a_deleted_bucket_is_recovered_to_the_end(ops: Connection, deleted: None) -> None:
    with pytest.raises(NotFound):
        keys(ops)
    left = run("recovery/bucket", **SURE, phase="create")
    assert left["applied"].changed
    assert keys(ops) == []
    assert "next: phase 'fill'" in said(left, "recovery of the bucket")
    assert "free: make it anew" in said(left, f"the name {BUCKET}")

    left = run("recovery/bucket", **SURE, phase="fill")
    assert len(keys(ops)) == 40
    assert {each.status for each in left["ops"].findings if each.verifies} == {"ok"}
    assert "nor is any older version" in said(left, f"objects of {BUCKET}")
    assert "complete: this RTO was reached" in said(left, "recovery of the bucket")
    found = {each.check: each for each in recovery.check_rehearsal(ops)}
    assert found["RTO of the bucket, as rehearsed"].status == "ok"
    assert found["RTO of the database, as rehearsed"].status == "unknown"
    assert found["RTO of the database, as rehearsed"].seen == "never"


@pytest.mark.slow
def test_what_the_bucket_has_by_now_is_never_overwritten(
    ops: Connection, clean: dict[str, Any]
) -> None:
    ops.call("s3", "put_object", Bucket=BUCKET, Key="images/0001.png", Body=b"newer")
    ops.call("s3", "delete_object", Bucket=BUCKET, Key="images/0002.png")
    plan = recovery.plan_bucket(ops, "assets", "fill")
    copied = [each["Key"] for step in plan.steps for each in step.do["objects"]]
    assert copied == ["images/0002.png"]


def test_without_a_copy_nothing_is_promised(ops: Connection) -> None:
    with pytest.raises(UsageError, match="versions go with their bucket"):
        recovery.plan_bucket(ops, "terraform", "fill")
