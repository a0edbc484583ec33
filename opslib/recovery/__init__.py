"""Recoveries, each in phases with its clock: a database, a bucket, a region; and what is ready."""

from opslib.recovery.clock import check_clock, check_rehearsal
from opslib.recovery.databases import check_integrity, check_phase, plan_recovery
from opslib.recovery.points import check_bucket_points, check_point
from opslib.recovery.regions import check_elsewhere, check_region
from opslib.recovery.stores import check_name, check_returned, plan_bucket

__all__ = [
    "check_bucket_points",
    "check_clock",
    "check_elsewhere",
    "check_integrity",
    "check_name",
    "check_phase",
    "check_point",
    "check_region",
    "check_rehearsal",
    "check_returned",
    "plan_bucket",
    "plan_recovery",
]
