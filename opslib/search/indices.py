"""The indices: are they there, and is in them what the database says?"""

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
    cut,
    domains,
    frame,
    quoted,
)

DOCUMENTS = {"index": "str", "id": "str", "why": "str"}
# The causes that findings name.
MISSING, NOT_INDEXED, STALE = "index-missing", "documents-not-indexed", "documents-stale"
ROWS_GONE = "rows-gone"
LATE, EXTRA, COMING = "not indexed", "without a row", "changed just now"
_REINDEX = "search/reindex"
_FEW, _MOST = 20_000, 500_000  # so many ids are always compared; and when the counts differ
_PAGE = 5_000


def described(ops: Connection, index: str) -> Json:
    """An index of the target's file by its key. Raises UsageError that offers the nearest."""
    facts: Json = ops.target["search"]["indices"][index]
    return facts


@check("Are the indices there, and is in them what the tables say?")
def check_indices(ops: Connection, index: str = "") -> Findings:
    """An index, or each that the file describes: there, open, with the fields that are described.

    And with the documents of its table's rows, compared by id where they are not very many. What is
    not alike is the evidence: DOCUMENTS.
    """
    known = ops.target["search"].get("indices", {})
    keys = [index] if index and described(ops, index) else list(known)
    read = ops.each(lambda key: _looked(ops, key, known[key]), keys, "index {}")
    rows = [row for _, found in read.values() for row in found.to_dict("records")]
    return Findings(
        [each for judged, _ in read.values() for each in judged],
        frame(rows, DOCUMENTS) if rows else None,
    )


def _looked(ops: Connection, key: str, facts: Json) -> tuple[list[Finding], Frame]:
    name, nothing = str(facts["index"]), frame([], DOCUMENTS)
    asked = Question(f"index {name}", "it is there", f"GET {name}")
    try:
        real: Json = domains.ask(ops, "GET", f"/{name}")
    except NotFound:
        seen = "it is not there: nothing is found, and the next write makes one of another form"
        return [asked.critical(seen, cause=MISSING, next=_REINDEX)], nothing
    if closed := [
        key for key, of in real.items() if "verified_before_close" in str(of["settings"])
    ]:
        seen = f"{', '.join(closed)} is closed: neither read nor written until it is opened"
        return [asked.critical(seen)], nothing
    judged = [asked.ok(f"it is {', '.join(real)}", cause=MISSING)]
    for told in real.values():
        judged += _fields(name, facts, told.get("mappings", {}))
    if "table" not in facts:
        return judged, nothing
    held = int(domains.ask(ops, "GET", f"/{name}/_count")["count"])
    wanted = int(ask(ops, f"SELECT count(*) AS n FROM {_rows(facts)}")["n"][0])
    seen, few = f"{held:,} documents, {wanted:,} rows", max(held, wanted) <= _FEW
    if few or (held != wanted and max(held, wanted) <= _MOST):
        found = find_documents(ops, key)
        old = _archived(ops, facts, list(found[found["why"] == EXTRA]["id"]))
        return [*judged, *_compared(name, seen, found, held, old)], found
    asked = Question(f"documents of {name}", "as many as rows", "GET _count, SQL count(*)")
    alike = abs(held - wanted) <= 0.001 * wanted  # so many may be on their way
    judged.append(asked.judged(alike, seen, otherwise="warn", cause=NOT_INDEXED, next=_REINDEX))
    return judged, nothing


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
    asked = Question(f"fields of {name}", "as described", f"GET {name}")
    yield asked.judged(not other, "; ".join(other) or f"{len(wanted)} of them", otherwise="warn")


def _rows(facts: Json) -> str:
    return f"{quoted(facts['table'])} WHERE ({facts.get('where', 'true')})"


def _archived(ops: Connection, facts: Json, ids: list[str]) -> int:
    """How many of the ids are rows of other tables, whose names hold this one's."""
    named = """
        SELECT attrelid::regclass::text AS name FROM pg_attribute JOIN pg_class ON oid = attrelid
        WHERE relkind IN ('r', 'p') AND relname ~ :table AND relname <> :table AND attname = :id
            AND has_table_privilege(attrelid, 'SELECT')
        """
    table = str(facts["table"]).rpartition(".")[2]
    others = ask(ops, named, {"table": table, "id": facts.get("id", "id")})["name"]
    if others.empty:
        return 0
    rows = " UNION ".join(f"SELECT {_id(facts)} AS id FROM {other}" for other in others)
    asked = f"SELECT count(*) AS n FROM ({rows}) AS old WHERE id = ANY(:ids)"
    return int(ask(ops, asked, {"ids": ids})["n"][0])


def _compared(name: str, seen: str, found: Frame, held: int, old: int) -> Iterator[Finding]:
    """What it lacks, and what it should not have: each has a cause of its own."""
    for words, rule, why, cause, status in (
        ("lacks nothing", "each row is in it", LATE, NOT_INDEXED, "critical"),
        ("holds nothing else", "each document has its row", EXTRA, STALE, "warn"),
    ):
        ids = list(found[found["why"] == why]["id"])
        said = f"{seen}; {len(ids):,} {why}: {cut(', '.join(ids), 120)}" if ids else seen
        if why == LATE and (coming := int((found["why"] == COMING).sum())):
            said += f"; {count(coming, 'row')} changed just now"
        asked = Question(f"index {name} {words}", rule, "ids of the index and of SQL")
        next, gone = _REINDEX, len(ids)
        if why == EXTRA and old:
            gone -= old
            said += f"; of these {old:,} are in a table named like theirs: archived"
        if why == EXTRA and gone > max(20, 0.1 * held):  # hardly because somebody wanted it
            said += ". Who took so many rows out, or out of sight? Take nothing out of the index"
            status, cause, next = "critical", ROWS_GONE, "databases/restore"
        yield asked.judged(gone <= 0, said, otherwise=status, cause=cause, next=next)


def find_documents(ops: Connection, index: str, empty: bool = False) -> Frame:
    """Documents that an index lacks, or has though their row is gone or not to be found any more.

    Columns: DOCUMENTS. A row that changed less than `settle_minutes` ago may be on its way.
    `empty`: an index that is not there lacks all. Raises NotFound, OpsError: too many to compare.
    """
    facts = described(ops, index)
    # The rows first: what is indexed meanwhile is there when it is looked for.
    wanted = set(_ids(ops, facts))
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
    return "" if held else LATE if late else COMING


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
        found += [each["_id"] for each in hits]
        _few(found, "documents")
        asked = {"scroll": "2m", "scroll_id": page["_scroll_id"]}
        page = domains.ask(ops, "GET", "/_search/scroll", asked)
    return found


def _few(ids: list[str], what: str) -> list[str]:
    if len(ids) >= _MOST:
        raise OpsError(f"Over {_MOST:,} {what}: their ids are not compared; compare the counts.")
    return ids
