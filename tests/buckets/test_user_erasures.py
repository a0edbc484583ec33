"""A user's data: all of it goes, nobody else's, never by half an id, to the end, with proof."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opslib import NotAllowed, OpsError, Refused, UsageError, apply
from opslib.buckets import erasures
from opslib.core.actions import exact
from opslib.core.connections.connection import Connection
from opslib.core.reads.stores.objects import items_of, list_versions
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import confirmed

TARGET = "lab/image-caption-prod"
SURE = {"approved": "now", "confirm": confirmed(TARGET)}
TABLE, NAME = "image_captions", "image-caption-gen-images-prod"
LENA = "1e4a0000-0000-4000-8000-000000000001"
ID = "abc00000-0000-4000-8000-0000000000ee"
AT = f"USER#{ID}"


def put(ops: Connection, count: int, user: str = AT) -> None:
    items = [
        {"PK": {"S": user}, "SK": {"S": f"CAPTION#{at:05}"}, "text": {"S": "Very Private Words"}}
        for at in range(count)
    ]
    for at in range(0, count, 25):
        batch = [{"PutRequest": {"Item": item}} for item in items[at : at + 25]]
        ops.client("dynamodb").batch_write_item(RequestItems={TABLE: batch})


@pytest.fixture
def user(ops: Connection, clean: dict[str, Any]) -> Iterator[Any]:
    """A user with two objects, one of them in two versions, and sixty items; none in the pool."""
    s3 = ops.client("s3")
    for key, body in (("a.jpg", b"one"), ("a.jpg", b"two"), ("b.jpg", b"Very Private Picture")):
        s3.put_object(Bucket=NAME, Key=f"images/{ID}/{key}", Body=body)
    put(ops, 60)
    yield s3
    for each in list_versions(ops, NAME, f"images/{ID}"):
        s3.delete_object(Bucket=NAME, Key=each.key, VersionId=each.id)
    for user in (AT, f"{AT}0"):
        exact.delete_items(ops, TABLE, items_of(ops, TABLE, user).keys)


def left(ops: Connection) -> int:
    return len(items_of(ops, TABLE, AT).keys)


def erased(ops: Connection) -> Any:
    plan = erasures.plan_erasure(ops, "user", ID)
    applied = apply(ops, plan, "now", confirmed(TARGET))
    return applied.verify(erasures.check_erased, "user", ID, applied.plan.steps)


@pytest.mark.slow
def test_all_of_a_user_goes_and_nothing_of_anybody_else(
    fresh: Connection, lab: PracticeLab
) -> None:
    before = lab.state("image-caption-prod")
    previewed = notebooks.run("image-caption/erase-user", target=TARGET, id=LENA)
    there = previewed["ops"].findings[0]
    assert there.seen.startswith("61 items in DynamoDB; 120 keys with 138 versions")
    assert "recovery to a moment holds them until" in str(previewed["ops"].findings)
    assert lab.state("image-caption-prod") == before
    run = notebooks.run("image-caption/erase-user", target=TARGET, id=LENA, **SURE)
    assert {f.status for f in run["ops"].findings if f.verifies} == {"ok"}
    changed = differences(before, lab.state("image-caption-prod"))
    assert f"dynamodb.{TABLE}" in changed
    objects = [path for path in changed if path.startswith("s3.")]
    assert len(objects) == 120
    assert all(f".keys.images/{LENA}/" in path for path in objects)
    assert [path.rpartition(".")[2] for path in changed if "cognito" in path] == [LENA]
    assert len(items_of(fresh, TABLE, "USER#70a50000-0000-4000-8000-000000000002").keys) == 25
    kept = reading.list_records()[0].path.read_text()
    assert "a dog on a beach" not in kept
    assert "lena.brandt" not in kept
    again = erasures.check_erasure(fresh, "user", LENA)[0]
    assert (again.status, "nothing is there" in again.seen) == ("unknown", True)


@pytest.mark.parametrize(
    "id", ["", "*", "/", f"{ID}/", f"{ID}/../x", ID[:-1], f"{ID}\n", f" {ID}", "abc%", "{id}", "."]
)
def test_what_is_no_whole_id_is_refused_before_anything_is_asked(ops: Connection, id: str) -> None:
    calls = len(ops.journal.events)
    for ask in (erasures.check_erasure, erasures.plan_erasure):
        with pytest.raises(UsageError, match=r"is no id of a user.*Nothing was looked for"):
            ask(ops, "user", id)
    assert len(ops.journal.events) == calls


def test_a_loose_pattern_of_the_target_lets_no_slash_or_wildcard_in(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ops.target["erasure"]["user"], "ids", ".*")
    for id in ("", "a/b/c", "abc*", "ab"):
        with pytest.raises(UsageError, match="is no id"):
            erasures.plan_erasure(ops, "user", id)
    monkeypatch.setitem(
        ops.target["erasure"]["user"], "items", [{"table": "captions", "key": "{x}"}]
    )
    with pytest.raises(UsageError, match=r"names \{x\}, and no table"):
        erasures.plan_erasure(ops, "user", ID)
    monkeypatch.setitem(
        ops.target["erasure"]["user"], "items", [{"table": "captions", "key": "USER#"}]
    )
    with pytest.raises(UsageError, match=r"names USER#, and no table .*\{id\} .* has to be in it"):
        erasures.plan_erasure(ops, "user", ID)


def test_who_has_a_name_that_begins_so_keeps_all(ops: Connection, user: Any) -> None:
    user.put_object(Bucket=NAME, Key=f"images/{ID}0/a.jpg", Body=b"somebody else's")
    put(ops, 3, f"{AT}0")
    assert erased(ops).worst == "ok"
    assert [each.key for each in list_versions(ops, NAME, f"images/{ID}")] == [
        f"images/{ID}0/a.jpg"
    ]
    assert (left(ops), len(items_of(ops, TABLE, f"{AT}0").keys)) == (0, 3)


def test_a_legal_hold_stops_it_before_an_item_or_a_sign_in_is_touched(
    ops: Connection, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, locked = ops.call, {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}

    def held(service: str, operation: str, /, **given: Any) -> Any:
        if operation == "get_object_lock_configuration":
            return locked
        if operation == "get_object_legal_hold":
            return {"LegalHold": {"Status": "ON" if given["Key"].endswith("b.jpg") else "OFF"}}
        return {} if operation == "get_object_retention" else call(service, operation, **given)

    monkeypatch.setattr(ops, "call", held)
    assert erasures.check_erasure(ops, "user", ID).causes == {erasures.HELD}
    with pytest.raises(Refused, match=r"1 version may not be deleted.*Nothing was deleted"):
        erasures.plan_erasure(ops, "user", ID)
    assert (left(ops), len(list_versions(ops, NAME, f"images/{ID}/"))) == (60, 3)


def test_what_came_or_went_since_it_was_shown_is_not_erased(ops: Connection, user: Any) -> None:
    plan = erasures.plan_erasure(ops, "user", ID)
    put(ops, 61)
    with pytest.raises(Refused, match="no longer what was shown"):
        plan.steps[-1].do.perform(ops)
    with pytest.raises(Refused):
        apply(ops, plan, plan.id, confirmed(TARGET))
    assert left(ops) == 61


@pytest.mark.slow
def test_two_thousand_items_go_and_what_dynamodb_gives_back_is_sent_again(
    ops: Connection,
    user: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(ops, 2000)
    call, given_back = ops.call, list[int]()

    def short_of_capacity(service: str, operation: str, /, **given: Any) -> Any:
        """Of every second batch some is given back, and now and then all is turned away."""
        if operation != "batch_write_item" or len(given_back) > 60:
            return call(service, operation, **given)
        given_back.append(1)
        if len(given_back) % 7 == 0:
            return {"UnprocessedItems": given["RequestItems"]}
        batch = given["RequestItems"][TABLE]
        call(service, operation, RequestItems={TABLE: batch[:10]})
        return {"UnprocessedItems": {TABLE: batch[10:]} if batch[10:] else {}}

    monkeypatch.setattr(ops, "call_again", short_of_capacity)
    monkeypatch.setattr(exact, "_PAUSES", (0.0,) * 8)
    assert erased(ops).worst == "ok"
    assert left(ops) == 0
    assert "2,000 of 2,000 items deleted" in capsys.readouterr().out


@pytest.mark.slow
def test_a_table_that_takes_nothing_ends_it_and_it_is_gone_on_with_later(
    ops: Connection, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, taken = ops.call, list[int]()

    def stuck(service: str, operation: str, /, **given: Any) -> Any:
        if operation == "batch_write_item" and taken:
            return {"UnprocessedItems": given["RequestItems"]}
        taken.append(1) if operation == "batch_write_item" else None
        return call(service, operation, **given)

    with monkeypatch.context() as patch:
        patch.setattr(ops, "call_again", stuck)
        patch.setattr(exact, "_PAUSES", (0.0, 0.0))
        with pytest.raises(
            OpsError, match=r"items of image_captions were deleted.*it is throttled"
        ):
            apply(ops, erasures.plan_erasure(ops, "user", ID), "now", confirmed(TARGET))
    assert 0 < left(ops) < 60
    assert erased(ops).worst == "ok"
    assert left(ops) == 0


@pytest.mark.slow
def test_a_partition_of_an_index_is_erased_by_the_keys_of_its_table(
    ops: Connection, user: Any, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamo = ops.client("dynamodb")
    kinds = {"id": "S", "at": "N", "owner": "S"}
    schema = [("id", "HASH"), ("at", "RANGE")], [("owner", "HASH")]
    own, by = ([{"AttributeName": n, "KeyType": k} for n, k in each] for each in schema)
    dynamo.create_table(
        TableName="jobs",
        KeySchema=own,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": k} for n, k in kinds.items()],
        GlobalSecondaryIndexes=[
            {"IndexName": "by-owner", "KeySchema": by, "Projection": {"ProjectionType": "ALL"}}
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for at in range(4):
        owner = {"S": ID if at % 2 else LENA}
        item = {"id": {"S": f"j{at}"}, "at": {"N": f"{at}"}, "owner": owner}
        dynamo.put_item(TableName="jobs", Item=item)
    monkeypatch.setitem(ops.target["tables"], "jobs", {"name": "jobs"})
    facts = ops.target["erasure"]["user"]
    monkeypatch.setitem(facts, "objects", [])
    monkeypatch.setitem(facts, "items", [{"table": "jobs", "key": "{id}", "index": "by-owner"}])
    assert erased(ops).worst == "ok"
    kept = dynamo.scan(TableName="jobs")["Items"]
    assert [each["id"]["S"] for each in kept] == ["j0", "j2"]
    monkeypatch.setitem(facts, "items", [{"table": "jobs", "key": "{id}", "index": "by-ower"}])
    with pytest.raises(UsageError, match=r"no index 'by-ower'. There are: by-owner"):
        erasures.plan_erasure(ops, "user", ID)
    lab.reset()


def test_what_may_not_be_read_is_never_taken_for_nothing(
    ops: Connection, lab: PracticeLab, user: Any
) -> None:
    for operation in ("dynamodb:Query", "s3:ListObjectVersions", "cognito-idp:AdminGetUser"):
        with lab.denied(operation, "image-caption-prod"), pytest.raises(NotAllowed):
            erasures.plan_erasure(ops, "user", ID)
        with lab.denied(operation, "image-caption-prod"):
            found = erasures.check_erasure(ops, "user", ID)
            assert "unknown" in {each.status for each in found}
            assert "access-denied" in found.causes
    assert left(ops) == 60
