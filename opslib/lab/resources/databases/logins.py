"""An app's PostgreSQL database.

Role and database, the secret that opens it, and the app's own connections.
"""

import json
from typing import Any

import psycopg

from opslib.core.connections import addresses
from opslib.core.text import decoded
from opslib.lab.places import Place
from opslib.lab.resources import names, secrets

_CONNECT_SECONDS = 5


def create(place: Place) -> str:
    """The database and the role that owns it, both of the target's name.

    Returns the role's password.

    Beside it a login that may only read, `<role>_reader` with the same password, in the secret that
    a target's `database.reader_secret` names.

    As with RDS, pg_stat_statements is there, and the master user may look at every session.
    """
    name, password = names.database(place), secrets.password(place)
    for role in (name, f"{name}_reader"):
        place.world.postgres.create_role(role, password)
    place.world.postgres.create_database(name, name)
    with place.database(name) as database:
        database.execute("CREATE EXTENSION pg_stat_statements")
        database.execute(f"GRANT pg_monitor, pg_signal_backend TO {name}".encode())
        database.execute(f"GRANT pg_monitor, pg_read_all_data TO {name}_reader".encode())
    if reader := place.facts["database"].get("reader_secret"):
        login = _login(place, password) | {"username": f"{name}_reader", "dbname": name}
        secrets.put(place, reader, _written(place, login), 60)
    return password


def owner(place: Place, password: str) -> psycopg.Connection[Any]:
    """The owner's connection (autocommit), to fill it."""
    name = names.database(place)
    return psycopg.connect(place.world.postgres.url(name, name, password), autocommit=True)


def put_login(place: Place, password: str, age_days: int, member: str) -> None:
    """The secret that the facts name, its parts called as they say; else one as RDS manages it.

    `member`: what it calls the database, `dbname` or `database`; `password`: it is that alone;
    `url`: it is SQLAlchemy's address.
    """
    if member == "password":
        secrets.put(place, names.login_secret(place), password, age_days)
        return
    name, port = names.database(place), place.world.postgres.port
    if member == "url":
        held = f"postgresql+asyncpg://{name}:{password}@127.0.0.1:{port}/{name}"
        secrets.put(place, names.login_secret(place), held, age_days)
        return
    held = _written(place, _login(place, password) | {member: name}, member)
    secrets.put(place, names.login_secret(place), held, age_days)


def _login(place: Place, password: str) -> dict[str, Any]:
    name, port = names.database(place), place.world.postgres.port
    return {"host": "127.0.0.1", "port": port, "username": name, "password": password}


def _written(place: Place, login: dict[str, Any], member: str = "dbname") -> str:
    """As JSON, its parts called as the file says."""
    role, usual = login["username"], {"user": "username", "name": member}
    whole = place.world.postgres.url(login[member], role, login["password"])
    for part, key in place.facts["database"].get("secret_keys", {}).items():
        value = whole if part == "url" else login.pop(usual.get(part, part))
        *above, last = key.split(".")
        inner: Any = login
        for step in above:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return json.dumps(login)


def connect(place: Place, application: str) -> psycopg.Connection[Any]:
    """The app's own connection (autocommit), opened with what the secret says.

    Raises psycopg.OperationalError.
    """
    name, own = names.login_secret(place), names.database(place)
    text = secrets.read(place, name)
    held = addresses.parts(decoded(text, text), name, place.facts["database"].get("secret_keys"))
    login = {
        "host": "127.0.0.1",
        "port": place.world.postgres.port,
        "user": own,
        "name": own,
    } | held
    return psycopg.connect(
        host=login["host"],
        port=login["port"],
        user=login["user"],
        password=login["password"],
        dbname=login["name"],
        application_name=application,
        connect_timeout=_CONNECT_SECONDS,
        autocommit=True,
    )
