"""Buckets of S3: how they are set, what was in them when, and the objects that no row names."""

from opslib.buckets.copies import check_copied, check_copies, list_behind, plan_copies
from opslib.buckets.erasures import check_erased, check_erasure, plan_erasure
from opslib.buckets.orphans import check_named, check_orphans, plan_delete, sample_orphans
from opslib.buckets.restores import check_back, check_past, plan_past
from opslib.buckets.settings import check_bucket, plan_create
from opslib.buckets.uploads import check_cors, check_room, check_uploads, check_written

__all__ = [
    "check_back",
    "check_bucket",
    "check_copied",
    "check_copies",
    "check_cors",
    "check_erased",
    "check_erasure",
    "check_named",
    "check_orphans",
    "check_past",
    "check_room",
    "check_uploads",
    "check_written",
    "list_behind",
    "plan_copies",
    "plan_create",
    "plan_delete",
    "plan_erasure",
    "plan_past",
    "sample_orphans",
]
