"""What the lab does in the background, waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait(found: Callable[[], Any], wanted: Any = "available") -> None:
    end = time.monotonic() + 20
    while (seen := found()) != wanted:
        assert time.monotonic() < end, f"still {seen}"
        time.sleep(0.05)
