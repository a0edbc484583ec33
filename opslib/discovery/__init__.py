"""A first target's file from what is in an account."""

from opslib.discovery.accounts import absent
from opslib.discovery.discovering import discover, written

__all__ = ["absent", "discover", "written"]
