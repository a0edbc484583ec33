"""How an estate begins and how its day goes on: from its data, its target's file and its Python."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import psycopg
from moto.moto_api._internal import mock_random

from opslib.lab.aws import ids
from opslib.lab.aws.handlers import FunctionHandler
from opslib.lab.forms import data
from opslib.lab.places import Place
from opslib.lab.resources import (
    buckets,
    functions,
    monitors,
    names,
    networks,
    placeholders,
    queues,
    secrets,
    services,
    tables,
    users,
)
from opslib.lab.resources.databases import caches, logins, rds
from opslib.lab.resources.databases.migrations import Migrations
from opslib.lab.resources.edges import (
    certificates,
    distributions,
    firewalls,
    gateways,
    hosts,
    mail,
    schedules,
)
from opslib.lab.resources.functions import Build
from opslib.lab.resources.networks import Network
from opslib.lab.resources.search import domains as searches
from opslib.lab.resources.terraform import described
from opslib.lab.traffic import clocks, days, journals, measures, tasks, troubles
from opslib.lab.traffic.apps import Said
from opslib.lab.traffic.requests import Routes
from opslib.lab.verbs import trails, verbs
from opslib.lab.work import commands, deliveries, executions, jobs, workers
from opslib.lab.work.workers import Work

_POOL_SECONDS = 5.0
Database: TypeAlias = psycopg.Connection[Any]


@dataclass(frozen=True)
class Application:
    """What an estate's Python brings. `functions`: by the key of the target's file.

    fill:  rows, as the database's owner, after schema.sql and rows.sql
    seed:  what else is there at the lab's start; the database is full then
    tick:  called about each second
    work:  does a job of a kind about an item, as the workers behind the queues do
    said:  what the log says of an answer that is an error
    """

    routes: Routes = field(default_factory=dict)
    functions: Mapping[str, FunctionHandler] = field(default_factory=dict)
    fill: Callable[[Place, Database], None] = lambda place, database: None
    seed: Callable[[Place], None] = lambda place: None
    tick: Callable[[Place, datetime], None] = lambda place, now: None
    work: Work | None = None
    said: Said | None = None


@dataclass(frozen=True)
class Texts:
    """An estate's SQL: migrations, rows.sql, and statements.sql by name."""

    migrations: Migrations | None = None
    rows: str = ""
    statements: Mapping[str, str] = field(default_factory=dict)


def seed(place: Place, about: data.Data, sql: Texts, application: Application) -> None:
    """Everything that the target has at the lab's start, and the day before in logs and metrics."""
    mock_random.seed(names.number(place, "identifiers"))  # ids: the same for the same seed
    place.memory["data"], place.memory["statements"] = about, sql.statements
    place.memory["migrations"] = sql.migrations
    place.memory["schema"] = sql.migrations.head if sql.migrations else ""
    network = networks.seed(place, about.network) if about.network else None
    password = rds.login(place, about.database) if "database" in place.facts else ""
    _secrets(place, about.secrets)
    if "cache" in place.facts:
        caches.seed(place, about.cache_days)
    if password:
        rds.seed(place, about.database, password)
        rds.keep_pool(place)
        with ThreadPoolExecutor(1) as making:  # PostgreSQL makes the rows in its own processes
            made = making.submit(_fill, place, password, sql, application)
            _seed_rest(place, about, network)
            made.result()
    else:
        _seed_rest(place, about, network)
    if "users" in place.facts:
        users.fill(place, about.users)
    searches.fill(place)
    trails.seed(place)
    application.seed(place)
    commands.seed(place)
    if days.of(place):
        journals.append_requests(place, names.start(place) - timedelta(days=1), names.start(place))
    _tell(place, names.start(place) - timedelta(days=1), names.start(place))
    jobs.tell(place)


def _secrets(place: Place, wanted: Mapping[str, data.Secret]) -> None:
    for name, secret in wanted.items():
        value = placeholders.drawn(place, secret.value, "token")
        secrets.put(place, placeholders.text(place, name), value, secret.days)


def _fill(place: Place, password: str, sql: Texts, application: Application) -> None:
    about = place.memory["data"].database
    name = names.database(place)
    if about.limited:
        limit = int(place.facts["database"]["max_connections"])
        with place.database(name) as database:
            database.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {limit}".encode())
    with logins.owner(place, password) as database:
        if sql.migrations:
            sql.migrations.create(database, lambda session: _rows(place, session, sql.rows))
        application.fill(place, database)
        jobs.fill(place, database)
        if about.analyse:
            database.execute("ANALYZE")
    if about.analyse:
        with place.database(name) as database:
            database.execute(
                "SELECT pg_stat_statements_reset()"
            )  # what made it is not what it does


def _rows(place: Place, database: Database, text: str) -> None:
    about = place.memory["data"].database.rows
    if about:
        every = timedelta(days=about.days) / about.count
        seed = f"{names.number(place, about.seed)}/"
        given = {"seed": seed, "rows": about.count, "start": names.start(place), "every": every}
        database.execute(text.encode(), given)


def _seed_rest(place: Place, about: data.Data, network: Network | None) -> None:
    if "users" in place.facts:
        users.seed(place, about.users)
    queues.seed(place, about.queues)
    buckets.seed(place)
    if "functions" in place.facts:
        _functions(place, about, network)
    tables.seed(place)
    firewalls.seed(place, about.blocked)
    mail.seed(place)
    for name in place.facts.get("logs", {}).get("groups", ()):
        _log_group(place, name)
    if {"services", "maintenance_mode"} & place.facts.keys():
        services.seed(place, about.services, network.of_functions() if network else {})
    if "services" in place.facts:
        tasks.seed(place, about)
    if "api" in place.facts:
        with ids.apart():
            gateways.seed(place, about.traffic, about.api.authorizer)
    with ids.apart():
        gateways.seed_described(place)
    measures.seed_day(place, about.metrics)
    queues.measure(place)
    monitors.seed(place, about)
    certificates.seed(place)
    distributions.seed(place)
    schedules.seed(place)
    hosts.seed(place)
    executions.seed(place, about)
    searches.seed(place, network.of_functions() if network else {})
    if "terraform" in place.facts:
        described.seed(place, about.terraform)


def _functions(place: Place, about: data.Data, network: Network | None) -> None:
    own = about.functions
    build = Build(own.runtime, own.handler, own.published, place.memory["schema"], own.concurrency)
    vpc = network.of_functions() if network else {}
    functions.seed(place, build, _variables(place, own.variables), vpc)
    queues.hand_over(place)
    for key in place.facts["functions"]:
        _log_group(place, names.log_group(place, key))
    clocks.measure(place)
    if about.traffic.routes and "api" in place.facts:
        place.memory["traffic"] = days.Day(place, about.traffic, about.lines)
        measures.api(place)


def _log_group(place: Place, name: str) -> None:
    place.logs(name, [])
    place.client("logs").put_retention_policy(logGroupName=name, retentionInDays=90)


def _variables(place: Place, known: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The functions' environment by key: what the target's file names."""
    drawn = placeholders.Drawn(names.generator(place, "variables"))
    values = {name: drawn.text(value) for name, value in known.items()}
    return {
        key: {
            name: placeholders.text(place, values.get(name, "on"))
            for name in facts.get("variables", ())
        }
        for key, facts in place.facts["functions"].items()
    }


def tick(place: Place, now: datetime, application: Application) -> None:
    """A second of the day: log lines, and what somebody deployed or repaired meanwhile."""
    if "functions" in place.facts:
        functions.observe(place, now)
    verbs.tick(place)
    troubles.tick(place, now)
    last = place.memory["ticked"]
    if days.of(place):
        journals.append_requests(place, place.memory["told"], now)
    _tell(place, last, now)
    _keep_pool(place, now)
    if application.work:
        workers.tick(place, now, application.work)
    deliveries.tick(place)
    application.tick(place, now)


def _tell(place: Place, since: datetime, until: datetime) -> None:
    place.memory["ticked"] = until
    if "functions" in place.facts:
        clocks.append(place, since, until)
    tasks.append(place, since, until)


def _keep_pool(place: Place, now: datetime) -> None:
    last = place.memory.get("pool kept")
    if "database" in place.facts and (not last or (now - last).total_seconds() > _POOL_SECONDS):
        place.memory["pool kept"] = now
        rds.keep_pool(place)
