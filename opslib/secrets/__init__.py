"""Secrets: how old they are, who runs with which value, and another value for one of them."""

from opslib.secrets.ages import check_ages, read_age
from opslib.secrets.rotations import plan_rotate, require_key, steps_told
from opslib.secrets.taken import STALE, check_serving, check_taken, list_functions
from opslib.secrets.tokens import check_tokens

__all__ = [
    "STALE",
    "check_ages",
    "check_serving",
    "check_taken",
    "check_tokens",
    "list_functions",
    "plan_rotate",
    "read_age",
    "require_key",
    "steps_told",
]
