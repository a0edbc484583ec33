"""DynamoDB tables: throttles and why, backups, a restore and what it does not bring."""

from opslib.tables.backups import (
    check_backups,
    check_restored,
    list_backups,
    plan_backup,
    plan_restore,
)
from opslib.tables.throttles import check_throttles

__all__ = [
    "check_backups",
    "check_restored",
    "check_throttles",
    "list_backups",
    "plan_backup",
    "plan_restore",
]
