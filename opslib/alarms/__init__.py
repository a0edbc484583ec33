"""CloudWatch alarms: their state, whom they reach, and silences that end by themselves."""

from opslib.alarms.reach import check_reach
from opslib.alarms.silences import check_silences, plan_silence
from opslib.alarms.states import check_alarms, list_alarms, list_states

__all__ = [
    "check_alarms",
    "check_reach",
    "check_silences",
    "list_alarms",
    "list_states",
    "plan_silence",
]
