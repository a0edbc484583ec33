"""Statements of upkeep, which PostgreSQL takes in no transaction."""

from typing import Any

from opslib.core.actions.actions import action
from opslib.core.connections import sessions, sql
from opslib.core.connections.connection import Connection


@action("upkeep", "SQL: {statement}")
def Upkeep(ops: Connection, statement: str, timeout_seconds: int) -> Any:
    """VACUUM, ANALYZE or REINDEX CONCURRENTLY, which may take long and is waited for."""
    with sessions.session(ops, sql.brief(statement), write=True) as session:
        alone = session.execution_options(isolation_level="AUTOCOMMIT")
        sessions.run(alone, f"SET statement_timeout = '{timeout_seconds}s'")
        sessions.run(alone, "SET lock_timeout = 0")  # it holds nobody up while it waits
        with sql.deciding(statement):
            sessions.run(alone, statement)
    return {}
