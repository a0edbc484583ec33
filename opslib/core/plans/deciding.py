"""Where a plan waits for a person: in an `await` cell, and only where one can be asked."""

from __future__ import annotations

from typing import NamedTuple

from opslib.core.connections.connection import Connection
from opslib.core.plans.plans import Plan


class Decided(NamedTuple):
    """What `apply` is given: the name of an approved plan, empty for a preview; what was typed."""

    approved: str = ""
    confirm: str = ""


async def decide(ops: Connection, plan: Plan, approved: str = "", confirm: str = "") -> Decided:
    """What the parameters say; where they approve nothing and somebody is there, what he types.

    Returns at once where nobody can be asked: with papermill, `opslib run`, under pytest.
    """
    if approved or not plan.steps or ops.asks is None:
        return Decided(approved, confirm)
    return Decided(*await ops.asks(ops, plan))
