"""A first target's file from what is in an account."""

from opslib.discovery.discovering import discover, written

__all__ = ["discover", "written"]
