"""Objects as of a time: judged by the versions that are left, brought back, taken back again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opslib import OpsError, UsageError, apply, changes
from opslib.buckets import moments, restores
from opslib.core.actions.stores import objects as actions
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost
from opslib.core.reads.stores.objects import Version, list_versions
from opslib.records import reading
from tests import canned, notebooks
from tests.conftest import PracticeLab

TARGET = "lab/dms-dev"
NAME = "dms-documents-dev"
ROOT = "practice/"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def version(id: str, hours: float, size: int | None = 3, **more: Any) -> Version:
    """One of key `k`, written so many hours after AT; without a size it is a delete marker."""
    when = AT + timedelta(hours=hours)
    given: dict[str, Any] = {
        "latest": False,
        "etag": f'"{id}"',
        "storage": "STANDARD",
        "thawed": None,
    } | more
    return Version("k", id, when, size=size, **given)


GONE = {"size": None}
CASES: dict[str, tuple[list[Version], str]] = {
    "written before": ([version("a", -1)], moments.SAME),
    "deleted since": ([version("m", 1, None), version("a", -1)], moments.DELETED),
    "deleted twice since": (
        [version("n", 2, None), version("m", 1, None), version("a", -1)],
        moments.DELETED,
    ),
    "written over and deleted since": (
        [version("m", 2, None), version("b", 1), version("a", -1)],
        moments.DELETED,
    ),
    "written over since": ([version("b", 1), version("a", -1)], moments.OVERWRITTEN),
    "written over with the same": ([version("b", 1, etag='"a"'), version("a", -1)], moments.SAME),
    "made since": ([version("a", 1)], moments.MADE),
    "made and deleted since": ([version("m", 2, None), version("a", 1)], moments.ABSENT),
    "deleted before": ([version("m", -1, None), version("a", -2)], moments.ABSENT),
    "deleted before, made again": ([version("b", 1), version("m", -1, None)], moments.MADE),
    "only markers are left": ([version("m", 1, None)], moments.LOST),
    "written without versions since": ([version("null", 1), version("a", -1)], moments.LOST),
    "written without versions before": (
        [version("m", 1, None), version("null", -1)],
        moments.DELETED,
    ),
    "deleted and written in one second": (
        [version("c", 1), version("a", -1), version("m", -1, None)],
        moments.LOST,
    ),
}


@pytest.mark.parametrize(("entries", "state"), CASES.values(), ids=CASES)
def test_what_a_key_was_is_told_by_the_versions_that_are_left(
    entries: list[Version], state: str
) -> None:
    assert moments.judged(entries, AT, lambda version: "").state == state


def test_what_may_have_expired_is_not_called_made_since() -> None:
    assert moments.judged([version("a", 1)], AT, lambda version: "expired").state == moments.LOST
    assert moments.judged([version("a", -1)], AT, lambda version: "expired").state == moments.SAME


def test_where_a_marker_is_all_that_is_in_the_way_nothing_is_copied() -> None:
    past = moments.Past(NAME, AT, "Enabled", [])
    entries = [version("m", 1, None), version("a", -1, storage="GLACIER")]
    key = moments.judged(entries, AT, lambda version: "")
    assert restores._to_do(past, key) == "take 1 delete marker away"
    entries.insert(0, version("b", 2))
    key = moments.judged(entries, AT, lambda version: "")
    assert restores._to_do(past, key).startswith("not restorable before it is thawed")
    entries[-1] = entries[-1]._replace(thawed=AT + timedelta(days=9))
    key = moments.judged(entries, AT, lambda version: "")
    assert restores._to_do(past, key) == "copy the version over"
    kept = moments.Past(NAME, AT, "Suspended", [])
    assert "a copy destroys what is there now" in restores._to_do(kept, key)


@pytest.mark.parametrize("given", ["", "soon", "2999-01-01"])
def test_a_time_that_is_none_is_refused_before_anything_is_asked(
    ops: Connection, given: str
) -> None:
    with pytest.raises(UsageError):
        restores.plan_past(ops, "documents", ROOT, given)


# In the lab


@pytest.fixture
def s3(ops: Connection) -> Iterator[Any]:
    client = ops.client("s3")
    yield client
    for each in list_versions(ops, NAME, ROOT):
        client.delete_object(Bucket=NAME, Key=each.key, VersionId=each.id)


def put(s3: Any, key: str, body: str, **more: Any) -> None:
    s3.put_object(Bucket=NAME, Key=ROOT + key, Body=body.encode(), **more)


def then(ops: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there by now was there an hour ago."""
    made = {each.id for each in list_versions(ops, NAME, ROOT)}
    told = list_versions

    def older(*asked: Any) -> list[Version]:
        hour = timedelta(hours=3)
        found = [
            e._replace(modified=e.modified - hour) if e.id in made else e for e in told(*asked)
        ]
        return sorted(found, key=lambda e: (e.key, not e.latest, -e.modified.timestamp()))

    monkeypatch.setattr(moments, "list_versions", older)


def bodies(s3: Any) -> dict[str, str]:
    found = s3.list_objects_v2(Bucket=NAME, Prefix=ROOT).get("Contents", ())
    keys = [each["Key"] for each in found]
    return {
        key.removeprefix(ROOT): s3.get_object(Bucket=NAME, Key=key)["Body"].read().decode()
        for key in keys
    }


@pytest.mark.slow
def test_a_prefix_is_as_it_was_and_undo_takes_back_exactly_that(
    ops: Connection, lab: PracticeLab, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("gone", "twice", "over", "stays", "both"):
        put(s3, key, f"{key} of then")
    then(ops, monkeypatch)
    for key in ("gone", "twice", "twice", "both"):
        s3.delete_object(Bucket=NAME, Key=ROOT + key)
    put(s3, "over", "another")
    put(s3, "both", "and again")
    put(s3, "new", "made since")
    spoilt, state = bodies(s3), lab.state("dms-dev")
    found = restores.check_past(ops, "documents", ROOT, "1h")
    assert found.causes == {"object-deleted", "object-overwritten"}
    told = dict(zip(found.evidence["key"], found.evidence["state"], strict=True))
    assert {key.removeprefix(ROOT): state for key, state in told.items()} == {
        "gone": moments.DELETED,
        "twice": moments.DELETED,
        "over": moments.OVERWRITTEN,
        "both": moments.OVERWRITTEN,
        "new": moments.MADE,
    }
    plan = restores.plan_past(ops, "documents", ROOT, "1h")
    assert lab.state("dms-dev") == state
    applied = apply(ops, plan, "now")
    assert bodies(s3) == {
        **{key: f"{key} of then" for key in ("gone", "twice", "over", "stays", "both")},
        "new": "made since",
    }
    assert applied.verify(restores.check_back, "documents", ROOT, applied).worst == "ok"
    put(s3, "over", "somebody's, after the restore")
    assert restores.check_back(ops, "documents", ROOT, applied).worst == "critical"
    [newest] = [e.id for e in list_versions(ops, NAME, ROOT + "over") if e.latest]
    s3.delete_object(Bucket=NAME, Key=ROOT + "over", VersionId=newest)
    apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
    assert bodies(s3) == spoilt


def test_what_was_written_since_the_restore_is_not_hidden_by_its_undo(
    ops: Connection, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, "gone", "of then")
    then(ops, monkeypatch)
    s3.delete_object(Bucket=NAME, Key=ROOT + "gone")
    apply(ops, restores.plan_past(ops, "documents", ROOT, "1h"), "now")
    put(s3, "gone", "somebody's")
    with pytest.raises(OpsError, match="PreconditionFailed"):
        apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
    assert bodies(s3) == {"gone": "somebody's"}


@pytest.mark.parametrize("largest", [actions.LARGEST, 5])
def test_a_copy_keeps_metadata_tags_and_class_also_in_parts(
    ops: Connection, s3: Any, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    monkeypatch.setattr(actions, "LARGEST", largest)
    about = {"ContentType": "application/pdf", "Metadata": {"scan": "7"}, "Tagging": "kept=a%20b"}
    put(s3, "over", "of then", **about, StorageClass="STANDARD_IA", CacheControl="no-store")
    then(ops, monkeypatch)
    put(s3, "over", "another")
    apply(ops, restores.plan_past(ops, "documents", ROOT + "over", "1h"), "now")
    head = s3.get_object(Bucket=NAME, Key=ROOT + "over")
    assert (head["Body"].read(), head["ContentType"], head["Metadata"], head["StorageClass"]) == (
        b"of then",
        "application/pdf",
        {"scan": "7"},
        "STANDARD_IA",
    )
    assert head["CacheControl"] == "no-store"
    tags = s3.get_object_tagging(Bucket=NAME, Key=ROOT + "over")["TagSet"]
    assert tags == [{"Key": "kept", "Value": "a b"}]
    apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
    assert bodies(s3) == {"over": "another"}


@pytest.mark.parametrize("error", [OpsError, Lost])
def test_what_was_brought_back_before_a_key_failed_is_told_and_undone(
    ops: Connection, s3: Any, monkeypatch: pytest.MonkeyPatch, error: type[OpsError]
) -> None:
    for key in ("a", "b"):
        put(s3, key, "of then")
    then(ops, monkeypatch)
    for key in ("a", "b"):
        put(s3, key, "another")
    plan = restores.plan_past(ops, "documents", ROOT, "1h")
    copy = actions._copy

    def broken(ops: Connection, bucket: str, each: dict[str, Any]) -> Any:
        if each["Key"].endswith("b"):
            raise error("s3 copy_object of 'practice/b' failed: InternalError")
        return copy(ops, bucket, each)

    monkeypatch.setattr(actions, "_copy", broken)
    with pytest.raises(
        OpsError, match=r"1 of 2 versions were copied, 1 were not; first: .*practice/b"
    ):
        apply(ops, plan, "now")
    assert bodies(s3) == {"a": "of then", "b": "another"}
    apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
    assert bodies(s3) == {"a": "another", "b": "another"}


@pytest.mark.slow
@pytest.mark.parametrize("drill", ["object-deleted", "object-overwritten"])
def test_a_drill_is_found_and_undone(ops: Connection, lab: PracticeLab, drill: str) -> None:
    whole = lab.state("dms-dev")
    with lab.broken(drill, "dms-dev"):
        broken = lab.state("dms-dev")
        left = notebooks.run("dms/restore-objects", approved="now")
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        assert restores.check_past(ops, "documents", "", "1h").worst == "ok"
        apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
        assert lab.state("dms-dev") == broken
    assert lab.state("dms-dev") == whole


def test_denied_is_not_a_bucket_without_rules(ops: Connection, lab: PracticeLab, s3: Any) -> None:
    put(s3, "new", "made since")
    assert restores.check_past(ops, "documents", ROOT, "1h").worst == "ok"
    with lab.denied("s3:GetBucketLifecycleConfiguration", "dms-dev"):
        found = restores.check_past(ops, "documents", ROOT, "1h")
        assert (found.worst, "Denied: s3 get_bucket_lifecycle" in found[-1].seen) == (
            "unknown",
            True,
        )
        assert restores.plan_past(ops, "documents", ROOT, "1h").steps == ()


@pytest.mark.parametrize(("days", "state"), [(1, moments.LOST), (30, moments.MADE)])
def test_a_rule_of_the_bucket_says_whether_something_may_have_expired(
    ops: Connection, s3: Any, days: int, state: str
) -> None:
    rules = [
        {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "other/"}}
        | {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"ID": "b", "Status": "Enabled", "Filter": {"Prefix": ROOT}}
        | {"NoncurrentVersionExpiration": {"NoncurrentDays": days}},
    ]
    given = {"Bucket": NAME, "LifecycleConfiguration": {"Rules": rules}}
    s3.put_bucket_lifecycle_configuration(**given)
    try:
        expired = moments._expiry(ops, NAME)
        written = Version(ROOT + "k", "a", ops.now() - timedelta(days=9), True, 3, "", "", None)
        at = ops.now() - timedelta(days=10)
        assert moments.judged([written], at, expired).state == state
    finally:
        s3.delete_bucket_lifecycle(Bucket=NAME)


# What passes is asked again


def deletion(*codes: str) -> tuple[Connection, list[str]]:
    """A bucket that answers DeleteObjects with these errors for the key `b`, one after another."""
    left, asked = list(codes), []

    def answer(service: str, operation: str) -> tuple[int, bytes]:
        asked.append(operation)
        error = left.pop(0) if left else ""
        said = f"<Error><Key>b</Key><VersionId>1</VersionId><Code>{error}</Code></Error>" * bool(
            error
        )
        return 200, f"<DeleteResult>{said}</DeleteResult>".encode()

    return canned.connection(answer), asked


TWO = [{"Key": "a", "VersionId": "1"}, {"Key": "b", "VersionId": "1"}]


def test_an_error_that_passes_is_asked_again_and_one_that_stays_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "_PAUSES", (0.0, 0.0, 0.0))
    ops, asked = deletion("InternalError", "SlowDown")
    assert actions.delete_versions(ops, "bucket", TWO) == {"Deleted": TWO}
    assert len(asked) == 3
    ops, asked = deletion("AccessDenied")
    with pytest.raises(
        OpsError, match="1 of 2 versions were deleted, 1 were not; first: b: AccessD"
    ) as error:
        actions.delete_versions(ops, "bucket", TWO)
    assert (error.value.done, len(asked)) == ({"Deleted": TWO[:1]}, 1)
    ops, asked = deletion(*["InternalError"] * 9)
    with pytest.raises(OpsError, match="b: InternalError"):
        actions.delete_versions(ops, "bucket", TWO)
    assert len(asked) == 3
