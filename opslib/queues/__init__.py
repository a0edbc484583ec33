"""SQS queues and their dead letters."""

from opslib.queues.letters import Queue
from opslib.queues.moves import check_redrive, plan_purge, plan_redrive
from opslib.queues.queues import check_dead_letters, check_letters, check_queues, list_queues

__all__ = [
    "Queue",
    "check_dead_letters",
    "check_letters",
    "check_queues",
    "check_redrive",
    "list_queues",
    "plan_purge",
    "plan_redrive",
]
