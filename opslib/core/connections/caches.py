"""Sessions with a target's cache, Redis or Valkey: where it is, and its errors in opslib's words.

Commands: https://valkey.io/commands/
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from opslib.core.connections.addresses import LOOPBACK
from opslib.core.connections.connection import Connection
from opslib.core.connections.meanings import translated
from opslib.core.defects import families_of
from opslib.core.errors import (
    Lost,
    Refused,
    Unfinished,
    UsageError,
)
from opslib.core.tables import Json

SECONDS = 5
PORT = 6379
_TLS, _PLAIN = ("rediss", "valkeys"), ("redis", "valkey")
_DOWN = "It may be down, or this machine is outside its network (VPN, tunnel). See caches/health."


@contextmanager
def session(ops: Connection, what: str, write: bool = False) -> Iterator[Any]:
    """A redis-py client whose commands are recorded as one call; `what` names it in messages.

    Answers are bytes. `write`: what was sent and not answered may be done, so Lost is raised of it.
    Raises UsageError (no cache described, no address), Unfinished
    (unreachable), LoginRefused, NotAllowed, OpsError.
    """
    from redis import Redis, RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    where = address(ops)
    ticks, error = time.monotonic(), None
    client = Redis(
        **where,
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        client_name=re.sub(r"\s", "-", f"opslib/{ops.identity.user}"),
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    begun = False
    try:
        if write:
            client.ping()
        begun = write
        yield client
    except (RedisError, OSError) as exc:
        error = type(exc).__name__
        said = " ".join(str(exc).split()) or error
        told = translated(
            "cache",
            f"{families_of(exc)} {said}",
            asked=f"{what} in the cache of {ops.target.name}",
            target=ops.target.name,
            said=said,
            place=f"{where['host']}:{where['port']}",
            seconds=SECONDS,
            down=_DOWN,
        )
        if begun and isinstance(told, Unfinished):
            raise Lost(f"{told} So it may be done.") from exc
        raise told from exc
    finally:
        client.close()
        ops.journal.call("redis", what, ticks, error=error)


def address(ops: Connection) -> Json:
    """What redis-py needs: host, port, username, password, db, ssl.

    From the secret (a URL, JSON, or the password alone) and the target's file, whose parts go
    before the secret's. Raises UsageError, Refused (practice that leads elsewhere).
    """
    facts = ops.target["cache"]
    name = facts.get("secret", "")
    told = _parts(ops.secret(name), name) if name else {}
    if not ops.target.lab:  # whose cache is on this machine, whatever the file says of the real one
        told |= {key: facts[key] for key in ("host", "port", "tls") if key in facts}
    if "host" not in told:
        raise UsageError(
            f"Nothing says where the cache of {ops.target.name} is: its secret is no URL, and "
            f"cache.host is not in parameters/targets/{ops.target.key}.yaml."
        )
    if ops.target.lab and told["host"] not in LOOPBACK:
        raise Refused(
            f"{ops.target.name} is practice, but its cache would be {told['host']}. Nothing was "
            "asked of it."
        )
    return {
        "host": told["host"],
        "port": int(told.get("port") or PORT),
        "username": told.get("username") or None,
        "password": told.get("password") or None,
        "db": int(told.get("db") or 0),
        "ssl": bool(told.get("tls", not ops.target.lab)),
    }


def _parts(secret: Any, name: str) -> Json:
    """Raises UsageError, without a value in it."""
    if isinstance(secret, dict):
        flat = {str(key).lower().removeprefix("redis_"): value for key, value in secret.items()}
        if url := flat.get("url"):
            return _parts(str(url), name)
        known = ("host", "port", "username", "password", "db", "tls")
        return {key: flat[key] for key in known if flat.get(key) not in (None, "")}
    if "://" not in (text := str(secret).strip()):
        return {"password": text}
    made = urlsplit(text)
    try:
        port = made.port or PORT
    except ValueError:
        raise UsageError(f"The address in secret {name!r} has a port that is no number.") from None
    if made.scheme not in _TLS + _PLAIN or not made.hostname:
        raise UsageError(f"Secret {name!r} holds an address that is none of redis:// or rediss://.")
    database = made.path.strip("/") or parse_qs(made.query).get("db", ["0"])[0]
    if not database.isdigit():
        raise UsageError(f"The address in secret {name!r} names a database that is no number.")
    return {
        "host": made.hostname,
        "port": port,
        "username": unquote(made.username or ""),
        "password": unquote(made.password or ""),
        "db": int(database),
        "tls": made.scheme in _TLS,
    }
