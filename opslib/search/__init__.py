"""The search domain: how it is, what is missing in its indices, and how they get it back."""

from opslib.search.domain import (
    check_cluster,
    check_domain,
    check_searches,
    check_writes,
    metric_keys,
)
from opslib.search.indices import check_indices, find_documents
from opslib.search.reindexing import plan_reindex
from opslib.search.snapshots import (
    check_restored,
    check_snapshots,
    find_snapshots,
    name_of_restored,
    plan_restore,
)

__all__ = [
    "check_cluster",
    "check_domain",
    "check_indices",
    "check_restored",
    "check_searches",
    "check_snapshots",
    "check_writes",
    "find_documents",
    "find_snapshots",
    "metric_keys",
    "name_of_restored",
    "plan_reindex",
    "plan_restore",
]
