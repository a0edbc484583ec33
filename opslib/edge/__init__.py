"""What stands before the system: addresses that WAF turns away, and the load balancer's page for
everybody while the system is worked on.
"""

from opslib.edge.addresses import check_firewall, list_blocked, plan_block
from opslib.edge.modes import check_mode, is_on, plan_mode

__all__ = [
    "check_firewall",
    "check_mode",
    "is_on",
    "list_blocked",
    "plan_block",
    "plan_mode",
]
