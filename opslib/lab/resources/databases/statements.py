"""Statements of an estate's statements.sql, asked by its app; and many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from opslib.lab.places import Place
from opslib.lab.resources.databases import rds


def asked(
    place: Place, name: str, given: Sequence[Any] = (), application: str = "", **parts: Any
) -> list[dict[str, Any]]:
    """The rows, on a connection of the app's own. `parts`: what stands in the text, as `{table}`."""
    with rds.connect(place, application) as database:
        return of(place, database, name, given, **parts)


def of(
    place: Place, database: psycopg.Connection[Any], name: str, given: Sequence[Any] = (), **parts: Any
) -> list[dict[str, Any]]:
    """The rows, on a connection that is open; none of a statement that answers none."""
    text: str = place.memory["statements"][name]
    statement = text.format(**parts) if parts else text
    cursor = database.cursor(row_factory=dict_row).execute(statement.encode(), list(given))
    rows: list[dict[str, Any]] = cursor.fetchall() if cursor.description else []
    return rows


def copy(database: psycopg.Connection[Any], table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Many rows into a table, named with its columns where they are not all given."""
    with database.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as writer:
        for row in rows:
            writer.write_row(row)
