"""ECS services: what runs, why tasks stopped, their targets, who answers 5xx, what is slow.

Their revisions, size and count changed.
"""

from opslib.services.balancers import check_answers
from opslib.services.counts import check_scaling, plan_scale
from opslib.services.latencies import check_latency
from opslib.services.measures import began_with
from opslib.services.reading import list_revisions
from opslib.services.revisions import plan_rollback, plan_size
from opslib.services.states import check_services, check_targets, check_tasks

__all__ = [
    "began_with",
    "check_answers",
    "check_latency",
    "check_scaling",
    "check_services",
    "check_targets",
    "check_tasks",
    "list_revisions",
    "plan_rollback",
    "plan_scale",
    "plan_size",
]
