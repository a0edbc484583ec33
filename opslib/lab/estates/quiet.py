"""What a system answers of which only its target's file is known: healthy, as far as it goes."""

import re
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import errors, sql
from psycopg.rows import dict_row

from opslib.core.connections.sql import identifier
from opslib.lab.estates.seeding import Application, Database
from opslib.lab.places import Place
from opslib.lab.resources.databases import rds
from opslib.lab.traffic.requests import Answer, Request, Routes
from opslib.lab.work import checks, orphans

QUIET = {
    "Errors",
    "Throttles",
    "5xx",
    "5XXError",
    "4xx",
    "4XXError",
    "Deadlocks",
    "DeadLetterErrors",
}
METRICS: list[tuple[str, float, float, float, str]] = [
    ("DatabaseConnections", 3, 6, 0.1, "Count"),
    ("CPUUtilization", 6, 18, 0.15, "Percent"),
    ("FreeableMemory", 2.9e9, 2.4e9, 0.02, "Bytes"),
    ("FreeStorageSpace", 3.2e10, 3.2e10, 0.001, "Bytes"),
    ("ReadLatency", 0.0006, 0.0011, 0.2, "Seconds"),
    ("WriteLatency", 0.0012, 0.0021, 0.2, "Seconds"),
    ("ReadIOPS", 20, 90, 0.2, "Count/Second"),
    ("WriteIOPS", 15, 60, 0.2, "Count/Second"),
]
SENT = {"Reputation.BounceRate": 0.012, "Reputation.ComplaintRate": 0.0002}
_VERSION = "1"  # of the schema: the only migration there is
_PARTS = 60  # tables and columns of a query that are made
_NUMBERS = {"id", "count", "amount", "total", "price", "quantity", "size", "bytes", "used"}
_MIGRATED = {  # by tool: its table's columns, a row
    "django": (
        "id serial PRIMARY KEY, app text, name text",
        "INSERT INTO {} (app, name) SELECT split_part(head, '.', 1), split_part(head, '.', 2) "
        "FROM (VALUES (%s)) AS code (head)",
    ),
    "flyway": (
        "installed_rank serial PRIMARY KEY, version text, success boolean DEFAULT true",
        "INSERT INTO {} (version) VALUES (%s)",
    ),
    "prisma": (
        "migration_name text, started_at timestamptz DEFAULT now(), rolled_back_at timestamptz, "
        "finished_at timestamptz DEFAULT now()",
        "INSERT INTO {} (migration_name) VALUES (%s)",
    ),
}
# What a condition names, but SQL's own words: all of it is taken for columns of text.
_WORD, _QUOTED = re.compile(r"[A-Za-z_]\w*"), re.compile(r"'[^']*'")
_SQL = {"AND", "OR", "NOT", "IS", "NULL", "IN", "LIKE", "ILIKE", "TRUE", "FALSE"}
_JOBS = {  # key of the file's columns: usual name, definition
    "id": ("id", "uuid PRIMARY KEY"),
    "item": ("item_id", "text NOT NULL"),
    "status": ("status", "text NOT NULL"),
    "model": ("model", "text"),
    "attempts": ("attempts", "integer NOT NULL DEFAULT 0"),
    "created": ("created_at", "timestamptz NOT NULL DEFAULT now()"),
    "started": ("started_at", "timestamptz"),
    "finished": ("finished_at", "timestamptz"),
    "updated": (None, "timestamptz"),
    "error": ("error_message", "text"),
}


def routes(place: Place) -> Routes:
    """Every path that the file names of the API answers."""
    api = place.facts.get("api", {})
    found: dict[tuple[str, str], Callable[[Request], Answer]] = {("GET", "/"): _well}
    for path in (*api.get("probes", {}), *(api[key] for key in ("shallow",) if key in api)):
        found["GET", _pattern(path)] = _well
    if "deep" in api:
        found["GET", _pattern(api["deep"])] = _deep
    if "migrate" in api:
        found["POST", _pattern(api["migrate"])] = _migrated
    for kind, facts in place.facts.get("orphans", {}).items():
        if "scan" in facts:
            about = facts["scan"]
            how = {"path": about} if isinstance(about, str) else about
            asked = how.get("method", "POST"), _pattern(how["path"])
            found[asked] = partial(_scanned, kind, how)
    if "smoke" in api and "soft_delete" in place.facts.get("database", {}):
        found["POST", _pattern(api["smoke"]["create"])] = _made
        found["GET", _pattern(api["smoke"]["read"])] = _read
    return found


def _pattern(path: str) -> str:
    return re.escape(unquote(urlsplit(path).path).rstrip("/") or "/")


def version(facts: Any) -> str:
    """The migration that the deployed code needs, as the tool calls it: it was run."""
    about = facts.get("database", {})
    head = about.get("migrations_head")
    if isinstance(head, str):
        return head
    return f"app.{_VERSION}" if about.get("migrations_tool") == "django" else _VERSION


def _well(request: Request) -> Answer:
    head = request.place.facts.get("database", {}).get("migrations_head", {})
    told = isinstance(head, dict) and "field" in head
    field = {head["field"]: version(request.place.facts)} if told else {}
    return 200, {"status": "ok", "service": request.place.target.system, **field}


def _scanned(kind: str, how: Any, request: Request) -> Answer:
    """The scan, its numbers called as the file says."""
    status, told = orphans.scan(kind, request)
    for key, usual in (("orphans", "orphans"), ("total", "total_objects")):
        *above, last = how.get(key, usual).split(".")
        inner = told
        for step in above:
            inner = inner.setdefault(step, {})
        inner[last] = told[usual]
    return status, told


def _made(request: Request) -> Answer:
    """A test record of a deployment: its id, and what of it the table has a column for."""
    place, given = request.place, request.json()
    about, id = place.facts["database"]["soft_delete"], str(uuid.uuid4())
    kept = {name: str(given[name]) for name in about.get("shown", ()) if name in given}
    columns = sql.SQL(", ").join(map(sql.Identifier, (about["id"], *kept)))
    values = sql.SQL(", ").join(sql.Placeholder() * (1 + len(kept)))
    table = sql.Identifier(*about["table"].split("."))
    with rds.connect(place) as database:
        insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, columns, values)
        database.execute(insert, [id, *kept.values()])
    return 201, {place.facts["api"]["smoke"]["id"]: id, **kept}


def _read(request: Request) -> Answer:
    """The records that are not taken out."""
    about = request.place.facts["database"]["soft_delete"]
    table = sql.Identifier(*about["table"].split("."))
    asked = sql.SQL("SELECT * FROM {} WHERE NOT {}").format(table, sql.Identifier(about["flag"]))
    with rds.connect(request.place) as database:
        cursor = database.cursor(row_factory=dict_row).execute(asked)
        return 200, {"items": cursor.fetchall()}


def _migrated(request: Request) -> Answer:
    return 200, {"status": "success", "previous": _VERSION, "current": _VERSION, "applied": []}


def _deep(request: Request) -> Answer:
    """What the file describes is asked each time: the database, the buckets, the queues."""
    found = {name: checks.checked(check) for name, check in _dependencies(request.place)}
    status, overall = checks.overall(found)
    return status, {"status": overall, "checks": found}


def _dependencies(place: Place) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "app", lambda: None
    if "database" in place.facts:
        yield "database", partial(_ask, place)
    for key, facts in place.facts.get("buckets", {}).items():
        yield f"bucket {key}", partial(place.client("s3").head_bucket, Bucket=facts["name"])
    for key, facts in place.facts.get("queues", {}).items():
        yield f"queue {key}", partial(place.client("sqs").get_queue_url, QueueName=facts["name"])


def _ask(place: Place) -> None:
    with rds.connect(place) as database:
        database.execute("SELECT 1")


def _fill(place: Place, database: Database) -> None:
    """The tables that the file names, empty, with the columns that it names of them."""
    facts, made = place.facts, set()
    for name, columns in _tables(facts):
        for column in columns.split(", ") if name in made else ():  # of another section's
            table = sql.Identifier(*name.split("."))
            plain = sql.SQL(column.replace(" PRIMARY KEY", "").replace(" NOT NULL", ""))
            database.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}").format(table, plain)
            )
        if name not in made:
            made.add(name)
            table = sql.Identifier(*name.split("."))
            if "." in name:
                schema = sql.Identifier(name.split(".")[0])
                database.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
            database.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(columns)))
    about = facts.get("database", {})
    if name := about.get("migrations"):
        _, insert = _migrations(about)
        table = sql.Identifier(*name.split("."))
        database.execute(sql.SQL(insert).format(table), [version(facts)])
    for query in about.get("queries", {}).values():
        _answerable(database, query["sql"])


def _answerable(database: Database, query: str) -> None:
    """What a query asks for, and is not there, is made as PostgreSQL names it; empty."""
    for _ in range(_PARTS):
        try:
            database.execute(f"EXPLAIN {query}".encode())
            return
        except errors.UndefinedTable as exc:
            *_, name = str(exc.diag.message_primary).split('"')[:2]
            schema, _, _ = name.rpartition(".")
            if schema:
                made = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
                database.execute(made)
            database.execute(sql.SQL("CREATE TABLE {} ()").format(_table(name)))
        except errors.UndefinedColumn as exc:
            name = str(exc.diag.message_primary).split()[1].replace('"', "")
            alias, _, column = name.rpartition(".")
            database.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                    _table(_meant(query, alias)),
                    sql.Identifier(column),
                    sql.SQL(_kind(column)),
                )
            )
        except psycopg.Error:  # what it does with it is more than can be guessed
            return


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def _meant(query: str, alias: str) -> str:
    """The table of a query that is called so; without a name the first."""
    named = re.findall(r"(?i)\b(?:from|join)\s+([\w.]+)(?:\s+as)?(?:\s+(\w+))?", query)
    return str(next((table for table, short in named if alias in (short, table)), named[0][0]))


def _kind(column: str) -> str:
    """Of what type a column is whose name is all that is known of it."""
    last = column.lower().rpartition("_")[2]
    if last in ("at", "on", "date", "time", "created", "updated"):
        return "timestamptz"
    return "bigint" if last in _NUMBERS else "text"


def _migrations(about: Any) -> tuple[str, str]:
    """Columns of the table of migrations, and how its only row is written."""
    tool = about.get("migrations_tool")
    if tool in _MIGRATED:
        return _MIGRATED[tool]
    usual = "version" if tool == "rails" else "version_num"
    column = identifier(about.get("migrations_column", usual))
    return f"{column} text PRIMARY KEY", "INSERT INTO {} VALUES (%s)"


def _tables(facts: Any) -> Iterator[tuple[str, str]]:
    about = facts.get("database", {})
    if name := about.get("migrations"):
        yield name, _migrations(about)[0]
    if delete := about.get("soft_delete"):
        shown = (column for column in delete.get("shown", ()) if column != delete["id"])
        others = "".join(f", {identifier(column)} text" for column in shown)
        flag = f"{identifier(delete['flag'])} boolean NOT NULL DEFAULT false"
        yield delete["table"], f"{identifier(delete['id'])} uuid PRIMARY KEY, {flag}{others}"
    for job in facts.get("jobs", {}).values():
        called = {**job.get("columns", {}), "item": job.get("item", "item_id")}
        named = {called.get(key, usual): kind for key, (usual, kind) in _JOBS.items()}
        defined = (f"{identifier(name)} {kind}" for name, kind in named.items() if name)
        yield job["table"], ", ".join(defined)
    for each in (*facts.get("orphans", {}).values(), *_images(facts)):
        yield each["table"], f"id bigint PRIMARY KEY, {identifier(each['column'])} text"
    for each in facts.get("search", {}).get("indices", {}).values():
        if "table" in each:
            words = _WORD.findall(_QUOTED.sub("", each.get("where", "")))
            asked_of = [each.get("id", "id"), *each.get("fields", {}).values()]
            asked_of += [word for word in words if word.upper() not in _SQL]
            kinds = dict.fromkeys(asked_of, "text")
            if "changed" in each:
                kinds[each["changed"]] = "timestamptz"
            yield each["table"], ", ".join(f"{identifier(of)} {kind}" for of, kind in kinds.items())
    for name, column in facts.get("recovery", {}).get("newest", {}).items():
        yield name, f"{identifier(column)} timestamptz"
    if name := facts.get("users", {}).get("table"):
        columns = "cognito_sub uuid UNIQUE, email text UNIQUE, role text, created_at timestamptz"
        yield name, f"id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, {columns}"
    for name in facts.get("sync", {}).get("tables", ()):
        yield name, "id bigint PRIMARY KEY"


def _images(facts: Any) -> Iterator[Any]:
    for job in facts.get("jobs", {}).values():
        if "images" in job:
            yield job["images"]


APPLICATION = Application(fill=_fill)
