"""Statements of an estate's statements.sql, asked by its app; and many rows at once."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from opslib.lab.places import Place
from opslib.lab.resources.databases import rds


def asked(
    place: Place, name: str, given: Sequence[Any] = (), application: str = ""
) -> list[dict[str, Any]]:
    """The rows, on a connection of the app's own."""
    with rds.connect(place, application) as database:
        return of(place, database, name, given)


def of(
    place: Place, database: psycopg.Connection[Any], name: str, given: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """The rows, on a connection that is open; none of a statement that answers none."""
    text: str = place.memory["statements"][name]
    cursor = database.cursor(row_factory=dict_row).execute(text.encode(), list(given))
    rows: list[dict[str, Any]] = cursor.fetchall() if cursor.description else []
    return rows


def copy(database: psycopg.Connection[Any], table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Many rows into a table, named with its columns where they are not all given."""
    with database.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as writer:
        for row in rows:
            writer.write_row(row)
