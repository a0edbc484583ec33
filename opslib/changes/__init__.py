"""Changes that were made, taken back or gone on with."""

from opslib.changes.undoing import CHANGES, list_changes, plan_resume, plan_undo

__all__ = ["CHANGES", "list_changes", "plan_resume", "plan_undo"]
