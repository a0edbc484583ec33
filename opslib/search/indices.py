"""The indices: are they there, and is in them what the database says?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    OpsError,
    Question,
    ask,
    check,
    count,
    frame,
    quoted,
    unknown_name,
)
from opslib.core.reads import domains
from opslib.core.text import cut

DOCUMENTS = {"index": "str", "id": "str", "why": "str"}
MISSING, NOT_INDEXED = "index-missing", "documents-not-indexed"  # the causes that findings name
LATE, EXTRA = "not indexed", "its row is gone"
_REINDEX = "search/reindex"
_MOST = 500_000  # ids that are compared
_PAGE = 5_000


def described(ops: Connection, index: str) -> Json:
    """An index of the target's file by its key. Raises UsageError that offers the nearest."""
    known = ops.target["search"].get("indices", {})
    if index not in known:
        raise unknown_name("index", index, known, f" of {ops.target.name}")
    facts: Json = known[index]
    return facts


@check("Are the indices there, and do they hold as much as their tables?")
def check_indices(ops: Connection) -> Findings:
    """Each index that the file describes: there, open, its fields of the types that are described,
    and with so many documents as its table has rows for it.
    """
    judged: list[Finding] = []
    for key, facts in ops.target["search"].get("indices", {}).items():
        name = str(facts["index"])
        asked = Question(f"index {name}", "there and open", f"GET {name}")
        try:
            (real,) = domains.ask(ops, "GET", f"/{name}").items()
        except NotFound:
            seen = "it is not there: nothing is found in it, and a write makes one of another form"
            judged.append(asked.answer("critical", seen, cause=MISSING, next=_REINDEX))
            continue
        judged.append(asked.answer("ok", f"{real[0]}", cause=MISSING))
        judged += [*_fields(name, facts, real[1].get("mappings", {}))]
        if "table" in facts:
            judged.append(_counted(ops, key, facts))
    return Findings(judged)


def _fields(name: str, facts: Json, mapping: Json) -> Iterator[Finding]:
    """Fields of another type than described: their documents are not taken, or not found."""
    if "mapping" not in facts:
        return
    wanted, present = facts["mapping"].get("properties", {}), mapping.get("properties", {})
    other = [
        f"{field} is {present.get(field, {}).get('type', 'missing')}, not {of['type']}"
        for field, of in wanted.items()
        if "type" in of and present.get(field, {}).get("type") != of["type"]
    ]
    asked = Question(f"fields of {name}", "as described", f"GET {name}/_mapping")
    yield asked.judged(not other, "; ".join(other) or f"{len(wanted)} of them", otherwise="warn")


def _counted(ops: Connection, key: str, facts: Json) -> Finding:
    """How many are in it, and how many should be; when not as many, which are late by now."""
    asked = Question(f"documents of {key}", "as many as rows", "GET _count, SQL count(*)")
    held = int(domains.ask(ops, "GET", f"/{facts['index']}/_count")["count"])
    wanted = int(ask(ops, f"SELECT count(*) AS n FROM {_rows(facts)}")["n"][0])
    seen = f"{held:,} documents, {wanted:,} rows"
    if held == wanted:
        return asked.answer("ok", seen, cause=NOT_INDEXED)
    if max(held, wanted) > _MOST:
        most = 0.001 * wanted
        return asked.judged(abs(held - wanted) < most, seen, otherwise="warn", cause=NOT_INDEXED)
    return _told(key, find_documents(ops, key), seen)


def _rows(facts: Json) -> str:
    return f"{quoted(facts['table'])} WHERE ({facts.get('where', 'true')})"


@check("Which documents are missing, and which should not be there?")
def check_documents(ops: Connection, index: str) -> Findings:
    """The ids of an index and of its table's rows, compared both ways. Evidence: DOCUMENTS."""
    found = find_documents(ops, index)
    return Findings([_told(index, found)], found)


def _told(key: str, found: Frame, seen: str = "") -> Finding:
    asked = Question(f"documents of {key}", "those of the rows", "ids of both, compared")
    late, extra = (list(found[found["why"] == why]["id"]) for why in (LATE, EXTRA))
    parts = [seen] if seen else []
    for what, ids in ((LATE, late), ("whose row is gone", extra)):
        if ids:
            parts.append(f"{count(len(ids), 'document')} {what}: {cut(', '.join(ids[:3]), 130)}")
    if fresh := len(found) - len(late) - len(extra):
        parts.append(f"{count(fresh, 'row')} changed just now")
    said = "; ".join(parts) or "the same on both sides"
    status = "critical" if late else "warn"
    cause = NOT_INDEXED if late or not extra else ""
    return asked.judged(
        not late and not extra, said, otherwise=status, cause=cause, next=_REINDEX if late else ""
    )


def find_documents(ops: Connection, index: str, empty: bool = False) -> Frame:
    """Documents that an index lacks, or has though their row is gone or not to be found any more.

    Columns: DOCUMENTS. A row that changed less than `settle_minutes` ago may be on its way.
    `empty`: an index that is not there lacks all. Raises NotFound, OpsError: too many to compare.
    """
    facts = described(ops, index)
    wanted = set(
        _ids(ops, facts)
    )  # first: what is indexed meanwhile is there when it is looked for
    held = set() if empty else set(_held(ops, str(facts["index"])))
    changed, minutes = facts.get("changed"), int(facts.get("settle_minutes", 10))
    late = f"{quoted(changed)} < now() - interval '{minutes} minutes'" if changed else "true"
    differing = sorted(wanted ^ held)
    asked = chosen(facts, f"{late} AS late")
    rows = ask(ops, asked, {"ids": differing}, limit=len(differing))
    late_by_id = dict(zip(rows["id"], rows["late"], strict=True))
    return frame(
        (
            {"index": index, "id": id, "why": why}
            for id in differing
            if (why := _why(id in held, late_by_id.get(id)))
        ),
        DOCUMENTS,
    )


def chosen(facts: Json, what: str) -> str:
    """SQL that answers `id` and something of those rows whose ids are in :ids."""
    rows = _rows(facts).replace(":", r"\:")
    return f"SELECT {_id(facts)} AS id, {what} FROM {rows} AND {_id(facts)} = ANY(:ids)"


def _why(held: bool, late: Any) -> str:
    """Of one that is on one side only: what it is, after the rows were looked at once more."""
    if late is None:  # no row any more, or one that is not to be found
        return EXTRA if held else ""
    return "" if held else LATE if late else "on its way"


def _id(facts: Json) -> str:
    return f"{quoted(facts.get('id', 'id'))}::text"


def _ids(ops: Connection, facts: Json) -> list[str]:
    found = ask(ops, f"SELECT {_id(facts)} AS id FROM {_rows(facts)}", limit=_MOST)
    return _few(list(found["id"]), "rows")


def _held(ops: Connection, name: str) -> list[str]:
    """The ids in an index, read to the end by a scroll."""
    body = {"size": _PAGE, "sort": ["_doc"], "_source": False}
    page = domains.ask(ops, "GET", f"/{name}/_search?scroll=2m", body)
    found: list[str] = []
    while hits := page["hits"]["hits"]:
        found = _few([*found, *(each["_id"] for each in hits)], "documents")
        asked = {"scroll": "2m", "scroll_id": page["_scroll_id"]}
        page = domains.ask(ops, "GET", "/_search/scroll", asked)
    return found


def _few(ids: list[str], what: str) -> list[str]:
    if len(ids) >= _MOST:
        raise OpsError(f"Over {_MOST:,} {what}: their ids are not compared; compare the counts.")
    return ids
