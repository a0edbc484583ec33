"""Buckets of S3: how they are set, what was in them when, and the objects that no row names."""

from opslib.buckets.erasures import check_erased, check_erasure, plan_erasure
from opslib.buckets.orphans import check_orphans, plan_delete, sample_orphans
from opslib.buckets.restores import check_back, check_past, plan_past
from opslib.buckets.settings import check_bucket, plan_create

__all__ = [
    "check_back",
    "check_bucket",
    "check_erased",
    "check_erasure",
    "check_orphans",
    "check_past",
    "plan_create",
    "plan_delete",
    "plan_erasure",
    "plan_past",
    "sample_orphans",
]
