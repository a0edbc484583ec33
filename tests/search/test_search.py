"""The search domain: what is missing in its indices, put in, taken back, restored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from opslib import Unfinished, apply, search
from opslib.changes import plan_undo
from opslib.core.actions.actions import Action
from opslib.core.actions.stores import searches
from opslib.core.actions.stores.searches import Put, Take
from opslib.core.connections import addresses
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, OpsError, Refused, UsageError
from opslib.core.reads.stores import domains
from opslib.records import list_records
from opslib.search import indices, snapshots
from tests.conftest import PracticeLab

TARGET, KEY = "lab/dms-dev", "dms-dev"
LOST = "documents-not-indexed"


@pytest.fixture
def lost(lab: PracticeLab, ops: Connection) -> Iterator[Connection]:
    with lab.broken(LOST, KEY):
        yield ops


def held(ops: Connection, name: str = "documents") -> int:
    return int(domains.ask(ops, "GET", f"/{name}/_count")["count"])


def undone(ops: Connection) -> None:
    [record] = list_records()[:1]
    apply(ops, plan_undo(ops, record.id), "now")


def test_what_is_missing_and_what_should_be_gone_is_named_by_id(lost: Connection) -> None:
    found = search.find_documents(lost, "documents")
    assert found["why"].value_counts().to_dict() == {indices.LATE: 17}
    judged = search.check_indices(lost)
    assert (judged.worst, judged.causes) == ("critical", {LOST})
    assert judged.evidence is not None
    assert list(judged.evidence["id"]) == list(found["id"])


@pytest.mark.slow
def test_rows_that_were_archived_are_not_gone_from_under_the_index(
    ops: Connection, lab: PracticeLab
) -> None:
    at = addresses.find(ops)
    where = {"user": at.username, "password": at.password, "host": at.host, "port": at.port}
    old = "created_at < now() - interval '60 days'"
    try:
        with psycopg.connect(**where, dbname=at.database) as database:
            database.execute(f"CREATE TABLE documents_old AS SELECT * FROM documents WHERE {old}")
            database.execute(f"DELETE FROM documents WHERE {old}")
        found = search.check_indices(ops)
        assert (found.worst, found.causes) == ("ok", set())
        assert "in a table named like theirs: archived" in found[-1].seen
        with psycopg.connect(**where, dbname=at.database) as database:
            database.execute("TRUNCATE documents_old")
        assert search.check_indices(ops).causes == {indices.ROWS_GONE}
    finally:
        lab.reset()


def test_equal_counts_hide_nothing(ops: Connection, clean: Any) -> None:
    """One is missing, and another one should not be there."""
    [(id, document)] = page(ops, 1)
    Take("documents", [id]).perform(ops)
    write(ops, "no-row", {"name": "stray"})
    assert held(ops) == 1075
    assert set(search.find_documents(ops, "documents")["id"]) == {id, "no-row"}
    assert search.check_indices(ops).causes == {LOST, indices.STALE}
    plan = search.plan_reindex(ops, "documents")
    assert "1 document without a row stay: strays=True." in plan.notes
    assert plan.reversible
    plan = search.plan_reindex(ops, "documents", strays=True)
    assert not plan.reversible
    apply(ops, plan, "now")
    assert source(ops, id) == document
    assert search.check_indices(ops).worst == "ok"


def test_many_rows_that_are_gone_are_looked_for_before_their_documents_go(
    ops: Connection, clean: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1,075 documents 500 have no row: somebody emptied half of the table."""
    every, gone = indices._ids(ops, indices.described(ops, "documents")), 500
    with monkeypatch.context() as patch:
        patch.setattr(indices, "_ids", lambda *_: every[gone:])
        patch.setattr(indices, "chosen", lambda *_: "SELECT '' AS id, true AS late WHERE false")
        found = search.check_indices(ops)
        assert found.causes == {indices.ROWS_GONE}
        assert [f.next for f in found.troubles] == ["databases/restore"]
        with pytest.raises(Refused, match=r"500 of 1,075 documents in documents have no row"):
            search.plan_reindex(ops, "documents", strays=True)
        assert search.plan_reindex(ops, "documents", strays=True, most=60).steps
    assert search.check_indices(ops).worst == "ok"


def page(ops: Connection, size: int) -> list[tuple[str, Any]]:
    found = domains.ask(ops, "GET", "/documents/_search", {"size": size})["hits"]["hits"]
    return [(each["_id"], each["_source"]) for each in found]


def write(ops: Connection, id: str, document: Any) -> None:
    line = {"create": {"_index": "documents", "_id": id}}
    assert not domains.ask(ops, "POST", "/_bulk?refresh=true", [line, document])["errors"]


def test_reindexing_puts_what_is_missing_and_undo_takes_just_that(
    lost: Connection, lab: PracticeLab
) -> None:
    before = lab.state(KEY)
    plan = search.plan_reindex(lost, "documents")
    assert lab.state(KEY) == before  # a preview changes nothing
    applied = apply(lost, plan, "now")
    assert held(lost) == 1075
    assert applied.verify(search.check_indices, "documents").worst == "ok"
    undone(lost)
    assert lab.state(KEY) == before


def test_what_somebody_indexed_meanwhile_is_neither_written_over_nor_taken_back(
    lost: Connection,
) -> None:
    plan = search.plan_reindex(lost, "documents")
    [first, *_] = plan.steps[0].do["ids"]
    write(lost, first, {"name": "by the app"})
    put = Action(plan.steps[0].do)
    done = put.perform(lost)
    assert (len(done["created"]), done["there"], done["gone"]) == (16, 1, 0)
    assert source(lost, first) == {"name": "by the app"}
    Take("documents", done["created"]).perform(lost)
    assert source(lost, first) == {"name": "by the app"}


def source(ops: Connection, id: str) -> Any:
    [found] = domains.ask(ops, "GET", "/documents/_mget", {"ids": [id]})["docs"]
    return found.get("_source")


def test_a_missing_index_is_made_with_its_mapping_and_filled(
    ops: Connection, lab: PracticeLab, clean: Any
) -> None:
    with lab.broken("index-missing", KEY):
        before = lab.state(KEY)
        assert search.check_indices(ops).causes == {"index-missing"}
        apply(ops, search.plan_reindex(ops, "documents"), "now")
        assert search.check_indices(ops).worst == "ok"  # the fields, too
        assert lab.state(KEY)["search"] == clean["search"]
        undone(ops)
        assert lab.state(KEY) == before


def test_a_document_is_taken_from_a_restored_index_as_it_is_there(
    lost: Connection,
) -> None:
    plan = search.plan_restore(lost, "documents", name="looked-at")
    apply(lost, plan, "now")
    found = search.check_restored(lost, "documents", "looked-at")
    assert (found.worst, found[0].seen) == ("ok", "1,075; the present documents has 1,058")
    apply(lost, search.plan_reindex(lost, "documents", source="looked-at"), "now")
    assert search.find_documents(lost, "documents").empty
    domains.ask(lost, "DELETE", "/looked-at")


def test_a_restore_goes_beside_and_undo_deletes_what_it_made(
    ops: Connection, lab: PracticeLab
) -> None:
    before = lab.state(KEY)
    plan = search.plan_restore(ops, "documents")
    assert lab.state(KEY) == before
    name = search.name_of_restored(plan)
    apply(ops, plan, "now")
    assert held(ops, name) == held(ops) == 1075
    with pytest.raises(Refused, match=f"{name} is there already.*Nothing was changed"):
        search.plan_restore(ops, "documents")
    undone(ops)
    assert lab.state(KEY) == before


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"name": "documents"}, Refused, "documents is there already"),
        ({"name": "Not A Name"}, UsageError, "small letters"),
        ({"name": "x/../y"}, UsageError, "small letters"),
        ({"snapshot": "of-never"}, UsageError, "No snapshot 'of-never'"),
        ({"index": "letters"}, UsageError, "Unknown search.indices 'letters' in .*dms-dev"),
    ],
)
def test_a_restore_that_cannot_be_is_refused_before_anything_happens(
    ops: Connection, given: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        search.plan_restore(ops, **{"index": "documents", **given})


def test_a_snapshot_that_is_not_whole_is_not_restored(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = search.find_snapshots(ops).assign(state="PARTIAL")
    monkeypatch.setattr(snapshots, "find_snapshots", lambda ops: told)
    assert search.check_snapshots(ops)[0].seen == "none of 36 is good"
    with pytest.raises(Refused, match="is PARTIAL"):
        search.plan_restore(ops, "documents", told["snapshot"][0])
    with pytest.raises(UsageError, match="No snapshot 'latest'"):
        search.plan_restore(ops, "documents")


def test_reindexing_from_an_index_that_is_not_there_is_said_at_once(ops: Connection) -> None:
    with pytest.raises(NotFound, match="no such index \\[nowhere\\]"):
        search.plan_reindex(ops, "documents", source="nowhere")


def test_documents_that_are_not_taken_are_told_and_the_others_can_be_undone(
    lost: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: Any = Action(search.plan_reindex(lost, "documents").steps[0].do)
    made = searches._documents(lost, put["ids"], put["statement"], "")
    first = next(iter(made))
    made[first] = made[first] | {"createdAt": "yesterday"}
    monkeypatch.setattr(searches, "_documents", lambda *_: made)
    with pytest.raises(OpsError, match=r"1 documents were not taken.*mapper_parsing") as raised:
        put.perform(lost)
    done = raised.value.done
    assert len(done["created"]) == 16
    assert first not in done["created"]


def test_large_documents_go_in_several_requests(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def ask(ops: Connection, method: str, path: str, body: Any = None) -> Any:
        sent.append(len(body))
        ids = [each["create"]["_id"] for each in body[::2]]
        return {"items": [{"create": {"_id": id, "status": 201}} for id in ids]}

    made = {str(n): {"text": "x" * 1_500_000} for n in range(5)}
    monkeypatch.setattr(searches, "_documents", lambda *_: made)
    monkeypatch.setattr(domains, "ask", ask)
    assert Put("documents", [*made]).perform(ops)["created"] == [*made]
    assert sent == [4, 4, 2]


def test_what_was_put_before_a_request_failed_is_told_and_can_be_taken_out(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def ask(ops: Connection, method: str, path: str, body: Any = None) -> Any:
        sent.append(len(body))
        if len(sent) == 2:
            raise Unfinished("429: the domain is overloaded.")
        ids = [each["create"]["_id"] for each in body[::2]]
        return {"items": [{"create": {"_id": id, "status": 201}} for id in ids]}

    made = {str(n): {"text": "x" * 1_500_000} for n in range(5)}
    monkeypatch.setattr(searches, "_documents", lambda *_: made)
    monkeypatch.setattr(domains, "ask", ask)
    with pytest.raises(OpsError, match=r"3 documents were not taken.*overloaded") as raised:
        Put("documents", [*made]).perform(ops)
    assert raised.value.done == {"created": ["0", "1"], "there": 0, "gone": 0}
    sent[:] = [0]
    with pytest.raises(Unfinished):  # nothing was done
        Put("documents", [*made]).perform(ops)


def test_a_write_that_is_blocked_changes_nothing_and_says_why(
    lost: Connection, lab: PracticeLab
) -> None:
    before = lab.state(KEY)
    with lab.broken("search-write-blocked", KEY):
        with pytest.raises(OpsError, match=r"cluster_block_exception.*flood-stage watermark"):
            apply(lost, search.plan_reindex(lost, "documents"), "now")
        assert lab.state(KEY) == before
        assert search.check_writes(lost).causes == {"search-write-blocked"}


@pytest.mark.slow
def test_the_stale_half_of_an_alias_is_another_index(ops: Connection, clean: Any) -> None:
    """A file may name an alias: what is looked at is the index behind it."""
    apply(ops, search.plan_restore(ops, "documents", name="documents-v2"), "now")
    Take("documents-v2", [id for id, _ in page(ops, 3)]).perform(ops)
    domains.ask(ops, "DELETE", "/documents")
    add = {"add": {"index": "documents-v2", "alias": "documents"}}
    domains.ask(ops, "POST", "/_aliases", {"actions": [add]})
    found = search.check_indices(ops)
    assert found[0].seen == "it is documents-v2"
    assert found.causes == {LOST}
    apply(ops, search.plan_reindex(ops, "documents"), "now")
    assert held(ops, "documents-v2") == 1075
    domains.ask(ops, "DELETE", "/documents-v2")
    apply(ops, search.plan_restore(ops, "documents", name="documents"), "now")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, ops: Connection) -> dict[str, Any]:
    """What the domain answers instead, by path."""
    answers: dict[str, Any] = {}
    ask = domains.ask

    def instead(ops: Connection, method: str, path: str, body: Any = None) -> Any:
        known = answers.get(path.partition("?")[0])
        return ask(ops, method, path, body) if known is None else known

    monkeypatch.setattr(domains, "ask", instead)
    return answers


def test_a_block_of_the_whole_cluster_is_seen(ops: Connection, told: dict[str, Any]) -> None:
    """As AWS sets it when storage runs out."""
    on = {"cluster.blocks.create_index": "true", "cluster.max_shards_per_node": "1000"}
    told["/_cluster/settings"] = {"persistent": on, "transient": {}}
    found = search.check_writes(ops)
    assert (found[0].seen, found.causes) == ("the cluster: create_index", {"search-write-blocked"})


def test_a_closed_index_and_another_mapping_are_told(ops: Connection, told: dict[str, Any]) -> None:
    index = {"settings": {"index": {"verified_before_close": "true"}}, "mappings": {}}
    told["/documents"] = {"documents-v1": index}
    assert "documents-v1 is closed" in search.check_indices(ops)[0].seen
    fields = {"tenantId": {"type": "text"}}
    told["/documents"] = {"documents-v1": {"settings": {}, "mappings": {"properties": fields}}}
    [field] = [each for each in search.check_indices(ops) if each.check == "fields of documents"]
    assert field.status == "warn"
    assert field.seen.startswith("tenantId is text, not keyword; name is missing, not text")


@pytest.mark.parametrize(
    ("said", "status", "seen"),
    [
        ({}, "ok", "Active, OpenSearch_2.19"),
        ({"Processing": True, "DomainProcessingStatus": "Modifying"}, "warn", "Modifying"),
        ({"UpgradeProcessing": True}, "warn", "UpgradeProcessing"),
        ({"DomainProcessingStatus": "Isolated"}, "critical", "Isolated"),
        ({"Deleted": True, "DomainProcessingStatus": "Deleting"}, "critical", "Deleting"),
        ({"Created": False, "DomainProcessingStatus": "Creating"}, "warn", "Creating"),
        ({"DomainProcessingStatus": "A new one"}, "warn", "A new one"),
    ],
)
def test_each_state_of_a_domain_is_judged(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, said: Any, status: str, seen: str
) -> None:
    known = domains.describe(ops) | said
    monkeypatch.setattr(domains, "describe", lambda ops: known)
    [found] = search.check_domain(ops)
    assert found.status == status
    assert seen in found.seen


def test_more_than_can_be_compared_is_counted_only(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_FEW": 10, "_MOST": 1000}.items():
        monkeypatch.setattr(indices, name, value)
    found = search.check_indices(ops)
    assert (found.worst, found[-1].seen) == ("ok", "1,075 documents, 1,075 rows")
    with pytest.raises(OpsError, match="Over 1,000 rows"):
        search.find_documents(ops, "documents")


def test_a_row_that_has_just_changed_is_on_its_way(lost: Connection) -> None:
    """Not missing yet: the app has some minutes to index it."""
    facts = dict(lost.target["search"]["indices"]["documents"]) | {"settle_minutes": 10_000_000}
    lost.target["search"]["indices"]["documents"] = facts
    found = search.find_documents(lost, "documents")
    assert set(found["why"]) == {indices.COMING}
    judged = search.check_indices(lost)
    assert judged.worst == "ok"
    assert any("17 rows changed just now" in each.seen for each in judged)
    assert search.plan_reindex(lost, "documents").steps == ()
