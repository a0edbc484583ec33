"""Orphans.

Found by comparing like with like, deleted only when few, old, and the same when listed again.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pytest

from opslib import OpsError, Refused, apply, buckets, changes
from opslib.buckets import orphans, scans
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.reads.stores import objects as reads
from opslib.core.reads.stores import samples
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

TARGET = "lab/bluemoxon-staging"
NAME = "bluemoxon-staging-images"


@pytest.fixture
def orphaned(lab: PracticeLab, ops: Connection) -> Iterator[Connection]:
    with lab.broken("orphans"):
        yield ops


def images(lab: PracticeLab) -> int:
    return sum(key.startswith("books/") for key in objects(lab.state()))


def put(ops: Connection, *keys: str) -> None:
    for key in keys:
        ops.call("s3", "put_object", Bucket=NAME, Key=key, Body=b"jpeg")


def remove(ops: Connection, *keys: str) -> None:
    """Away with every version, as if they had never been there."""
    for key in keys:
        found = ops.call("s3", "list_object_versions", Bucket=NAME, Prefix=key)
        for version in [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]:
            ops.call("s3", "delete_object", Bucket=NAME, Key=key, VersionId=version["VersionId"])


@pytest.mark.parametrize("kind", ["images", "listings"])
def test_objects_that_all_have_a_row_name_no_cause(ops: Connection, kind: str) -> None:
    found = orphans.check_orphans(ops, kind)
    assert (found.worst, found.causes) == ("ok", set())
    assert list(found.evidence.columns) == list(orphans.GROUPS)
    assert orphans.plan_delete(ops, kind).steps == ()


def test_orphans_are_shown_with_totals_share_size_groups_and_ages(
    orphaned: Connection, lab: PracticeLab
) -> None:
    total = images(lab)
    found = orphans.check_orphans(orphaned, "images")
    assert (found.worst, found.causes) == ("warn", {"orphans"})
    assert f"23 of {total} objects ({23 / total * 100:.1f} %), 0.3 MB" in found[0].seen
    assert {"431", "447", "463"} <= set(found.evidence["group"])
    assert found.evidence["objects"].sum() == 23
    assert "Oldest" in found.note
    assert found[1].seen == "23 orphans"


@pytest.mark.slow
def test_rows_whose_object_is_gone_are_counted(ops: Connection, lab: PracticeLab) -> None:
    keys = list(reads.list_objects(ops, NAME, "books/")["key"])
    for key in keys[:3]:
        ops.call("s3", "delete_object", Bucket=NAME, Key=key)
    try:
        lost = orphans.check_orphans(ops, "images")[-1]
    finally:
        lab.reset()
    assert (lost.status, lost.next) == ("warn", "buckets/restore")
    assert lost.seen == f"3 of {len(keys):,}, as {sorted(keys[:3])[0].removeprefix('books/')}"


@pytest.mark.slow
def test_clean_up_deletes_the_orphans_and_nothing_else_and_is_undone(
    orphaned: Connection, lab: PracticeLab
) -> None:
    before = lab.state()
    keys = set(scans.scan(orphaned, "images").orphans["key"])
    left = notebooks.run("buckets/orphans", approved="now")
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    after = set(reads.list_objects(orphaned, NAME, "books/")["key"])
    assert after == {k for k in objects(before) if k.startswith("books/")} - keys
    assert {
        path.removeprefix(f"s3.{NAME}.keys.") for path in differences(before, lab.state())
    } >= keys
    record = reading.list_records(target=TARGET, outcome="changed")[0]
    apply(orphaned, changes.plan_undo(orphaned, record.id), "now")
    assert lab.state() == before


def objects(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state["s3"][NAME]["keys"]
    return found


def test_stale_listings_are_a_cause_of_their_own(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken("stale-listings"):
        assert orphans.check_orphans(ops, "listings").causes == {"stale-listings"}
        assert orphans.check_orphans(ops, "images").causes == set()
        applied = apply(ops, orphans.plan_delete(ops, "listings"), "now")
        assert applied.verify(orphans.check_orphans, "listings").worst == "ok"


def test_keys_that_are_compared_wrongly_are_a_cause_and_nothing_is_deleted(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken("orphan-keys-miscompared"):
        before, total = lab.state(), images(lab)
        found = orphans.check_orphans(ops, "images")
        assert found.causes == {orphans.MISCOMPARED}
        assert (
            f"{total} of {total} objects have a row only when the keys of book_images are read "
            "with the prefix" in found[0].seen
        )
        assert "its clean-up would delete objects that have a row" in found[1].seen
        with pytest.raises(Refused, match="keep away from the app's own clean-up"):
            orphans.plan_delete(ops, "images", max_share_percent=100)
        assert lab.state() == before


def test_miscompared_keys_are_seen_among_real_orphans(
    orphaned: Connection, lab: PracticeLab
) -> None:
    with lab.broken("orphan-keys-miscompared"):
        seen = scans.scan(orphaned, "images")
        assert (seen.miscompared, len(seen.orphans), seen.otherwise) == (True, 23, images(lab) - 23)


def test_a_share_that_is_too_large_is_refused(orphaned: Connection) -> None:
    with pytest.raises(Refused, match=r"23 of \d+ objects.*more than 5 %\. Nothing was deleted"):
        orphans.plan_delete(orphaned, "images", max_share_percent=5)


def test_a_table_without_keys_is_refused_whatever_the_share(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "_table_keys", lambda *_: set())
    with pytest.raises(Refused, match="book_images has no keys at all"):
        orphans.plan_delete(ops, "images", max_share_percent=100)


def test_young_objects_are_left_alone(orphaned: Connection) -> None:
    key = "books/470/99-just-uploaded.jpeg"
    put(orphaned, key)
    try:
        plan = orphans.plan_delete(orphaned, "images")
        assert key not in str(plan.steps)
        assert (
            plan.notes[1] == "1 younger than a day are left alone: their rows may yet be written."
        )
        apply(orphaned, plan, "now")
        assert key in set(reads.list_objects(orphaned, NAME, "books/470/")["key"])
    finally:
        remove(orphaned, key)


def test_an_image_that_got_its_row_since_the_preview_is_not_deleted(
    orphaned: Connection, lab: PracticeLab
) -> None:
    approved = orphans.plan_delete(orphaned, "images").id
    key = scans.scan(orphaned, "images").orphans["key"].iloc[-1].removeprefix("books/")
    sql.execute(
        orphaned, "INSERT INTO book_images VALUES (1, 470, :key, 99, now())", {"key": key}, 1
    )
    try:
        before = lab.state()
        with pytest.raises(Refused, match="not what would be done now"):
            apply(orphaned, orphans.plan_delete(orphaned, "images"), approved)
        assert lab.state() == before
    finally:
        sql.execute(orphaned, "DELETE FROM book_images WHERE id = 1", {}, 1)


def test_only_the_named_prefix_is_listed(ops: Connection) -> None:
    put(ops, "exports/all.zip")
    try:
        assert scans.scan(ops, "images").orphans.empty
        assert scans.scan(ops, "listings").orphans.empty
    finally:
        remove(ops, "exports/all.zip")


def test_what_the_table_of_another_kind_names_is_no_orphan_of_this_one(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tables, or two columns, may name objects under one prefix, or below it."""
    put(ops, "books/zz/a.jpg", "books/zz/b.jpg")
    named = {"bucket": "images", "table": "book_images", "column": "s3_key"}
    same, above = {**named, "prefix": "books/"}, {**named, "prefix": ""}
    keys, kinds = scans._table_keys, ops.target["orphans"]
    rows = {"same": {"zz/a.jpg"}, "above": {"books/zz/b.jpg"}}

    def told(ops: Connection, facts: Any) -> set[str]:
        found = [rows[name] for name in rows if kinds.get(name) is facts]
        return found[0] if found else keys(ops, facts)

    monkeypatch.setattr(scans, "_table_keys", told)
    try:
        assert [*scans.scan(ops, "images").orphans["key"]] == ["books/zz/a.jpg", "books/zz/b.jpg"]
        monkeypatch.setitem(kinds, "same", same)
        assert [*scans.scan(ops, "images").orphans["key"]] == ["books/zz/b.jpg"]
        monkeypatch.setitem(kinds, "above", above)
        assert scans.scan(ops, "images").orphans.empty
        assert not scans.scan(ops, "images").lost
    finally:
        remove(ops, "books/zz/a.jpg", "books/zz/b.jpg")


def test_a_thousand_keys_a_step(
    ops: Connection, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "_KEYS_A_CALL", 10)
    monkeypatch.setattr(orphans, "_guard", lambda *_: None)
    monkeypatch.setattr(scans, "_table_keys", lambda *_: set())
    steps = orphans.plan_delete(ops, "images", 100).steps
    sizes = [len(step.do["parameters"]["Delete"]["Objects"]) for step in steps]
    assert (sizes[0], max(sizes), sum(sizes)) == (10, 10, images(lab))


def test_without_versions_it_says_that_there_is_no_way_back(
    orphaned: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "is_versioned", lambda *_: False)
    plan = orphans.plan_delete(orphaned, "images")
    assert not plan.reversible
    assert "keeps no versions: what is deleted cannot be brought back" in plan.notes[-1]


def test_denied_and_missing_are_not_no_orphans(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("s3:ListObjectsV2"):
        assert [f.status for f in orphans.check_orphans(ops, "images")] == ["unknown"]
    with lab.broken("bucket-missing"):
        assert orphans.check_orphans(ops, "images").causes == {"bucket-missing"}


def test_an_app_that_does_not_answer_leaves_our_own_count(
    orphaned: Connection, lab: PracticeLab
) -> None:
    with lab.broken("api-html"):
        found = orphans.check_orphans(orphaned, "images")
        assert [f.status for f in found] == ["warn", "unknown"]
        assert found.causes == {"orphans"}


@pytest.mark.parametrize(
    ("key", "group"),
    [("books/515/x.webp", "515"), ("books/515_1.jpeg", "515"), ("books/cover.jpeg", "cover.jpeg")],
)
def test_an_object_belongs_to_its_book(key: str, group: str) -> None:
    assert scans.group(key, "books/") == group


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ({"orphans": 3}, 3),
        ({"orphans": [1, 2]}, 2),
        ({"orphans_found": 0}, 0),
        ({"status": "ok"}, None),
        ([], None),
    ],
)
def test_a_scan_says_its_number_in_one_of_several_ways(answer: Any, count: int | None) -> None:
    assert orphans._count(answer) == count


@pytest.mark.slow
def test_what_was_deleted_before_some_keys_failed_is_undone(
    orphaned: Connection, lab: PracticeLab
) -> None:
    """DeleteObjects answers 200 with an error for each key that it could not delete."""
    before, events, kept = lab.state(), orphaned._access.session.events, []

    def protect(params: dict[str, Any], **_: Any) -> None:
        kept.append(params["Delete"]["Objects"].pop()["Key"])

    def tell(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Errors"] = [{"Key": kept[0], "Code": "AccessDenied", "Message": "Access Denied"}]

    plan = orphans.plan_delete(orphaned, "images")
    events.register("provide-client-params.s3.DeleteObjects", protect)
    events.register("after-call.s3.DeleteObjects", tell)
    with pytest.raises(
        OpsError,
        match=r"Step 1 of 1 .* failed in part: 1 of the items failed.*books/.*AccessDenied",
    ):
        apply(orphaned, plan, "now")
    events.unregister("provide-client-params.s3.DeleteObjects", protect)
    events.unregister("after-call.s3.DeleteObjects", tell)
    assert len(scans.scan(orphaned, "images").orphans) == 1
    record = changes.list_changes(orphaned)["record"].iloc[0]
    apply(orphaned, changes.plan_undo(orphaned, record), "now")
    assert lab.state() == before


def test_where_nothing_lies_nothing_is_an_orphan(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ops.target["orphans"]["images"], "prefix", "nothing-lies-here/")
    found = orphans.check_orphans(ops, "images")
    assert found[0].status == "ok"
    assert found[0].seen.startswith("0 of 0 objects (0.0 %)")
    assert found.note == "0 objects under nothing-lies-here/, 0.0 MB."
    assert found.evidence.empty
    assert orphans.plan_delete(ops, "images").steps == ()


@pytest.mark.slow
def test_an_object_that_got_another_content_since_it_was_looked_at_is_not_deleted(
    orphaned: Connection, lab: PracticeLab
) -> None:
    """Not even between the plan that is made again and its call: S3 is given the ETag."""
    plan = orphans.plan_delete(orphaned, "images")
    key = plan.steps[0].do["parameters"]["Delete"]["Objects"][0]["Key"]
    put(orphaned, key)
    with pytest.raises(OpsError, match=r"failed in part.*PreconditionFailed"):
        apply(orphaned, dataclasses.replace(plan, again=None), "now")
    assert set(reads.list_objects(orphaned, NAME, "books/")["key"]) & {
        each["Key"] for each in plan.steps[0].do["parameters"]["Delete"]["Objects"]
    } == {key}
    lab.reset()


@pytest.mark.slow
def test_a_third_of_the_objects_gone_and_some_without_bytes_are_seen_by_a_sample(
    ops: Connection, lab: PracticeLab
) -> None:
    well = buckets.check_named(ops)
    assert [(f.status, f.seen) for f in well] == [("ok", "0 of 60 are not there")]
    keys = list(reads.list_objects(ops, NAME, "books/")["key"])
    try:
        for key in keys[::3]:
            ops.call("s3", "delete_object", Bucket=NAME, Key=key)
        for key in keys[1::3]:
            ops.call("s3", "put_object", Bucket=NAME, Key=key, Body=b"")
        (found,) = buckets.check_named(ops)
        assert (found.status, found.cause, found.next) == (
            "critical",
            "objects-gone",
            "buckets/restore",
        )
        assert re.search("are not there: books/.*have no bytes: books/", found.seen)
        with lab.denied("s3:HeadObject"):
            assert [f.status for f in buckets.check_named(ops)] == ["unknown"]
    finally:
        lab.reset()


def test_where_the_bucket_is_gone_its_objects_are_not_counted(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken("bucket-missing"):
        [found] = buckets.check_named(ops)
    assert (found.status, found.cause) == ("unknown", "")


def test_of_a_large_table_some_rows_all_over_it_are_asked_for(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(ops: Connection, text: str, given: Any = None) -> Any:
        found = sql.ask(ops, text, given)
        asked.append(text)
        return found.assign(relpages=2000) if "relpages" in found else found

    monkeypatch.setattr(samples, "ask", ask)
    assert buckets.check_named(ops).worst == "ok"
    assert "TABLESAMPLE SYSTEM (25.0000) REPEATABLE (1)" in asked[-1]
