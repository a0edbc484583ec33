"""SQS queues and their dead letters."""

from opslib.queues.moves import check_redrive, plan_purge, plan_redrive
from opslib.queues.queues import check_dead_letters, check_letters, check_queues, list_queues

__all__ = [
    "check_dead_letters",
    "check_letters",
    "check_queues",
    "check_redrive",
    "list_queues",
    "plan_purge",
    "plan_redrive",
]
