"""Buckets: missing is told from denied, and one that is made again is as described, not bare."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opslib import UsageError, apply, changes
from opslib.buckets import settings
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.errors import NotAllowed
from opslib.core.reads.stores import objects
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

TARGET = "lab/bluemoxon-staging"
NAME = "bluemoxon-staging-images"
MISSING = "bucket-missing"


@pytest.fixture
def bucket_gone(lab: PracticeLab, ops: Connection) -> Iterator[Connection]:
    with lab.broken(MISSING):
        yield ops


def test_a_bucket_that_is_as_described_passes(ops: Connection) -> None:
    found = settings.check_bucket(ops, "images")
    assert (found.worst, found.causes) == ("ok", set())
    assert list(found.evidence.columns) == list(settings.SETTINGS)
    assert settings.plan_create(ops, "images").steps == ()


@pytest.mark.parametrize(
    ("objects_of", "left", "status"),
    [(3, b"<Error>cut off</Error>", "warn"), (2, b"", "ok"), (3, b"x" * 600, "ok")],
)
def test_objects_of_which_next_to_nothing_is_left_are_told(
    ops: Connection, lab: PracticeLab, objects_of: int, left: bytes, status: str
) -> None:
    """One or two may be meant so; and what still holds something is another picture."""
    for key in [f"books/{at}.jpeg" for at in range(objects_of)]:
        for body in (b"x" * 3000, left):
            ops.call("s3", "put_object", Bucket=NAME, Key=key, Body=body)
    told = {f.check: f for f in settings.check_bucket(ops, "images")}
    lab.reset()
    found = told[f"sizes of objects of {NAME}"]
    assert found.status == status
    assert status == "ok" or "books/0.jpeg (3,000 to 22 bytes)" in found.seen


def test_a_missing_bucket_is_found_and_its_preview_makes_none(
    bucket_gone: Connection, lab: PracticeLab
) -> None:
    before = lab.state()
    left = notebooks.run("buckets/create")
    assert left["ops"].findings.causes == {MISSING}
    assert len(left["plan"].steps) == 5
    assert "Terraform" in " ".join(left["plan"].notes)
    assert lab.state() == before


def test_a_bucket_is_made_with_all_of_its_settings_and_undone(
    bucket_gone: Connection, lab: PracticeLab
) -> None:
    before = lab.state()
    left = notebooks.run("buckets/create", approved="now")
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert differences(before, lab.state()) == [f"s3.{NAME}"]
    assert objects.is_versioned(bucket_gone, NAME)
    assert settings.plan_create(bucket_gone, "images").steps == ()
    record = reading.list_records(target=TARGET, outcome="changed")[0]
    apply(bucket_gone, changes.plan_undo(bucket_gone, record.id), "now")
    assert lab.state() == before


def test_denied_is_not_absent(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("s3:HeadBucket"):
        found = settings.check_bucket(ops, "images")
        assert ([f.status for f in found], found.causes) == (["unknown"], {"access-denied"})
        with pytest.raises(NotAllowed):
            settings.plan_create(ops, "images")


def test_a_setting_that_differs_is_found_set_and_undone(ops: Connection, lab: PracticeLab) -> None:
    before = lab.state()
    cors = ops.call("s3", "get_bucket_cors", Bucket=NAME)
    ops.call("s3", "delete_bucket_cors", Bucket=NAME)
    try:
        found = settings.check_bucket(ops, "images")
        assert [(f.status, f.check, f.seen) for f in found if f.status != "ok"] == [
            ("warn", f"CORS origins of {NAME}", "none")
        ]
        plan = settings.plan_create(ops, "images")
        applied = apply(ops, plan, "now")
        assert len(plan.steps) == 1
        assert applied.verify(settings.check_bucket, "images").worst == "ok"
        assert lab.state() == before
        record = reading.list_records(target=TARGET, outcome="changed")[0]
        apply(ops, changes.plan_undo(ops, record.id), "now")
        assert settings.check_bucket(ops, "images").worst == "warn"
    finally:
        ops.call("s3", "put_bucket_cors", Bucket=NAME, CORSConfiguration=cors)
    assert lab.state() == before


def test_what_s3_adds_to_a_setting_is_no_difference(ops: Connection) -> None:
    """S3 answers an encryption rule with BucketKeyEnabled beside it."""
    (setting,) = settings.described(Facts({"name": "b", "encryption": "AES256"}, "b.yaml"))
    answered = [
        {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BucketKeyEnabled": False,
        }
    ]
    assert setting.met(answered)
    assert not setting.met(None)
    step = setting.step(
        [
            {
                "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"},
                "BucketKeyEnabled": True,
            }
        ],
    )
    assert (step.before, step.after) == (["aws:kms"], ["AES256"])
    assert step.undo is not None
    assert (
        step.undo[0]["parameters"]["ServerSideEncryptionConfiguration"]["Rules"][0][
            "BucketKeyEnabled"
        ]
        is True
    )


def test_an_unknown_bucket_offers_the_nearest(ops: Connection) -> None:
    with pytest.raises(UsageError, match=r"Unknown buckets 'image'.*'images'"):
        settings.check_bucket(ops, "image")
