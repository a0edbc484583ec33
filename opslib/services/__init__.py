"""ECS services: what runs, why tasks stopped, their targets; revisions, size and count changed."""

from opslib.services.consumers import CONSUMERS, list_consumers, steps_anew
from opslib.services.counts import check_scaling, plan_scale
from opslib.services.reading import list_revisions
from opslib.services.revisions import plan_rollback, plan_size
from opslib.services.states import check_services, check_targets, check_tasks

__all__ = [
    "CONSUMERS",
    "check_scaling",
    "check_services",
    "check_targets",
    "check_tasks",
    "list_consumers",
    "list_revisions",
    "plan_rollback",
    "plan_scale",
    "plan_size",
    "steps_anew",
]
