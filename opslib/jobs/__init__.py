"""Jobs in the background: their rows, their worker, their pictures."""

from opslib.jobs.images import check_oversized, find_oversized, plan_resize
from opslib.jobs.jobs import (
    check_completed,
    check_jobs,
    check_stale,
    check_worker,
    find_errors,
    find_stale,
    plan_again,
)
from opslib.jobs.states import check_states

__all__ = [
    "check_completed",
    "check_jobs",
    "check_oversized",
    "check_stale",
    "check_states",
    "check_worker",
    "find_errors",
    "find_oversized",
    "find_stale",
    "plan_again",
    "plan_resize",
]
