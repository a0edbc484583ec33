"""Keys of a target's cache, found without stopping it: SCAN, never KEYS.

https://valkey.io/commands/scan/
"""

import time
from collections.abc import Sequence
from typing import Any

from opslib.core.connections import caches
from opslib.core.connections.connection import Connection
from opslib.core.errors import UsageError
from opslib.core.tables import batched

COUNT = 1_000  # keys that are looked at by one SCAN: about a millisecond of the server's time
MOST, MOST_SECONDS = 100_000, 60.0


def text(name: bytes) -> str:
    """A key as text, whatever its bytes are; `raw` goes back."""
    return name.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def find(ops: Connection, pattern: str, most: int = MOST) -> tuple[list[str], bool]:
    """Keys that fit a pattern of Redis, sorted; and whether these are all.

    It stops at `most` keys or after a minute. A key that comes or goes meanwhile may be among them.
    """
    if not pattern.strip():
        raise UsageError("A pattern of keys is needed: usage:*. Nothing was asked.")
    found: set[bytes] = set()
    end = time.monotonic() + MOST_SECONDS
    with caches.session(ops, f"SCAN MATCH {pattern}") as client:
        cursor: Any = 0
        while len(found) <= most and time.monotonic() < end:
            answer: Any = client.scan(cursor, match=raw(pattern), count=COUNT)
            cursor, some = answer
            found.update(some)
            if not int(cursor):
                return sorted(map(text, found))[:most], len(found) <= most
    return sorted(map(text, found))[:most], False


def values(ops: Connection, keys: Sequence[str]) -> dict[str, str | None]:
    """What these keys hold, None for what is no text or is not there; masked like every answer."""
    held: dict[str, str | None] = {}
    with caches.session(ops, f"MGET of {len(keys)} keys") as client:
        for some in batched(keys, COUNT):
            answers: Any = client.mget([raw(key) for key in some])
            told = (None if each is None else each.decode("utf-8", "replace") for each in answers)
            held |= dict(zip(some, told, strict=True))
    return held
