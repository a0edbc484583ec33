"""CloudWatch Logs: lines, errors by pattern and kind, what was throttled, Logs Insights."""

from opslib.core.reads.logs import query, search
from opslib.logs.following import check_following, watch
from opslib.logs.needs import check_needs
from opslib.logs.requests import check_requests
from opslib.logs.searches import check_errors, check_lines, check_query
from opslib.logs.throttles import check_concurrency, check_throttling
from opslib.logs.troubles import check_kinds, show_patterns

__all__ = [
    "check_concurrency",
    "check_errors",
    "check_following",
    "check_kinds",
    "check_lines",
    "check_needs",
    "check_query",
    "check_requests",
    "check_throttling",
    "query",
    "search",
    "show_patterns",
    "watch",
]
