"""Step Functions: executions, why they fail, and starting one again."""

from opslib.workflows.executions import check_executions
from opslib.workflows.items import check_item, check_objects, find_failed
from opslib.workflows.restarts import plan_restart

__all__ = ["check_executions", "check_item", "check_objects", "find_failed", "plan_restart"]
