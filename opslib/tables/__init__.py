"""DynamoDB tables: throttles and why, backups, a restore and what it lacks, items of one."""

from opslib.tables.backups import (
    check_backups,
    check_restored,
    list_backups,
    plan_backup,
    plan_restore,
)
from opslib.tables.items import Partition, check_endings, copies_of, find_partition, left_of
from opslib.tables.throttles import check_throttles

__all__ = [
    "Partition",
    "check_backups",
    "check_endings",
    "check_restored",
    "check_throttles",
    "copies_of",
    "find_partition",
    "left_of",
    "list_backups",
    "plan_backup",
    "plan_restore",
]
