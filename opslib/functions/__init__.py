"""Lambda functions: configuration, versions, invocations, latency, capacity."""

from opslib.functions.answers import check_answer, plan_invocation
from opslib.functions.capacities import (
    check_capacity,
    check_memory,
    plan_capacity,
    steps_stopped,
)
from opslib.functions.environments import check_variables, plan_environment
from opslib.functions.invocations import check_functions
from opslib.functions.latencies import check_latency
from opslib.functions.sources import check_sources, plan_triggers
from opslib.functions.trials import check_shares
from opslib.functions.updates import plan_update
from opslib.functions.versions import (
    check_alias,
    check_configuration,
    check_versions,
    list_versions,
    plan_rollback,
)

__all__ = [
    "check_alias",
    "check_answer",
    "check_capacity",
    "check_configuration",
    "check_functions",
    "check_latency",
    "check_memory",
    "check_shares",
    "check_sources",
    "check_variables",
    "check_versions",
    "list_versions",
    "plan_capacity",
    "plan_environment",
    "plan_invocation",
    "plan_rollback",
    "plan_triggers",
    "plan_update",
    "steps_stopped",
]
