"""Tests wait for what is true at last, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SECONDS = 400  # until something is said to hang


def until(true: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Wait for something that another process does."""
    wait(lambda: bool(true()), True, seconds)


def wait(found: Callable[[], Any], wanted: Any = "available", seconds: float = SECONDS) -> None:
    """Wait until something is as it should be; what it still is, is said."""
    end = time.monotonic() + seconds
    while (seen := found()) != wanted:
        assert time.monotonic() < end, f"still {seen}"
        time.sleep(0.05)
