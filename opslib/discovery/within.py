"""What API and database tell of themselves: health paths, tables of jobs, users, migrations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.tables import Json
from opslib.discovery.accounts import words
from opslib.discovery.facts import OF_TOOLS, Draft

# Each that is not there is a 404 in the app's log: the likeliest first, and few of them.
_OPENAPI = ("/openapi.json", "/v3/api-docs")
_HEALTH = ("/health", "/healthz", "/up", "/status", "/ping", "/actuator/health")
_BELOW = ("/ready", "/live")  # tried where the path above answers
_DEEP = {"deep", "full", "detailed", "detail", "dependencies"}
_PROBES = {
    "health",
    "healthz",
    "livez",
    "readyz",
    "ready",
    "live",
    "ping",
    "up",
    "status",
    "version",
}
_PROVES = {"live": "it runs", "livez": "it runs", "ready": "its dependencies answer"}
_PROVES |= {
    "readyz": "its dependencies answer",
    "version": "which build it is",
    "info": "which build it is",
}
_MIGRATIONS = {  # a tool's table: whose it is, its column
    "alembic_version": ("", "version_num"),
    "django_migrations": ("django", "name"),
    "flyway_schema_history": ("flyway", "version"),
    "_prisma_migrations": ("prisma", "migration_name"),
    "ar_internal_metadata": ("rails", ""),
    "schema_migrations": ("", "version"),
}
_COLUMNS = {  # of jobs: what others call them
    "status": ("status", "state", "job_status"),
    "created": ("created_at", "created", "inserted_at", "enqueued_at", "queued_at", "submitted_at"),
    "started": ("started_at", "started", "start_time", "began_at", "attempted_at", "locked_at"),
    "finished": ("finished_at", "completed_at", "ended_at", "end_time", "finished", "processed_at"),
    "updated": ("updated_at", "modified_at", "last_updated", "updated"),
    "model": ("model", "model_id", "model_name"),
    "attempts": ("attempts", "attempt", "retries", "retry_count", "attempt_count"),
    "error": ("error_message", "error", "last_error", "failure_reason", "error_text"),
}
_OBJECT = {"key", "path", "object", "s3", "image", "file"}
_USUAL = {"created": "created_at", "started": "started_at", "finished": "finished_at"}
_USUAL |= {"error": "error_message"}
_STATES = {
    "waiting": {
        "queued",
        "pending",
        "waiting",
        "enqueued",
        "scheduled",
        "new",
        "created",
        "available",
    },
    "running": {"running", "processing", "in_progress", "started", "active", "executing"},
    "done": {"completed", "complete", "done", "succeeded", "success", "finished", "processed"},
    "failed": {
        "failed",
        "error",
        "errored",
        "dead",
        "discarded",
        "failure",
        "cancelled",
        "canceled",
    },
}
_AS_OURS = {
    "waiting": {"queued"},
    "running": {"running"},
    "done": {"completed"},
    "failed": {"failed"},
}


@dataclass(frozen=True)
class Told:
    """What an API told: answers of its health paths; all paths, as OpenAPI says of them."""

    bodies: dict[str, Any] = field(default_factory=dict)
    paths: Json = field(default_factory=dict)

    def path(self, method: str, *has: str) -> str:
        """The first path that is asked so and has these words."""
        every = (path for path, how in self.paths.items() if method in how)
        return next((path for path in every if {*has} <= {*words(path)}), "")


def ask_api(ops: Connection, made: Draft) -> Told:
    """Adds what the API tells of its health and its items. Only GET."""
    api = made.facts["api"]
    paths = next(filter(None, (_paths(_got(ops, path)) for path in _OPENAPI)), {})
    known = [path for path, how in paths.items() if "get" in how and _PROBES & {*words(path)}]
    bodies = {path: body for path in known if (body := _got(ops, path)) is not None}
    for path in () if bodies else _HEALTH:
        if (body := _got(ops, path)) is not None:
            below = {path + more: _got(ops, path + more) for more in _BELOW}
            bodies = {path: body} | {p: body for p, body in below.items() if body is not None}
            break
    deep = [path for path in bodies if _DEEP & {*words(path)}]
    api["probes"] = {path: _proves(path) for path in bodies if path not in deep} or {
        path: _proves(path) for path in deep
    }
    if deep or bodies:
        api["deep"] = deep[0] if deep else next(iter(bodies))
    if not api["probes"]:
        del api["probes"]
        made.note("api", "no usual path of health answered: name those it has in probes")
    told = Told(bodies, paths)
    _items(made, paths)
    if migrate := told.path("post", "migrate") or told.path("post", "migrations"):
        api["migrate"] = migrate
    return told


def _got(ops: Connection, path: str) -> Any:
    """What a path answers with 2xx, else None."""
    try:
        answer = ops.http("GET", path)
    except OpsError:
        return None
    return (answer.body if answer.body is not None else answer.text) if answer.ok else None


def _paths(document: Any) -> Json:
    """Of an OpenAPI document: path below its base → methods, names in it as {id}."""
    told = document.get("paths") if isinstance(document, dict) else None
    every = told if isinstance(told, dict) else {}
    return {
        re.sub(r"\{[^}]*\}", "{id}", path): how
        for path, how in every.items()
        if isinstance(how, dict)
    }


def _proves(path: str) -> str:
    return next((_PROVES[word] for word in reversed(words(path)) if word in _PROVES), "it answers")


def _items(made: Draft, paths: Json) -> None:
    """The path of an item, and of the list of them."""
    one = [path for path, how in paths.items() if "get" in how and path.endswith("/{id}")]
    lists = [path[: -len("/{id}")] for path in sorted(one, key=len)]
    for path in [path for path in lists if "get" in paths.get(path, {})][:1]:
        made.facts["api"] |= {"shallow": f"{path}?limit=1", "item": f"{path}/{{id}}"}


def ask_database(ops: Connection, made: Draft, told: Told) -> int:
    """Adds what the database tells; how many connections it takes. Raises OpsError."""
    tables: dict[str, dict[str, str]] = {}
    for row in sql.ask(ops, _COLUMNS_SQL, limit=20_000).itertuples():
        tables.setdefault(str(row.name), {})[str(row.column)] = str(row.kind)
    database = made.facts["database"]
    database["max_connections"] = most = int(sql.value(ops, _LIMIT_SQL))
    _migrations(ops, made, tables, told)
    _flags(made, tables)
    made.facts["jobs"] = dict(_jobs(ops, made, tables, told))
    made.facts["orphans"] = dict(_objects(ops, made, tables, told))
    for name, columns in tables.items():
        if "cognito_sub" in columns and "users" in made.facts:
            made.facts["users"]["table"] = name
    return most


_COLUMNS_SQL = """
SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name,
       a.attname AS "column", format_type(a.atttypid, NULL) AS kind
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'
ORDER BY 1, a.attnum
"""
_LIMIT_SQL = """
SELECT CASE WHEN datconnlimit > 0 THEN datconnlimit ELSE current_setting('max_connections')::int END
FROM pg_database WHERE datname = current_database()
"""


def _migrations(ops: Connection, made: Draft, tables: Json, told: Told) -> None:
    database = made.facts["database"]
    for name in tables:
        tool, column = _MIGRATIONS.get(name.rpartition(".")[2], ("", ""))
        if not column:
            continue
        database["migrations"] = name
        if column != "version_num":
            database["migrations_column"] = column
        if tool:
            database["migrations_tool"] = tool
        newest = sql.value(
            ops, f"SELECT max({sql.identifier(column)}::text) FROM {sql.quoted(name)}"
        )
        if head := _head(made, told.bodies, str(newest)):
            database["migrations_head"] = head
        else:
            made.note("database", "migrations_head: where the deployed code says which it needs")
    for key in made.facts.get("functions", {}):
        if {"migrate", "migration", "migrations"} & {*words(key)}:
            database["migrate"] = {"function": key, "payload": {}}


def _head(made: Draft, bodies: dict[str, Any], newest: str) -> Json | None:
    """Where the newest migration is told: a field of a health path, a variable of a function."""
    for path, body in sorted(bodies.items(), key=lambda each: "version" not in each[0]):
        for key, value in body.items() if isinstance(body, dict) else ():
            if str(value) == newest:
                return {"path": path, "field": key}
    for each in made.account["functions"]:
        for name, value in each.get("Environment", {}).get("Variables", {}).items():
            if value == newest:
                key = next(
                    k for k, f in made.facts["functions"].items() if f["name"] == each["name"]
                )
                return {"function": key, "variable": name}
    return None


def _flags(made: Draft, tables: Json) -> None:
    for name, columns in tables.items():
        flag = next(
            (each for each in ("is_deleted", "deleted") if columns.get(each) == "boolean"), ""
        )
        if flag and "id" in columns:
            texts = [
                each for each, kind in columns.items() if kind in ("text", "character varying")
            ]
            told = {"table": name, "id": "id", "flag": flag, "shown": texts[:4]}
            made.facts["database"].setdefault("soft_delete", told)


def _jobs(ops: Connection, made: Draft, tables: Json, told: Told) -> Iterator[tuple[str, Json]]:
    for name, columns in tables.items():
        called = {
            key: next((each for each in known if each in columns), None)
            for key, known in _COLUMNS.items()
        }
        if not called["status"] or not (
            called["created"] and (called["started"] or called["updated"])
        ):
            continue
        if not ({"job", "jobs", "task", "tasks"} & {*words(name)} or called["attempts"]):
            continue
        key = "-".join(word for word in words(name) if word not in ("job", "jobs", "task", "tasks"))
        job = _job(ops, made, name, columns, called)
        for fact, path in (
            ("trigger", told.path("post", *key.split("-"), "id")),
            ("status", told.path("get", *key.split("-"), "status")),
        ):
            job |= {fact: path} if path else {}
        yield key or "jobs", job


def _job(ops: Connection, made: Draft, name: str, columns: Json, called: Json) -> Json:
    others = [each for each in columns if each.endswith("_id") and each != "tenant_id"]
    job: Json = {"table": name, "item": (others or ["id"])[0]}
    key = {*words(name)} - {"job", "jobs", "task", "tasks"}
    for section, of in (("functions", "function"), ("queues", "queue")):
        near = [each for each in made.facts.get(section, {}) if key <= {*words(each)}]
        job |= {of: near[0]} if near else {}
    own = {k: v for k, v in called.items() if k != "updated" and v != _USUAL.get(k, k)}
    if called["updated"] and not (called["started"] and called["finished"]):
        own["updated"] = called["updated"]
    job |= {"columns": own} if own else {}
    status = sql.identifier(called["status"])
    asked = f"SELECT DISTINCT {status}::text AS s FROM {sql.quoted(name)} LIMIT 40"
    found = {str(each) for each in sql.ask(ops, asked)["s"].dropna()}
    states = {
        k: sorted(each for each in found if each.lower() in known) for k, known in _STATES.items()
    }
    if unknown := found - {each for known in states.values() for each in known}:
        made.note(
            "jobs", f"{name} has the states {', '.join(sorted(unknown))}, too: put them into states"
        )
    if any(set(known) - _AS_OURS[k] for k, known in states.items()):
        job["states"] = {k: known for k, known in states.items() if known}
    timeout = (
        made.facts.get("functions", {}).get(job.get("function"), {}).get("timeout_seconds", 600)
    )
    return job | {"stale_minutes": max(1, round(timeout * 1.5 / 60))}


def _objects(ops: Connection, made: Draft, tables: Json, told: Told) -> Iterator[tuple[str, Json]]:
    """Columns whose values are keys of objects below a prefix of a bucket."""
    kinds = ("text", "character varying")
    for name, columns in tables.items():
        for column in (c for c, kind in columns.items() if kind in kinds and _OBJECT & {*words(c)}):
            asked = f"SELECT {sql.identifier(column)} AS k FROM {sql.quoted(name)} "
            values = sql.ask(ops, f"{asked} WHERE {sql.identifier(column)} <> '' LIMIT 3")["k"]
            place = _holds(ops, made, [str(each) for each in values])
            if place:
                bucket, prefix = place
                key = prefix.strip("/") if prefix.strip("/") in name else bucket
                scan = told.path("post", key, "scan") or told.path("post", "orphan", "scan")
                facts = {"bucket": bucket, "prefix": prefix, "table": name, "column": column}
                made.note("orphans", "derived: what the app makes of these and gives no row")
                yield key, facts | ({"scan": scan} if scan else {})


def ask_buckets(ops: Connection, made: Draft) -> None:
    """Adds where Terraform keeps its state. Raises OpsError."""
    for name in (
        each["name"] for each in made.account["buckets"] if OF_TOOLS & {*words(each["name"])}
    ):
        keys = ops.pages("s3", "list_objects_v2", "Contents[].Key", limit=5_000, Bucket=name)
        found = {"directory": "terraform", "bucket": name}
        for fact, ends in (("state", ".tfstate"), ("plan", "plan.json")):
            if ending := [key for key in keys if key.endswith(ends)]:
                found[fact] = ending[0]
        if "state" in found:
            made.facts["terraform"] = found
            made.note(
                "terraform", "directory: where its configuration is in the system's repository"
            )


def _holds(ops: Connection, made: Draft, keys: list[str]) -> tuple[str, str] | None:
    """The bucket and prefix below which one of these keys is an object."""
    held = {each["name"]: each.get("prefixes") or () for each in made.account["buckets"]}
    for short, bucket in made.facts.get("buckets", {}).items():
        for prefix, key in product(held.get(bucket["name"], ()), keys):
            given = {"Bucket": bucket["name"], "Prefix": f"{prefix}{key.removeprefix(prefix)}"}
            if ops.call("s3", "list_objects_v2", MaxKeys=1, **given).get("Contents"):
                return short, prefix
    return None
