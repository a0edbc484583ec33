"""The target's PostgreSQL: its health, its instances and their copies, its data, its migrations."""

from opslib.core.connections.sql import query
from opslib.core.reads.metrics import metric_keys
from opslib.databases.activity import check_activity
from opslib.databases.backends import check_ended, list_backends, plan_end
from opslib.databases.catalogue import check_catalogue
from opslib.databases.containers import check_runs
from opslib.databases.data.inserts import check_insert, check_inserted, plan_insert
from opslib.databases.data.queries import (
    check_expected,
    check_query,
    explain_query,
    find_query,
    judge_query,
    plot_query,
)
from opslib.databases.data.quotas import check_quotas, plot_quotas
from opslib.databases.data.rows import (
    check_statement,
    explain_statement,
    plan_statement,
    steps_for_statement,
)
from opslib.databases.data.soft_deletions import (
    check_deleted,
    check_rows,
    ids_of,
    plan_soft_delete,
    soft_delete_flag,
)
from opslib.databases.data.statements import check_statements
from opslib.databases.downgrades import check_taken_back, plan_migration_back
from opslib.databases.health import (
    check_connections,
    check_load,
    check_status,
    connection_limit,
)
from opslib.databases.instances.capacities import check_bounds, check_capacity, plan_capacity
from opslib.databases.instances.classes import check_class, check_size, list_load, plan_class
from opslib.databases.instances.conditions import check_conditions, entrance
from opslib.databases.instances.events import check_events
from opslib.databases.instances.rds import find_endpoint
from opslib.databases.instances.replicas import (
    check_replica,
    list_replicas,
    name_of_replica,
    plan_replica,
)
from opslib.databases.instances.restarts import check_restarted, plan_restart
from opslib.databases.instances.restores import check_restored, name_of_restored, plan_restore
from opslib.databases.instances.snapshots import (
    check_backups,
    find_latest,
    list_snapshots,
    plan_pruning,
    plan_snapshot,
)
from opslib.databases.instances.storages import (
    check_grown,
    check_storage,
    plan_storage,
    storage_wanted,
)
from opslib.databases.migrations import check_migrations, judge_schema, plan_migration
from opslib.databases.passwords import check_password, plan_password
from opslib.databases.syncs import ask_dry_run, check_sync, compare_sides, plan_sync
from opslib.databases.upkeep import check_upkeep, list_upkeep, plan_upkeep

__all__ = [
    "ask_dry_run",
    "check_activity",
    "check_backups",
    "check_bounds",
    "check_capacity",
    "check_catalogue",
    "check_class",
    "check_conditions",
    "check_connections",
    "check_deleted",
    "check_ended",
    "check_events",
    "check_expected",
    "check_grown",
    "check_insert",
    "check_inserted",
    "check_load",
    "check_migrations",
    "check_password",
    "check_query",
    "check_quotas",
    "check_replica",
    "check_restarted",
    "check_restored",
    "check_rows",
    "check_runs",
    "check_size",
    "check_statement",
    "check_statements",
    "check_status",
    "check_storage",
    "check_sync",
    "check_taken_back",
    "check_upkeep",
    "compare_sides",
    "connection_limit",
    "entrance",
    "explain_query",
    "explain_statement",
    "find_endpoint",
    "find_latest",
    "find_query",
    "ids_of",
    "judge_query",
    "judge_schema",
    "list_backends",
    "list_load",
    "list_replicas",
    "list_snapshots",
    "list_upkeep",
    "metric_keys",
    "name_of_replica",
    "name_of_restored",
    "plan_capacity",
    "plan_class",
    "plan_end",
    "plan_insert",
    "plan_migration",
    "plan_migration_back",
    "plan_password",
    "plan_pruning",
    "plan_replica",
    "plan_restart",
    "plan_restore",
    "plan_snapshot",
    "plan_soft_delete",
    "plan_statement",
    "plan_storage",
    "plan_sync",
    "plan_upkeep",
    "plot_query",
    "plot_quotas",
    "query",
    "soft_delete_flag",
    "steps_for_statement",
    "storage_wanted",
]
