"""Progress of long work, as a few lines: readable in a terminal, a record and a log file alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_QUIET_SECONDS, _WAITING_SECONDS = 3.0, 10.0


def counted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items.

    Once it takes longer than three seconds, a line about every three seconds says how many so far.
    """
    spoke = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        if time.monotonic() - spoke > _QUIET_SECONDS:
            spoke = time.monotonic()
            print(f"{what}: {count:,}{f' of {total:,}' if total else ''} so far", flush=True)


def poll(
    read: Callable[[], T],
    ended: Callable[[T], bool],
    timeout_seconds: float,
    told: Callable[[T], str] = lambda value: "",
    pause_seconds: float = 0.25,
) -> tuple[T, float]:
    """Read until it has ended, or time is up: the last value, and how many seconds it took.

    Pauses grow to five seconds. `told`: what a line every ten seconds says of it; nothing when
    empty.
    """
    started = spoke = time.monotonic()
    while True:
        value = read()
        waited = time.monotonic() - started
        if ended(value) or waited > timeout_seconds:
            return value, waited
        if time.monotonic() - spoke > _WAITING_SECONDS and (text := told(value)):
            spoke = time.monotonic()
            print(f"waiting: {text} ({waited:.0f} s)", flush=True)
        time.sleep(min(pause_seconds, max(0.0, timeout_seconds - waited)))
        pause_seconds = min(pause_seconds * 1.5, 5.0)
