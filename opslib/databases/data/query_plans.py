"""Plans of PostgreSQL (EXPLAIN, FORMAT JSON): which scans are in one, what each keeps, which index would serve it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_COMPARES = r"\s(=|<=|>=|<|>)\s"


@dataclass(frozen=True)
class Table:
    """A table as the catalogue knows it: estimated rows, size, columns."""

    name: str
    rows: float
    megabytes: float
    columns: frozenset[str]


@dataclass(frozen=True)
class Scan:
    """A scan of a whole table, or of a whole index in its order, that drops what the filter does not want."""

    table: str
    alias: str
    filter: str
    rows: float  # that pass the filter, as the planner estimates
    index: str  # the index that it goes along; empty: the table as it lies
    order: tuple[str, ...]  # the order that is made of it afterwards: "at DESC"

    def __str__(self) -> str:
        along = f"along {self.index}" if self.index else "from end to end"
        return f"{self.table} {along}, filter {self.plain_filter}"

    @property
    def plain_filter(self) -> str:
        return self.filter.replace(f"{self.alias}.", "")

    def columns(self, table: Table, order: Sequence[str]) -> tuple[str, ...]:
        """The columns of an index that would find these rows: compared with =, then one range, else the order."""
        compared = self._compared(table)
        equal = tuple(dict.fromkeys(name for name, sign in compared if sign == "="))
        ranges = tuple(
            dict.fromkeys(name for name, sign in compared if sign != "=" and name not in equal)
        )
        if not equal and not ranges:
            return ()
        return equal + (ranges[:1] or tuple(part for part in order if part.split()[0] not in equal))

    def _compared(self, table: Table) -> list[tuple[str, str]]:
        """(column, sign) of each comparison of a plain column, quoted where the plan quotes it."""
        name = rf'\b{re.escape(self.alias)}\.("?\w+"?)'
        found = [(hit[1], hit[2]) for hit in re.finditer(name + _COMPARES, self.filter)]
        found += [
            (hit[1], hit[2])
            for hit in re.finditer(rf"(?<!\w)\({name}\)::[\w ]+?{_COMPARES}", self.filter)
        ]
        found += [(hit[1], "=") for hit in re.finditer(rf"=\s{name}", self.filter)]
        return [(column, sign) for column, sign in found if column.strip('"') in table.columns]


def nodes(
    plan: Mapping[str, Any], order: tuple[str, ...] = ()
) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Every node of a plan, with the order that the nearest sort above it makes."""
    order = tuple(plan["Sort Key"]) if "Sort Key" in plan else order
    yield plan, order
    for part in plan.get("Plans", ()):
        yield from nodes(part, order)


def scans(plan: Mapping[str, Any]) -> list[Scan]:
    """The scans without a condition for an index, but with a filter."""
    return [
        Scan(
            f"{node.get('Schema', 'public')}.{node['Relation Name']}",
            node["Alias"],
            node["Filter"],
            float(node["Plan Rows"]),
            node.get("Index Name", ""),
            tuple(_unqualified(key, node["Alias"]) for key in order),
        )
        for node, order in nodes(plan)
        if node["Node Type"] in ("Seq Scan", "Index Scan", "Index Only Scan")
        and "Filter" in node
        and "Index Cond" not in node
    ]


def _unqualified(key: str, alias: str) -> str:
    return key.replace(f"{alias}.", "")


def tables(plan: Mapping[str, Any]) -> set[str]:
    """The tables that a plan reads, with their schema."""
    found = (node for node, _ in nodes(plan) if "Relation Name" in node)
    return {f"{node.get('Schema', 'public')}.{node['Relation Name']}" for node in found}


def brief(plan: Mapping[str, Any]) -> str:
    """How the tables are read, in one line."""
    parts = []
    for node, _ in nodes(plan):
        if "Relation Name" in node:
            index = f" by {node['Index Name']}" if "Index Name" in node else ""
            parts.append(f"{node['Node Type']} on {node['Relation Name']}{index}")
    return "; ".join(dict.fromkeys(parts)) or str(plan["Node Type"])
