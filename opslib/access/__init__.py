"""Who may get in: IAM users' access keys and passwords, and the roles of what runs."""

from opslib.access.keys import check_keys
from opslib.access.roles import check_roles

__all__ = [
    "check_keys",
    "check_roles",
]
