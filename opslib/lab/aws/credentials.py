"""The lab's users and their keys.

The keys have a shape that AWS never gives out, so they are valid nowhere else.
"""

import hashlib
from functools import cache

from opslib.core import unknown_name

USERS = ("operator", "reviewer")


@cache
def credentials(account: str, user: str) -> tuple[str, str]:
    """(access key id, secret access key) of a user in an account: always the same."""
    if user not in USERS:
        raise unknown_name("lab user", user, USERS, " (OPSLIB_LAB_USER)")
    digest = hashlib.sha256(f"opslib lab {account} {user}".encode()).hexdigest().upper()
    return f"LABKEY{digest[:14]}", f"lab-secret-{digest[14:43]}"
