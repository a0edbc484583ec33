"""What is done to a cache: a command about one key; keys that are taken away, and brought back."""

import base64
from collections.abc import Sequence
from typing import Any

from opslib.core.actions.actions import action
from opslib.core.connections import caches, sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, UsageError
from opslib.core.reads.stores.caches import raw
from opslib.core.tables import Json
from opslib.core.text import count

# About one key each. Others (FLUSHALL, KEYS, EVAL, CONFIG) are none of ours.
READS, WRITES = ("GET", "EXISTS"), ("SET", "UNLINK")


@action("cache command", lambda do: " ".join((do["name"], do["key"], *do["arguments"])))
def Command(ops: Connection, name: str, key: str, arguments: Sequence[str] = ()) -> Any:
    """One command about one key; its answer as text."""
    if name not in READS + WRITES:
        raise UsageError(f"{name} is none of {', '.join(READS + WRITES)}.")
    with caches.session(ops, f"{name} {key}", name in WRITES) as client:
        answer: Any = client.execute_command(name, raw(key), *arguments)
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def _exist(keys: Sequence[str]) -> str:
    return f"EXISTS {count(len(keys), 'key')}"


@action("cache held", lambda do: _exist(do["keys"]))
def Held(ops: Connection, keys: Sequence[str]) -> Any:
    """How many of these keys are there."""
    with caches.session(ops, _exist(keys)) as client:
        return int(client.exists(*map(raw, keys)))


def _unlink(keys: Sequence[str], stored: str) -> str:
    only = ", but those that the database has not" if stored else ""
    return f"UNLINK {count(len(keys), 'key')}{only}"


@action("cache unlink", lambda do: _unlink(do["keys"], do["stored"]))
def Unlink(ops: Connection, keys: Sequence[str], keep: bool, stored: str = "") -> Json:
    """These keys are taken away, and no other.

    keep:    what they held stands in the answer, for `Restore`
    stored:  SQL that answers `key` and `value` of what the database has; a key that holds more, or
             is not among them, is left
    """
    has = read_stored(ops, stored) if stored else None
    done: Json = {"unlinked": 0, "left": [], "kept": []}
    try:
        with caches.session(ops, _unlink(keys, stored), write=True) as client:
            if not (keep or stored):
                return done | {"unlinked": int(client.unlink(*map(raw, keys)))}
            for key in keys:
                if _taken(client, key, done["kept"] if keep else None, has):
                    done["unlinked"] += 1
                else:
                    done["left"].append(key)
    except OpsError as exc:  # what went before it, or with it, comes back with the undo
        if not (done["unlinked"] or done["kept"]):
            raise
        raise OpsError(f"{exc} {done['unlinked']} keys were taken away before.", done) from exc
    return done


def _taken(
    client: Any, key: str, kept: list[list[Any]] | None, stored: dict[str, float] | None
) -> bool:
    """In one transaction. What it held is noted before it goes; False: it is left."""
    from redis import WatchError

    name = raw(key)
    with client.pipeline() as pipe:
        pipe.watch(name)
        if stored is not None and not is_stored(pipe.get(name), stored.get(key)):
            return False
        left_ms, dump = (pipe.pttl(name), pipe.dump(name)) if kept is not None else (0, None)
        if kept is not None and dump:
            kept.append([key, left_ms, base64.b64encode(dump).decode()])
        pipe.multi()
        pipe.unlink(name)
        try:
            pipe.execute()
        except WatchError:  # somebody wrote it at that moment
            if kept and kept[-1][0] == key:
                kept.pop()
            return False
    return True


def is_stored(held: bytes | str | None, stored: float | None) -> bool:
    """Whether the database has what a counter holds; one that is gone is no loss."""
    if held is None:
        return True
    try:
        return stored is not None and float(held) <= stored
    except ValueError:
        return False


def read_stored(ops: Connection, statement: str) -> dict[str, float]:
    """What the database has, by the cache's key."""
    rows = sql.ask(ops, statement, limit=1_000_000)
    return {str(row.key): float(row.value) for row in rows.itertuples()}


@action(
    "cache restore",
    "RESTORE the keys that were taken away, those that are there by then left",
)
def Restore(ops: Connection, kept: Any) -> Json:
    """What was taken away is there again, with the time that it had left; nothing is replaced."""
    from redis import ResponseError

    there = 0
    with caches.session(ops, "RESTORE", write=True) as client:
        for key, left_ms, dump in kept:
            try:
                client.restore(raw(key), max(0, left_ms), base64.b64decode(dump))
            except ResponseError as exc:
                if "BUSYKEY" not in str(exc):
                    raise
                there += 1
    return {"restored": len(kept) - there, "there": there}
