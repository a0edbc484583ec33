"""Caches: Redis and Valkey. How they are, their keys, who is throttled, what is not in the
database yet.
"""

from opslib.caches.clearing import plan_clear
from opslib.caches.health import check_cache, check_clients, check_slow
from opslib.caches.keys import check_keys, check_stored, find_keys
from opslib.caches.syncing import plan_sync
from opslib.caches.throttles import check_throttled, list_throttled, plan_lift, plan_throttle

__all__ = [
    "check_cache",
    "check_clients",
    "check_keys",
    "check_slow",
    "check_stored",
    "check_throttled",
    "find_keys",
    "list_throttled",
    "plan_clear",
    "plan_lift",
    "plan_sync",
    "plan_throttle",
]
