"""What a task does that runs the target's own command for its migrations.

No migration tool is here. What Alembic would do is done with the SQL of the estate's schema.sql, up
to the revision that the task's variable names as the newest of its image; and its lines say so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import psycopg

from opslib.lab.places import Place
from opslib.lab.resources import services
from opslib.lab.resources.databases import rds
from opslib.lab.resources.databases.migrations import Database, Migrations

Ended: TypeAlias = tuple[int, list[str]]  # exit code, what it wrote
_INFO = "INFO  [alembic.runtime.migration]"
_BEGUN = [
    "INFO  [lab] no Alembic is here: the SQL of the practice copy's schema is applied",
    f"{_INFO} Context impl PostgresqlImpl.",
    f"{_INFO} Will assume transactional DDL.",
]
_NOT_FOUND, _REFUSED = 127, 255
_PATIENT = "SET lock_timeout = '3s'"  # the lab waits for it


def seed(place: Place) -> None:
    """Commands that the target's file names, by the family of the task that runs them."""
    for key in ("migrate", "migrate_back"):
        about = place.facts.get("database", {}).get(key, {})
        if "service" in about:
            family = services.family(place, about["service"])
            place.memory.setdefault("commands", {})[family] = run


def run(place: Place, command: Sequence[str], variables: Mapping[str, str]) -> Ended:
    about = place.facts["database"]
    ways = {"migrate": _upgrade, "migrate_back": _downgrade}
    for key, way in ways.items():
        if [*command] == [*about.get(key, {}).get("command", ())]:
            return _run(place, way, variables.get(head(place), place.memory["schema"]))
    return _NOT_FOUND, [f"/bin/sh: 1: {command[0]}: not found"]


def head(place: Place) -> str:
    """The variable that says which revision the image has; empty where none does."""
    about = place.facts["database"].get("migrations_head", {})
    return str(about.get("variable", "")) if isinstance(about, Mapping) else ""


Way = Callable[[Database, Migrations, str, list[str]], None]


def _run(place: Place, way: Way, to: str) -> Ended:
    migrations, lines = place.memory["migrations"], [*_BEGUN]
    if migrations is None:  # a target of which only its file is known: there is one, and it was
        return 0, ["INFO  [lab] nothing is pending in the practice copy"]
    try:
        with rds.connect(place, "alembic") as database:
            at = migrations.current(database)
            if at and at not in [each.name for each in migrations.revisions]:
                return _REFUSED, [*lines, f"FAILED: Can't locate revision identified by '{at}'"]
            database.execute(_PATIENT)
            way(database, migrations, to, lines)
    except (psycopg.Error, ValueError) as exc:
        said = str(exc).splitlines() or [""]
        named = f"({type(exc).__module__}.{type(exc).__name__}) {said[0]}"
        failed = f"sqlalchemy.exc.{_KINDS.get(type(exc).__base__, 'ProgrammingError')}: {named}"
        return 1, [*lines, "Traceback (most recent call last):", failed]
    return 0, lines


_KINDS: Mapping[Any, str] = {psycopg.OperationalError: "OperationalError"}


def _upgrade(database: Database, migrations: Migrations, to: str, lines: list[str]) -> None:
    at = migrations.current(database) or ""
    for each in migrations.pending(database, to):
        lines.append(f"{_INFO} Running upgrade {at} -> {each.name}, {each.title}")
        at = each.name
    migrations.upgrade(database, to)


def _downgrade(database: Database, migrations: Migrations, to: str, lines: list[str]) -> None:
    newest, before = migrations.newest(database)
    lines.append(f"{_INFO} Running downgrade {newest.name} -> {before.name}, {newest.title}")
    migrations.downgrade(database, before.name)
