"""What API and database tell of themselves: health paths, tables of jobs, users, migrations."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from opslib.core import Connection, Json, OpsError, sql
from opslib.discovery.facts import Draft
from opslib.discovery.known import first, has, known, words


@dataclass(frozen=True)
class Told:
    """What an API told: answers of its health paths; all paths, as OpenAPI says of them."""

    bodies: dict[str, Any] = field(default_factory=dict)
    paths: Json = field(default_factory=dict)

    def path(self, method: str, *has: str) -> str:
        """The first path that is asked so and has these words."""
        every = (path for path, how in self.paths.items() if method in how)
        return str(first(path for path in every if {*has} <= {*words(path)}))


def ask_api(ops: Connection, made: Draft) -> Told:
    """Adds what the API tells of its health and its items. Only GET."""
    api = made.facts["api"]
    paths = next(filter(None, (_paths(body) for _, body in _got(ops, known("openapi")))), {})
    asked = (path for path, how in paths.items() if "get" in how and "{" not in path)
    listed = [path for path in asked if has(path, "probe")]
    bodies = dict(_got(ops, listed))
    for path, body in () if bodies else _got(ops, known("health")):
        bodies = {path: body, **dict(_got(ops, [path + more for more in known("below")]))}
        break
    deep = [path for path in bodies if has(path, "deep")]
    if bodies:
        shallow = [path for path in bodies if path not in deep]
        api["probes"] = {path: _proves(path) for path in shallow or deep}
        api["deep"] = (deep or shallow)[0]
    else:
        made.note("api", "no usual path of health answered: name those it has in probes")
    told = Told(bodies, paths)
    _items(made, paths)
    if migrate := told.path("post", "migrate") or told.path("post", "migrations"):
        api["migrate"] = migrate
    return told


def _got(ops: Connection, paths: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Paths that answer with 2xx, and what; each is asked when it is wanted."""
    for path in paths:
        with suppress(OpsError):
            if (answer := ops.http("GET", path)).ok:
                yield path, answer.text if answer.body is None else answer.body


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
    proves = known("proves")
    return next((proves[word] for word in reversed(words(path)) if word in proves), "it answers")


def _items(made: Draft, paths: Json) -> None:
    """The path of an item, and of the list of them."""
    asked = [path for path, how in paths.items() if "get" in how]
    for path in sorted((path for path in asked if f"{path}/{{id}}" in asked), key=len)[:1]:
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


_TEXTS = ("text", "character varying")
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
        facts = known("migrations").get(name.rpartition(".")[2])
        if not facts:
            continue
        column = sql.identifier(facts["migrations_column"])
        newest = sql.value(ops, f"SELECT max({column}::text) FROM {sql.quoted(name)}")
        database |= {"migrations": name, **facts}
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
                return {"function": made.key("functions", each["name"]), "variable": name}
    return None


def _flags(made: Draft, tables: Json) -> None:
    for name, columns in tables.items():
        flags = ("is_deleted", "deleted")
        flag = first(each for each in flags if columns.get(each) == "boolean")
        if flag and "id" in columns:
            texts = [each for each, kind in columns.items() if kind in _TEXTS]
            made.facts["database"].setdefault(
                "soft_delete", {"table": name, "id": "id", "flag": flag, "shown": texts[:4]}
            )


def _jobs(ops: Connection, made: Draft, tables: Json, told: Told) -> Iterator[tuple[str, Json]]:
    for name, columns in tables.items():
        called = {
            key: first(each for each in usual if each in columns) or None
            for key, usual in known("columns").items()
        }
        timed = called["created"] and (called["started"] or called["updated"])
        if called["status"] and timed and (has(name, "job") or called["attempts"]):
            of = [word for word in words(name) if not has(word, "job")]
            job = _job(made, name, columns, called, {*of})
            job |= _states(ops, made, name, called["status"])
            for fact, path in (
                ("trigger", told.path("post", *of, "id")),
                ("status", told.path("get", *of, "status")),
            ):
                job |= {fact: path} if path else {}
            yield "-".join(of) or "jobs", job


def _job(made: Draft, name: str, columns: Json, called: Json, of: set[str]) -> Json:
    others = [each for each in columns if each.endswith("_id") and each != "tenant_id"]
    job: Json = {"table": name, "item": (others or ["id"])[0]}
    for fact, section in (("function", "functions"), ("queue", "queues")):
        near = [each for each in made.facts.get(section, {}) if of <= {*words(each)}]
        job |= {fact: near[0]} if near else {}
    own = {key: each for key, each in called.items() if each != known("columns", key)[0]}
    if called["updated"] and not (called["started"] and called["finished"]):
        own["updated"] = called["updated"]
    else:
        own.pop("updated", None)
    job |= {"columns": own} if own else {}
    seconds = 600.0  # of a worker that is not known
    if "function" in job:
        seconds = made.facts["functions"][job["function"]].get("timeout_seconds", seconds)
    return job | {"stale_minutes": max(1, round(seconds * 1.5 / 60))}


def _states(ops: Connection, made: Draft, table: str, column: str) -> Json:
    """`states`, where a table has others than those that need not be said."""
    status = sql.identifier(column)
    asked = f"SELECT DISTINCT {status}::text AS s FROM {sql.quoted(table)} LIMIT 40"
    found = sorted(map(str, sql.ask(ops, asked)["s"].dropna()))
    states = {
        key: [s for s in found if s.lower() in usual] for key, usual in known("states").items()
    }
    if other := [s for s in found if not any(s in each for each in states.values())]:
        made.note("jobs", f"{table} has states that are put nowhere: {', '.join(other)}")
    if all({*each} <= {known("states", key)[0]} for key, each in states.items()):
        return {}
    return {"states": {key: each for key, each in states.items() if each}}


def _objects(ops: Connection, made: Draft, tables: Json, told: Told) -> Iterator[tuple[str, Json]]:
    """Columns whose values are keys of objects below a prefix of a bucket."""
    for name, columns in tables.items():
        for column in (c for c, kind in columns.items() if kind in _TEXTS and has(c, "object")):
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
    for name in (name for name in made.ask("buckets[].name") if has(name, "tools")):
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
