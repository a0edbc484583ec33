"""Buckets of S3: how they are set, and the objects that no row names."""

from opslib.buckets.orphans import check_orphans, plan_delete, sample_orphans
from opslib.buckets.settings import check_bucket, plan_create

__all__ = [
    "check_bucket",
    "check_orphans",
    "plan_create",
    "plan_delete",
    "sample_orphans",
]
