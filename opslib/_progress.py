"""Progress of long work, as a few lines: readable in a terminal, a record and a log file alike."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_QUIET_SECONDS = 3.0


def counted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items; once it takes longer than three seconds, a line about every three seconds says how many so far."""
    spoke = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        if time.monotonic() - spoke > _QUIET_SECONDS:
            spoke = time.monotonic()
            print(f"{what}: {count:,}{f' of {total:,}' if total else ''} so far", flush=True)
