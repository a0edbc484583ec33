"""Where a target's database is, and with what login: from its secret, its file, RDS, a tunnel."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished, UsageError
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json, Params

if TYPE_CHECKING:
    from sqlalchemy import URL

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TOLD = beside(__file__, "addresses")
_PARTS = _TOLD["parts"]
_POSTGRES = re.compile("^(aurora-)?postgres")


class _Managed(NamedTuple):
    """What RDS says of the target's database: parts as of a secret, and its own secret's ARN."""

    parts: Json
    secret: str


def find(ops: Connection, secret: str = "", at: Params | None = None) -> URL:
    """The address that a session is opened at. `at`: host, port, database of a copy.

    `secret`: another than the target's. Raises UsageError (not PostgreSQL, a part that nothing
    says), and what reading secret and RDS raises.
    """
    facts, lab = ops.target["database"], ops.target.lab
    if not _POSTGRES.match(engine := facts.get("engine", "postgres")):
        raise UsageError(
            f"The database of {ops.target.name} is {engine} (database.engine in its file): only "
            "PostgreSQL is supported so far. Nothing was asked of it."
        )
    name = secret or secret_of(ops)
    told = parts(ops.secret(name), name, facts.get("secret_keys", {}))
    own = ("user",) if not secret else ()  # what file and RDS say of it: nothing of a reader's
    if not lab:  # whose databases are on this machine, whatever the file says of the real one
        told |= {key: facts[key] for key in ("host", "port", "name", *own) if key in facts}
    if any(part not in told for part in ("host", "name", *own)):
        known = _managed(ops).parts
        told = {key: known[key] for key in known if key != "user" or own} | told
    made = _url(told, name, ops.target.key)
    made = made.set(**at or {})
    if at and "host" in at:  # where the tunnel does not lead
        facts = {k: v for k, v in facts.items() if k != "tunnel"}
    return made if lab else _secured(made, facts)


def secret_of(ops: Connection) -> str:
    """The secret with the login: the one that the file names, else RDS's own."""
    return str(ops.target["database"].get("secret") or _managed(ops).secret)


def url(secret: Any, name: str, **instead: Any) -> URL:
    """Where a secret alone says that a database is. `instead` replaces parts. Raises UsageError."""
    made = _url(parts(secret, name), name)
    return _with_ssl(made.set(**instead))


def parts(secret: Any, name: str, called: Params | None = None) -> Json:
    """The parts of a login that a secret holds: those of _PARTS, and `ssl`, those it has.

    A mapping, as RDS writes it or with other keys (`called`; dots lead inwards); a URL of any
    PostgreSQL flavour, JDBC's too; libpq's key=value, or Npgsql's with semicolons; a text that is
    none of these is the password alone. Raises OpsError, without a value in it.
    """
    if isinstance(secret, dict):
        flat = {_plain(key): value for key, value in secret.items()}
        found = {
            part: next((flat[k] for k in keys if flat.get(k)), None)
            for part, keys in _PARTS.items()
        }
        for part, key in (called or {}).items():
            found[part] = _inward(secret, key, name)
        whole = found.pop("url")
        known = {part: value for part, value in found.items() if value not in (None, "")}
        return parts(whole, name) | known if whole else known
    text = str(secret).strip().removeprefix("jdbc:")
    if "://" in text:
        return _of_url(text, name)
    if re.match(r'[{[]\s*"', text):
        raise _no_login(name, "it begins as JSON and is none: was it cut?")
    pairs = [pair.split("=", 1) for pair in text.split(";") if "=" in pair]
    if ";" not in text:
        pairs = re.findall(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", text)
    if not any(_plain(key.strip()) in known for key, *_ in pairs for known in _PARTS.values()):
        return {"password": text} if text else {}
    return parts({key.strip(): value.strip().strip("'") for key, value in pairs}, name)


def password_at(secret: Any, called: Params | None = None) -> list[str] | None:
    """By which keys one comes to the password in a secret; none: it is the whole; None: it is in an
    address, or not there.
    """
    if not isinstance(secret, dict):
        return [] if parts(secret, "") == {"password": str(secret).strip()} else None
    if key := (called or {}).get("password"):
        return _way(secret, key)
    found = [key for key in secret if _plain(key) in _PARTS["password"] and secret[key]]
    return found[:1] or None


def moved(secret: Any, at: Params, called: Params | None = None) -> Any:
    """A secret with another host and port, and database where `at` has one; all else as it is.

    None: it says no host.
    """
    if isinstance(secret, str):
        return _moved_url(secret, at) if "://" in secret else None
    made, told = secret, False
    for part, value in {"host": None, "port": None, "name": None, "url": None, **at}.items():
        part = "name" if part == "database" else part
        plain = (key for key in secret if _plain(key) in _PARTS[part] and secret[key])
        if key := (called or {}).get(part) or next(plain, None):
            whole = part == "url" or "://" in str(_inward(secret, key, ""))
            wanted = _moved_url(_inward(secret, key, ""), at) if whole else value
            if wanted is not None:
                made = placed(made, _way(made, key), wanted)
                told = told or part in ("host", "url")
    return made if told else None


def _moved_url(text: str, at: Params) -> str:
    from sqlalchemy import make_url

    bare = text.strip()
    kind = "jdbc:" if bare.startswith("jdbc:") else ""
    made = make_url(bare.removeprefix(kind)).set(**at)
    return kind + made.render_as_string(hide_password=False)


def _way(secret: Params, key: str) -> list[str]:
    """By which keys one comes to what `key` names; dots lead inwards, where none is in a name."""
    return [key] if key in secret else key.split(".")


def placed(secret: Any, at: Sequence[str], value: Any) -> Any:
    """A secret with another value where these keys lead; without a key that is all of it."""
    if not at:
        return value
    return {**secret, at[0]: placed(secret[at[0]], at[1:], value)}


def _of_url(text: str, name: str) -> Json:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        made = make_url(text)
    except (ValueError, ArgumentError) as exc:
        raise _no_login(name, type(exc).__name__) from None
    query = dict(made.query)
    told = {"engine": made.drivername, **{key: query.get(key) for key in ("user", "password")}}
    told |= made.translate_connect_args(username="user", database="name")
    ssl = {key: value for key, value in query.items() if key.startswith("ssl") and key != "ssl"}
    return {key: value for key, value in (told | {"ssl": ssl}).items() if value}


def _plain(key: str) -> str:
    """DB_HOST, PGHOST, POSTGRES_DB, User Id as the words of _PARTS."""
    short = re.sub("[^a-z_]|_(?!url)", "", str(key).lower())
    return re.sub(
        "^(db|pg|postgres|postgresql|database)(?=host|user|port|pass|database|db$)", "", short
    )


def _inward(secret: Json, key: str, name: str) -> Any:
    found: Any = secret
    for step in _way(secret, key):
        found = found.get(step) if isinstance(found, dict) else None
    if found is None:
        has = ", ".join(sorted(map(str, secret)))
        raise _no_login(name, f"it has no {key!r}, as database.secret_keys says; it has {has}")
    return found


def _no_login(name: str, why: str) -> OpsError:
    return OpsError(
        f"Secret {name!r} does not describe a PostgreSQL database ({why}). It needs host, "
        "username, password and dbname, or a postgresql:// URL; what it calls them can be said in "
        "database.secret_keys of the target's file, what it lacks in database.host, name, user."
    )


def _url(told: Params, name: str, key: str = "") -> URL:
    from sqlalchemy import URL

    if not _POSTGRES.match(engine := str(told.get("engine", "postgres"))):
        raise _no_login(name, f"it is {engine}: only PostgreSQL is supported so far")
    lacking = [part for part in ("user", "password", "host") if part not in told]
    if lacking:
        raise _no_login(name, f"nothing says its {', '.join(lacking)}")
    if "name" not in told:
        raise _no_login(
            name,
            "nothing says the database's name: its dbname, database.name"
            + f" in parameters/targets/{key}.yaml" * bool(key),
        )
    try:
        port = int(told.get("port", 5432))
    except ValueError:
        raise _no_login(name, "its port is no number") from None
    user, password, host, name = (str(told[part]) for part in ("user", "password", "host", "name"))
    return URL.create("postgresql+psycopg", user, password, host, port, name, told.get("ssl", {}))


def _with_ssl(made: URL, **given: str) -> URL:
    query = {**made.query, **given}
    if made.host not in LOOPBACK:
        query.setdefault("sslmode", "require")
    return made.set(query=query)


def _secured(made: URL, facts: Params) -> URL:
    """With TLS as the file wants it, and through its tunnel.

    libpq goes to `hostaddr` and checks the certificate for `host`.
    """
    given: dict[str, str] = {}
    if "ca" in facts:
        given |= {"sslrootcert": str(facts["ca"]), "sslmode": "verify-full"}
    if "ssl" in facts:
        given["sslmode"] = str(facts["ssl"])
    if tunnel := facts.get("tunnel"):
        near, port = str(tunnel.get("host", "localhost")), int(tunnel["port"])
        try:
            address = socket.getaddrinfo(near, port, type=socket.SOCK_STREAM)[0][4][0]
        except OSError as exc:
            raise Unfinished(
                f"The tunnel's host {near!r} has no address ({exc.strerror}). Correct "
                "database.tunnel.host in the target's file."
            ) from exc
        given["hostaddr"] = str(address)
        made = made.set(port=port)
    return _with_ssl(made, **given)


def _managed(ops: Connection) -> _Managed:
    """What RDS says of the cluster, or the instance, that the target's file names."""
    import jmespath

    if known := ops.kept(_Managed):
        return known
    facts = ops.target["database"]
    kind = "cluster" if "cluster" in facts else "instance"
    if kind not in facts:
        where = f"parameters/targets/{ops.target.key}.yaml"
        raise UsageError(
            f"Where the database of {ops.target.name} is, nothing says: describe database.secret, "
            "with host and name where the secret has none, or cluster or instance, in "
            f"{where}."
        )
    operation, key, shape = _TOLD["rds"][kind]
    told = jmespath.search(shape, ops.call("rds", operation, **{key: facts[kind]}))
    secret = str(told.pop("secret") or "")
    return ops.keep(_Managed({part: said for part, said in told.items() if said}, secret))
