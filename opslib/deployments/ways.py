"""Before a deployment: is there a way back?"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from opslib import databases, tables
from opslib.core import Connection, Findings
from opslib.deployments.terraform import check_changes


def check_ways_back(ops: Connection) -> Findings:
    """Can tables and database be brought back, and would the newest Terraform plan destroy?

    Of each only what the target's file describes.
    """
    facts = ops.target.facts
    planned = "plan" in facts.get("terraform", {})
    looks: list[Callable[[Connection], Findings]] = []
    looks += [tables.check_backups] if "tables" in facts else []
    looks += [databases.check_backups] if "database" in facts else []
    looks += [check_changes] if planned else []
    return Findings(chain.from_iterable(look(ops) for look in looks))
