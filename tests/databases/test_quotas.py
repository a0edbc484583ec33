"""Quotas: who is near, who is over, who has no limit; whoever uses nothing is counted, too."""

from __future__ import annotations

import pytest

from opslib import databases
from opslib.core.connections.connection import Connection
from opslib.databases.data import quotas
from tests.conftest import PracticeLab

TARGET = "lab/dms-dev"


def told(ops: Connection, monkeypatch: pytest.MonkeyPatch, rows: str) -> list[tuple[str, str, str]]:
    """The findings where the query answers these rows: who, used, allowed."""
    query = ops.target["database"]["queries"]["tenant-usage"]
    sql = f"SELECT * FROM (VALUES {rows}) AS v (name, storage_gb, storage_quota_gb);"
    monkeypatch.setitem(query, "sql", sql)
    found = quotas.check_quotas(ops, "storage")
    return [
        (f.status, f.check.removeprefix("Storage of each tenant").lstrip(": "), f.seen)
        for f in found
    ]


def test_a_tenant_whose_documents_are_all_deleted_still_shows(ops: Connection) -> None:
    found = quotas.check_quotas(ops, "storage")
    assert (found.worst, found.causes) == ("ok", set())
    rows = found.evidence.set_index("who")
    assert len(rows) == 8
    assert (rows["used"]["Old Mill Press"], rows["allowed"]["Old Mill Press"]) == (0, 5)
    assert "Old Mill Press: 0 of 5 GB" in repr(databases.plot_quotas(found))


def test_near_and_over_and_without_a_limit(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "('a', 95, 100), ('b', 101, 100), ('c', 7, NULL), ('d', NULL, 100), ('e', 3, 0)"
    assert told(ops, monkeypatch, rows) == [
        ("critical", "e", "3 GB of 0 GB, 1,000 %"),
        ("critical", "b", "101 GB of 100 GB, 101 %"),
        ("warn", "a", "95 GB of 100 GB, 95 %"),
    ]
    assert told(ops, monkeypatch, "('o''hara: 1', 95, 100)")[-1] == (
        "ok",
        "",
        "nobody of 1 is over it; the fullest, o'hara: 1: 95 GB of 100 GB, 95 %",
    )
    one = quotas.check_quotas(ops, "storage", who="o'hara: 1")
    assert [f.status for f in one] == ["warn", "ok"]
    assert told(ops, monkeypatch, "('c', 7, NULL)")[0][2].endswith("c: 7 GB, no limit")


def test_nobody_is_not_well(ops: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    assert quotas.check_quotas(ops, "storage", who="Nobody").worst == "unknown"
    sql = "SELECT 'x' AS name, 1 AS storage_gb, 2 AS storage_quota_gb WHERE false"
    monkeypatch.setitem(ops.target["database"]["queries"]["tenant-usage"], "sql", sql)
    assert [f.seen for f in quotas.check_quotas(ops, "storage")] == ["the query answers no row"]
    wrong = "SELECT 1 AS other"
    monkeypatch.setitem(ops.target["database"]["queries"]["tenant-usage"], "sql", wrong)
    with pytest.raises(Exception, match="Not valid SQL"):
        quotas.check_quotas(ops, "storage")


def test_the_drill_is_the_cause(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken("quota-exceeded", "dms-dev"):
        found = quotas.check_quotas(ops, "storage")
        assert found.causes == {quotas.EXCEEDED}
        assert found.troubles[0].check == "Storage of each tenant: Harbour & Lane"
    assert quotas.check_quotas(ops, "storage").causes == set()
