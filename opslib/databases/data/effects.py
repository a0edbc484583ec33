"""What a statement would do: asked of the database, which does it in a transaction and rolls back.

No text is read here. What the statement is says its plan; which rows it meets, RETURNING; what
follows (cascades, triggers), the server's own counts of this transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opslib.core import Connection, Json, NotFound, Refused, UsageError, identifier, sessions, sql
from opslib.databases.data import query_plans

if TYPE_CHECKING:
    from sqlalchemy import Connection as Session

FORMS = "One UPDATE or DELETE with a WHERE, or one INSERT"
_PLANNED = f"{FORMS} is planned here. Reads: procedure databases/query."
_NOT_CHECKED = "outside of the transaction that is checked. Nothing was changed."
_DEPTH = 5  # of cascades whose rows are hashed; deeper ones are counted
_END = re.compile(r"(?:;\s*(?:--[^\n']*)?)+\s*\Z")  # with a comment behind it, as editors keep them
_BITS = {"Insert": 4, "Delete": 8, "Update": 16}  # pg_trigger.tgtype
_CALLS_OUT = re.compile(
    r"\b(dblink\w*|http_\w+|aws_(?:lambda|s3)\s*\.\s*\w+|net\s*\.\s*http_\w+|lo_export|pg_file_\w+"
    r"|pg_(?:terminate|cancel)_backend)\s*\(|\bcopy\b[^;]*\bprogram\b",
    re.I,
)


@dataclass(frozen=True)
class Effect:
    """A statement as the database understands it.

    `key`: columns that tell its rows apart; none where the table has no unique index. `cascades`:
    (table, its columns, table above, the columns there) of each chain that a DELETE follows.
    """

    text: str
    verb: str  # Insert, Update, Delete
    schema: str
    table: str
    alias: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    simple: bool  # not partitioned
    estimate: int  # rows, as the planner thinks
    cascades: tuple[tuple[int, str, tuple[str, ...], tuple[str, ...]], ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def plain(self) -> str:
        """As the server's counts name its table."""
        return f"{self.schema}.{self.table}"

    @property
    def name(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.table)}"

    def _changed(self) -> str:
        alias = identifier(self.alias)
        return (
            f"WITH changed AS (\n{self.text}\n"
            f"RETURNING ({alias}.*)::{self.name} AS r, {alias}.tableoid AS part)"
        )

    def _before(self) -> str:
        """The rows as they were: a query does not see what its own WITH changes."""
        if not self.key:
            return "before AS (SELECT r FROM changed)"
        same = [f"o.{identifier(k)} = (c.r).{identifier(k)}" for k in self.key]
        same += ["o.tableoid = c.part"] * self.simple
        return (
            f"before AS (SELECT (o.*)::{self.name} AS r FROM {self.name} o "
            f"JOIN changed c ON {' AND '.join(same)})"
        )

    def measured(self, columns: Sequence[str], parts: bool = False) -> str:
        """One statement that does it and answers a JSON of what it met.

        `columns`: those of the rows that it makes which are the same each time. `parts`: with a
        digest of each column of them.
        """
        made = [self._changed()]
        said = {"rows": "(SELECT count(*) FROM changed)"}
        if self.verb != "Delete":
            kept = ", ".join(f"(r).{identifier(c)}" for c in columns)
            said["after"] = _digest("changed", f"ROW({kept})::text")
            if parts:
                each = ", ".join(
                    _digest("changed", f"(r).{identifier(c)}::text") for c in self.columns
                )
                said["parts"] = f"ARRAY[{each}]::text[]"
        if self.verb != "Insert":
            made.append(self._before())
            said["met"] = "(SELECT count(*) FROM before)"
            said["before"] = _digest("before", "r::text")
        elif self.key and not parts:
            named = ", ".join(f"'k{at}', (r).{identifier(k)}" for at, k in enumerate(self.key))
            said["made"] = f"(SELECT json_agg(json_build_object({named})) FROM changed)"
        for number, (above, table, own, there) in enumerate(self.cascades, 1):
            mine = ", ".join(f"o.{identifier(c)}" for c in own)
            theirs = ", ".join(f"(p.r).{identifier(c)}" for c in there)
            source = f"follow{above}" if above else "before"
            made.append(
                f"follow{number} AS (SELECT (o.*)::{table} AS r FROM {table} o "
                f"WHERE ({mine}) IN (SELECT {theirs} FROM {source} p))"
            )
            said[f"follow{number}"] = _digest(f"follow{number}", "r::text")
        pairs = ", ".join(f"'{key}', {value}" for key, value in said.items())
        return ",\n".join(made) + f"\nSELECT json_build_object({pairs})"

    def taken_back(self, ops: Connection) -> str:
        """The statement that deletes one row that this one made, by its key (:k0, :k1): only while
        nothing that would go or lose its reference with it refers to it.
        """
        below = of(ops, f"DELETE FROM {self.name} WHERE false").cascades
        free = [
            f"NOT EXISTS (SELECT FROM {table} o WHERE "
            + " AND ".join(
                f"o.{identifier(a)} = t.{identifier(b)}" for a, b in zip(own, there, strict=True)
            )
            + ")"
            for above, table, own, there in below
            if not above
        ]
        same = [f"t.{identifier(k)} = :k{at}" for at, k in enumerate(self.key)]
        return f"DELETE FROM {self.name} t WHERE {' AND '.join([*same, *free])}"

    def sampled(self, limit: int) -> str:
        """One statement that does it and answers the first rows: as they were, or as added."""
        parts, source = [self._changed()], "changed"
        if self.verb != "Insert":
            parts, source = [*parts, self._before()], "before"
        count = '(SELECT count(*) FROM changed) AS "rows met"'
        return ",\n".join(parts) + f"\nSELECT {count}, (r).* FROM {source} LIMIT {int(limit)}"


def _digest(source: str, text: str) -> str:
    row = f"md5(coalesce({text}, ''))"
    return f"(SELECT md5(coalesce(string_agg({row}, '' ORDER BY {row}), '')) FROM {source})"


def of(ops: Connection, statement: str) -> Effect:
    """The statement as the database understands it; nothing is done, nothing locked.

    Raises UsageError (not one change of rows), Refused (what it does could not be rolled back).
    """
    text = _END.sub("", statement).strip()
    try:
        return _of(ops, text)
    except UsageError as exc:
        said = str(exc)
        raise exc if FORMS in said else UsageError(f"{said.rstrip('.')}. {_PLANNED}") from exc
    except NotFound as exc:
        raise query_plans.unknown_table(ops, exc) from exc


def _of(ops: Connection, text: str) -> Effect:
    with sessions.session(ops, f"EXPLAIN {sql.brief(text)}", own=True) as session:
        plan = query_plans.explain_harmless(session, text, _NOT_CHECKED)
        _guard(session, plan, text)
        schema, table = plan["Schema"], plan["Relation Name"]
        facts = sessions.run(session, _TABLE_SQL, {"schema": schema, "table": table}).one()
        if facts.relkind not in ("r", "p"):
            raise UsageError(
                f"{schema}.{table} is no table of this database (a view or a foreign table): what "
                "is changed behind it cannot be seen. Name the table itself."
            )
        chains = tuple(_cascades(session, facts.oid)) if plan["Operation"] == "Delete" else ()
        notes = _triggers(session, facts.oid, plan["Operation"], [oid for oid, *_ in chains])
    if plan["Operation"] == "Update" and not facts.key:
        raise Refused(
            f"{schema}.{table} has no unique key, so the rows that an UPDATE meets cannot be told "
            "from those it leaves. Nothing was changed; it needs a primary key."
        )
    return Effect(
        text,
        plan["Operation"],
        schema,
        table,
        plan["Alias"],
        tuple(facts.columns),
        tuple(facts.key or ()),
        facts.relkind == "r",
        int(max(node["Plan Rows"] for node in (plan, *plan["Plans"][:1]))),
        tuple(chain for _, *chain in chains),  # type: ignore[misc]
        tuple(notes),
    )


def _guard(session: Session, plan: Json, text: str) -> None:
    nodes = [node for node, _ in query_plans.nodes(plan) if node["Node Type"] == "ModifyTable"]
    if nodes != [plan] or plan["Operation"] not in _BITS:
        merge = "MERGE does several things to rows that cannot be told apart. "
        several = "It changes more than one table by itself. " if len(nodes) > 1 else ""
        why = merge if plan.get("Operation") == "Merge" else several
        raise UsageError(f"{why}{_PLANNED}")
    if "Output" in plan:
        raise UsageError("Leave RETURNING out: what is answered would be lost.")
    if "Conflict Resolution" in plan:
        raise UsageError("With ON CONFLICT its rows cannot be told beforehand: write an UPDATE.")
    if plan["Operation"] != "Insert":
        said = query_plans.attempt(session, f"{text}\nWHERE true")
        if isinstance(said, dict):  # there was room for a WHERE
            raise UsageError(f"A WHERE is required: without one every row is changed. {FORMS}.")
    part = f"{identifier(plan['Alias'])}.tableoid"  # a view has none
    said = query_plans.attempt(session, f"WITH changed AS (\n{text}\nRETURNING {part})\nSELECT 1")
    if not isinstance(said, dict):
        raise UsageError(
            f"What it changes cannot be told beforehand: {str(said.orig).splitlines()[0]}. "
            "Write it without a comment or semicolon after its end, for a table without rules (not "
            f"a view: {plan['Schema']}.{plan['Relation Name']} is behind it)."
        )


_TABLE_SQL = """
SELECT c.oid::int8 AS oid, c.relkind::text AS relkind,
       ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0
             AND NOT attisdropped ORDER BY attnum) AS columns,
       (SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum = ANY(k.own))
        FROM (SELECT i.*, i.indkey[0:i.indnkeyatts - 1] AS own FROM pg_index i) k
        WHERE k.indrelid = c.oid AND k.indisunique AND k.indimmediate AND k.indisvalid
          AND k.indpred IS NULL AND k.indexprs IS NULL
          AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
                          AND a.attnum = ANY(k.own) AND NOT a.attnotnull)
        ORDER BY k.indisprimary DESC, k.indexrelid LIMIT 1) AS key
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table
"""


def _cascades(session: Session, oid: int) -> Iterator[tuple[Any, ...]]:
    """Each foreign key that a DELETE follows, by what it refers to; circles to a depth."""
    keys = sessions.run(session, _CASCADES_SQL).all()
    level, number = [(oid, 0)], 0
    for _ in range(_DEPTH):
        found = []
        for above, at in level:
            for key in (key for key in keys if key.confrelid == above):
                number += 1
                yield key.conrelid, at, key.child, tuple(key.own), tuple(key.there)
                if key.confdeltype == "c":
                    found.append((key.conrelid, number))
        level = found


_CASCADES_SQL = """
SELECT f.conrelid::int8 AS conrelid, f.confrelid::int8 AS confrelid, f.confdeltype::text,
       format('%I.%I', n.nspname, c.relname) AS child,
       ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k(n, at)
             JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.n ORDER BY at) AS own,
       ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY k(n, at)
             JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.n ORDER BY at)
             AS there
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n
  ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND f.confdeltype IN ('c', 'n', 'd')
ORDER BY f.oid
"""


def _triggers(session: Session, oid: int, verb: str, below: Sequence[int]) -> list[str]:
    """A sentence of the triggers that run. Raises Refused when one calls out of the database."""
    given = {"oid": oid, "bit": _BITS[verb], "below": list(below)}
    found = sessions.run(session, _TRIGGERS_SQL, given).all()
    for each in found:
        out = _CALLS_OUT.search(each.prosrc)
        if out or not (each.trusted or each.lanname in ("c", "internal")):
            what = f"{out[0].rstrip('(')}" if out else f"language {each.lanname}"
            raise Refused(
                f"Trigger {each.tgname} of {each.relname} calls out of the database "
                f"({what}): that cannot be rolled back, so it is not tried. Nothing was changed. "
                "Do it as whoever owns the trigger does."
            )
    if not found:
        return []
    named = ", ".join(f"{each.tgname} of {each.relname}" for each in found)
    return [
        f"Triggers run: {named}. What they change in tables is counted; what their functions call "
        "besides is not seen."
    ]


_TRIGGERS_SQL = """
SELECT t.tgname, t.tgrelid::regclass::text AS relname, p.prosrc, l.lanname,
       l.lanpltrusted AS trusted
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (
    (t.tgrelid IN (SELECT relid FROM pg_partition_tree(CAST(:oid AS oid)::regclass)
                   UNION SELECT CAST(:oid AS oid)::regclass) AND t.tgtype & :bit > 0)
    OR (t.tgrelid::int8 = ANY(CAST(:below AS int8[])) AND t.tgtype & 24 > 0))
ORDER BY 2, 1
"""
