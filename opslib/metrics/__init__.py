"""CloudWatch metrics: the key ones, dashboards, custom ones."""

from opslib.core.reads.metrics import read
from opslib.metrics.custom import check_metric, check_published, plan_publish
from opslib.metrics.dashboards import check_dashboard
from opslib.metrics.expectations import check_levels, check_limits, check_silence
from opslib.metrics.keys import check_metrics
from opslib.metrics.troubles import check_troubles

__all__ = [
    "check_dashboard",
    "check_levels",
    "check_limits",
    "check_metric",
    "check_metrics",
    "check_published",
    "check_silence",
    "check_troubles",
    "plan_publish",
    "read",
]
