"""What the system costs, day by day and service by service, as Cost Explorer has it."""

from opslib.costs.spending import check_costs, list_costs

__all__ = ["check_costs", "list_costs"]
