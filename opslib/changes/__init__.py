"""Changes: what is different and by whom; taken back, gone on with, approved by a second person."""

from opslib.changes.approving import approve, show_plan
from opslib.changes.differences import check_configuration
from opslib.changes.named import check_named, list_names, not_read
from opslib.changes.recent import check_recent
from opslib.changes.resources import is_described, read_resources
from opslib.changes.trail.reconciling import reconcile
from opslib.changes.trail.suspicions import check_suspicion, check_trail
from opslib.changes.trail.trails import look_up
from opslib.changes.trail.who import check_timeline, read_trail
from opslib.changes.undoing import CHANGES, list_changes, plan_resume, plan_undo
from opslib.changes.windows import check_window

__all__ = [
    "CHANGES",
    "approve",
    "check_configuration",
    "check_named",
    "check_recent",
    "check_suspicion",
    "check_timeline",
    "check_trail",
    "check_window",
    "is_described",
    "list_changes",
    "list_names",
    "look_up",
    "not_read",
    "plan_resume",
    "plan_undo",
    "read_resources",
    "read_trail",
    "reconcile",
    "show_plan",
]
