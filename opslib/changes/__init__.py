"""Changes that were made, taken back or gone on with; and plans that somebody else approves."""

from opslib.changes.approving import approve, show_plan
from opslib.changes.undoing import CHANGES, list_changes, plan_resume, plan_undo

__all__ = ["CHANGES", "approve", "list_changes", "plan_resume", "plan_undo", "show_plan"]
