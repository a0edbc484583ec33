"""Statements of upkeep, which PostgreSQL takes in no transaction."""

from __future__ import annotations

from typing import Any

from opslib.core.actions.actions import Action
from opslib.core.connections import sessions, sql
from opslib.core.connections.connection import Connection


class Upkeep(Action, kind="upkeep"):
    """VACUUM, ANALYZE or REINDEX CONCURRENTLY, which may take long and is waited for."""

    def __init__(self, statement: str, timeout_seconds: int) -> None: ...

    def __str__(self) -> str:
        return f"SQL: {self['statement']}"

    def perform(self, ops: Connection) -> Any:
        statement = self["statement"]
        with sessions.session(ops, sql.brief(statement), write=True) as session:
            alone = session.execution_options(isolation_level="AUTOCOMMIT")
            sessions.run(alone, f"SET statement_timeout = '{self['timeout_seconds']}s'")
            sessions.run(alone, "SET lock_timeout = 0")  # it holds nobody up while it waits
            sessions.run(alone, statement)
        return {}
