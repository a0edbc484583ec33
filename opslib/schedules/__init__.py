"""Schedules: reports that are made by themselves, and that nobody misses."""

from opslib.schedules.ledger import Busy
from opslib.schedules.running import Done, run_due
from opslib.schedules.schedules import Schedule, read
from opslib.schedules.standing import Standing, standings

__all__ = ["Busy", "Done", "Schedule", "Standing", "read", "run_due", "standings"]
