"""ECS services: what runs, why tasks stopped, their targets, who answers 5xx, what is slow.

Their image, revision, size, count and scaling changed.
"""

from opslib.services.balancers import check_answers
from opslib.services.consumers import CONSUMERS, list_consumers, steps_anew
from opslib.services.counts import check_scaling, plan_scale, steps_running, steps_stopped
from opslib.services.images import check_image
from opslib.services.latencies import check_latency
from opslib.services.measures import balanced, began_with
from opslib.services.policies import check_policies, plan_target
from opslib.services.reading import list_revisions
from opslib.services.releases import (
    check_quiet,
    check_released,
    plan_deploy,
)
from opslib.services.revisions import plan_rollback, plan_size
from opslib.services.starting import check_startable, plan_restart, require_startable
from opslib.services.states import check_services, check_targets, check_tasks

__all__ = [
    "CONSUMERS",
    "balanced",
    "began_with",
    "check_answers",
    "check_image",
    "check_latency",
    "check_policies",
    "check_quiet",
    "check_released",
    "check_scaling",
    "check_services",
    "check_startable",
    "check_targets",
    "check_tasks",
    "list_consumers",
    "list_revisions",
    "plan_deploy",
    "plan_restart",
    "plan_rollback",
    "plan_scale",
    "plan_size",
    "plan_target",
    "require_startable",
    "steps_anew",
    "steps_running",
    "steps_stopped",
]
