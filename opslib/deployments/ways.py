"""Before a deployment: is there a way back?"""

from itertools import chain

from opslib import databases, tables
from opslib.core import Connection, Findings
from opslib.deployments.terraform import check_changes


def check_ways_back(ops: Connection) -> Findings:
    """Can tables and database be brought back, and would the newest Terraform plan destroy?

    Of each only what the target's file describes.
    """
    facts = ops.target.facts
    looks = {
        tables.check_backups: "tables" in facts,
        databases.check_backups: "database" in facts,
        check_changes: "plan" in facts.get("terraform", {}),
    }
    return Findings(chain.from_iterable(look(ops) for look, is_told in looks.items() if is_told))
