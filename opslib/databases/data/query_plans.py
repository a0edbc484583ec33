"""Plans of PostgreSQL (EXPLAIN): what a statement is and calls, its scans, what would serve.

A plan is asked for without running anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from opslib.core import Connection, Json, NotFound, OpsError, Refused, sessions, unknown_name
from opslib.core.connections.sql import list_tables

if TYPE_CHECKING:
    from sqlalchemy import Connection as Session
    from sqlalchemy.exc import DBAPIError

# What acts at once, outside of the transaction: read-only does not hold it back, nor a rollback.
_ACTS = re.compile(
    r"""\b(
        pg_(?:cancel|terminate)_backend | pg_reload_conf | pg_rotate_logfile\w*
      | pg_log_backend_memory_contexts
      | pg_stat_reset\w* | pg_stat_statements_reset
      | pg_stat_clear_snapshot | pg_stat_force_next_flush
      | pg_switch_wal | pg_create_\w+ | pg_drop_\w+ | pg_copy_\w*slot
      | pg_replication_\w+ | pg_logical_\w+
      | pg_promote | pg_backup_st\w+ | pg_wal_replay_\w+
      | pg_sync_replication_slots | pg_(?:try_)?advisory_\w+
      | pg_export_snapshot | pg_notify | pg_file_\w+ | lo_\w+ | dblink\w* | set_config
      | ts_stat | ts_rewrite | (?:query|cursor)_to_xml\w*
      | aws_(?:lambda|s3|commons)\s*\.\s*"?\w+
    )"?\s*\(""",
    re.I | re.X,
)
_QUOTED = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*\""""
)  # a plan writes literals and names in one way
_WORDS = re.compile(_ACTS.pattern.removesuffix('"?\\s*\\('), re.I | re.X)
_SAYS_LESS = re.compile(r"^(Limit|Values Scan)$", re.M)


def explain(session: Session, statement: str) -> Json:
    """The plan of a statement."""
    answer = sessions.run(session, f"EXPLAIN (VERBOSE, FORMAT JSON) {statement}").scalar_one()
    plan, *_ = answer  # of REFRESH and its like no plan, a text; of rules more than one
    return plan["Plan"] if isinstance(plan, dict) else {"Node Type": plan}


def unknown_table(ops: Connection, exc: NotFound) -> OpsError:
    """The same of a statement that somebody wrote: a slip, with the tables that it is near to."""
    named = re.search(r'relation "([^"]+)" does not exist', str(exc))
    if not named:
        return exc
    return unknown_name(
        "table", named[1], list_tables(ops), f" in the database of {ops.target.key}"
    )


def attempt_generic(session: Session, statement: str) -> Json | DBAPIError:
    """`attempt` of one whose values are $1 and so on, planned for any of them.

    As EXPLAIN (GENERIC_PLAN) of PostgreSQL 16 does; the session has plan_cache_mode so.
    """
    from sqlalchemy.exc import DBAPIError

    values = ", ".join(["NULL"] * max([0, *map(int, re.findall(r"\$(\d+)", statement))]))
    made = attempt(session, f"PREPARE opslib_plan AS {statement}", sessions.run)
    if isinstance(made, DBAPIError):
        return made
    plan = attempt(session, f"EXECUTE opslib_plan{values and f'({values})'}")
    sessions.run(session, "DEALLOCATE opslib_plan")
    return plan


def attempt(
    session: Session, statement: str, do: Callable[[Session, str], Any] = explain
) -> Any | DBAPIError:
    """Its plan, or what the database says against it; the session goes on."""
    from sqlalchemy.exc import DBAPIError

    try:
        with session.begin_nested():
            return do(session, statement)
    except DBAPIError as exc:
        if exc.connection_invalidated:
            raise
        return exc


def explain_harmless(session: Session, statement: str, otherwise: str) -> Json:
    """The plan of a statement. Raises Refused when a function in it is known to act at once.

    A list of words holds less than a login without privileges does (`reader_secret`): it is for
    where there is none. A plan names every function, but those of a LIMIT and of a list of VALUES:
    with one of these each word of the statement counts, and no name may be escaped (U&).

    A function that the role may not call is named by the error.
    """
    plan = attempt(session, statement)
    if isinstance(plan, dict):
        said = _said(plan)
        if _SAYS_LESS.search(said) and (hit := _WORDS.search(statement)):
            said += f"\n{hit[1]}("
        if _SAYS_LESS.search(said) and re.search(r"\bU&", statement, re.I):
            raise Refused(f"A name escaped with U& hides what is called, {otherwise}")
    else:
        said = f"{plan.orig}("
    if hit := _ACTS.search(said):
        name = hit[1].replace('"', "")
        raise Refused(f"{name}() acts at once, {otherwise}")
    if not isinstance(plan, dict):
        raise plan
    return plan


def _said(part: Any) -> str:
    """Every text in a plan, a line each, without what is in quotes."""
    parts = list(part.values()) if isinstance(part, dict) else part
    if isinstance(parts, list):
        return "\n".join(map(_said, parts))
    return _QUOTED.sub("", str(parts))


class Table(NamedTuple):
    """A table as the catalogue knows it: estimated rows, size, columns."""

    name: str
    rows: float
    megabytes: float
    columns: Sequence[str]


@dataclass(frozen=True)
class Scan:
    """A scan of a whole table, or of a whole index in its order, of which a filter drops rows."""

    table: str
    alias: str
    filter: str
    rows: float  # that pass the filter, as the planner estimates
    index: str  # the index that it goes along; empty: the table as it lies
    order: tuple[str, ...]  # the order that is made of it afterwards: "at DESC"

    def __str__(self) -> str:
        along = f"along {self.index}" if self.index else "from end to end"
        return f"{self.table} {along}, filter {self.filter.replace(f'{self.alias}.', '')}"

    def columns(self, table: Table, order: Sequence[str]) -> tuple[str, ...]:
        """The columns of an index that would find these rows: first those compared with =."""
        compared = self._compared(table)
        equal = tuple(dict.fromkeys(name for name, sign in compared if sign == "="))
        ranges = tuple(name for name, _ in compared if name not in equal)[:1]
        ordered = tuple(part for part in order if part.split()[0] not in equal)
        return equal + (ranges or ordered) if compared else ()

    def _compared(self, table: Table) -> list[tuple[str, str]]:
        """(column, sign) of each comparison of a plain column, quoted where the plan quotes it."""
        name = rf'\b{re.escape(self.alias)}\.("?\w+"?)'
        cast = rf"((?<!\w)\()?{name}(?(1)\)::[\w ]+?)\s(=|<=|>=|<|>)\s"
        found = [(column, sign) for _, column, sign in re.findall(cast, self.filter)]
        found += [(column, "=") for column in re.findall(rf"=\s{name}", self.filter)]
        return [(column, sign) for column, sign in found if column.strip('"') in table.columns]


def nodes(plan: Json, order: tuple[str, ...] = ()) -> Iterator[tuple[Json, tuple[str, ...]]]:
    """Every node of a plan, with the order that the nearest sort above it makes."""
    order = tuple(plan["Sort Key"]) if "Sort Key" in plan else order
    yield plan, order
    for part in plan.get("Plans", ()):
        yield from nodes(part, order)


def scans(plan: Json) -> list[Scan]:
    """The scans without a condition for an index, but with a filter."""
    return [
        Scan(
            _table(node),
            node["Alias"],
            node["Filter"],
            float(node["Plan Rows"]),
            node.get("Index Name", ""),
            tuple(key.replace(f"{node['Alias']}.", "") for key in order),
        )
        for node, order in nodes(plan)
        if node["Node Type"] in ("Seq Scan", "Index Scan", "Index Only Scan")
        and "Filter" in node
        and "Index Cond" not in node
    ]


def _table(node: Json) -> str:
    return f"{node.get('Schema', 'public')}.{node['Relation Name']}"


def tables(plan: Json) -> set[str]:
    """The tables that a plan reads, with their schema."""
    return {_table(node) for node, _ in nodes(plan) if "Relation Name" in node}


def brief(plan: Json) -> str:
    """How the tables are read, in one line."""
    parts = []
    for node, _ in nodes(plan):
        if "Relation Name" in node:
            index = f" by {node['Index Name']}" if "Index Name" in node else ""
            parts.append(f"{node['Node Type']} on {node['Relation Name']}{index}")
    return "; ".join(dict.fromkeys(parts)) or str(plan["Node Type"])
