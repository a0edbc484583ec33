"""What an estate's YAML may say: its sections, each checked for unknown keys and wrong values.

Texts may name what the target's file describes: `{functions.api.name}` (see `resources.placeholders`).
Durations are written as `25m`, `3h25m`, `7d`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def duration(text: Any) -> timedelta:
    """`3h25m` as a timedelta; ValueError for anything else."""
    if isinstance(text, timedelta):
        return text
    found = _DURATION.fullmatch(str(text))
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is no duration: write it as 25m, 3h25m or 7d")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(duration)]
Range = tuple[float, float]  # lowest and highest


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Network:
    """The VPC. `groups`: security groups and what each is for; `let_in`: the port from `lambda`."""

    block: str = "10.90"  # the first two numbers of its addresses
    groups: Mapping[str, str] = field(
        default_factory=lambda: {
            "lambda": "The functions",
            "database": "The database",
            "endpoints": "VPC endpoints",
        }
    )
    let_in: Mapping[str, int] = field(default_factory=lambda: {"database": 5432, "endpoints": 443})


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Migrations:
    """SQL of the app's own table of its migrations, which are the revisions in schema.sql."""

    latest: str  # answers the newest that it has had
    done: str  # notes %(name)s
    undone: str  # notes that %(name)s is taken back, %(before)s is the newest again


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Rows:
    """Parameters of rows.sql: %(seed)s, %(rows)s, %(start)s and %(every)s, the time between two."""

    seed: str
    count: int
    days: float


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Database:
    """PostgreSQL with the instance or cluster that the target's file names.

    `settings`: of CreateDBInstance or CreateDBCluster, beside what the file says.
    """

    application: str = "app"  # its application_name
    pool: int = 5  # connections that the app keeps open
    login: Literal["dbname", "database"] = "dbname"  # what the secret calls the database
    password_days: int = 30  # the secret's age
    created_days: int = 300
    last_backup: Duration = timedelta(hours=4)
    limited: bool = False  # PostgreSQL itself turns away what is beyond max_connections
    instances: int = 1  # of a cluster
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    migrations: Migrations | None = None
    rows: Rows | None = None
    analyse: bool = False  # statistics are made and reset after it is filled


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Clock:
    """A function that runs by the clock: each `every` minutes of the lab's day, at minute `at`.

    `lines`: members of its JSON lines, or plain text; `{a-b}` in a text is a number by chance.
    `late`: the minute of the day at which it times out.
    """

    every: int
    at: int = 0
    ms: Range = (200, 900)
    lines: list[str | Mapping[str, Any]] = field(default_factory=lambda: [{"message": "done"}])
    late: int | None = None


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Functions:
    """How the functions are built. `published`: days before the lab's start of each version."""

    runtime: str = "python3.12"
    handler: str = "app.main.handler"
    published: Mapping[str, list[int]] = field(default_factory=dict)
    concurrency: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, Clock] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Person:
    """A user of the pool; `role` is a group."""

    email: str
    role: str
    days: int  # since when
    status: str = "CONFIRMED"
    mfa: bool = False


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Users:
    """The pool's users. `insert`: SQL of their rows: %(sub)s, %(email)s, %(role)s, %(created)s."""

    people: list[Person] = field(default_factory=list)
    groups: Mapping[str, str] = field(default_factory=dict)  # what each is for
    created_days: int = 400
    insert: str = ""


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Secret:
    """A secret that the target's file names, beside the database's. `{hex 160}` in it is drawn."""

    value: str
    days: int = 30


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Queues:
    """What the queues of the target's file have in common."""

    visibility_seconds: int = 900
    retention_days: int = 14
    attempts: int = 3


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Jobs:
    """The rows of what the target's file calls jobs. `share`: of the items, by kind, that had one."""

    models: list[str] = field(default_factory=list)
    share: Mapping[str, float] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Cold:
    """Requests that start a new environment, how long that takes, what they take longer.

    Which: by chance a `share`, or those that come `within_s` of a minute.
    """

    share: float = 0.0
    within_s: float = 0.0
    init_ms: Range
    plus_ms: Range = (0, 0)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Mishap:
    """What goes wrong on a good day. `below`: the chance of this and of all that stand before it.

    `ms`: instead of its duration, or (times, plus) of it. `{600-899}` in the path is a number by chance.
    """

    below: float
    ms: float | Range | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    message: str | None = None
    user: str | None = None
    crashed: bool = False


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Traffic:
    """What people and machines ask of the API each minute. `{item}` in a path is one of the items."""

    function: str = ""  # behind the API; else the first that the target's file names
    per_minute: Range = (4, 9)  # at night and at the peak
    routes: list[tuple[float, str, str, float]] = field(default_factory=list)  # share, how, what, ms
    spread: float = 0.45  # sigma of the durations
    created: int = 201  # what a POST is answered
    users: int = 0  # so many names
    nobody: list[str] = field(default_factory=list)  # paths that are asked without a name
    items: Range | None = None  # from, to: numbers of what is asked for
    cold: Cold | None = None
    mishaps: list[Mishap] = field(default_factory=list)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Lines:
    """The app's JSON line about a request, and what its log says when it fails.

    `errors_from`: statuses from here on are ERROR, but `warnings`. `with_base`: paths have the API's.
    `messages`: what is said of a status when nothing else is.
    """

    members: list[str] = field(
        default_factory=lambda: ["request_id", "method", "path", "status", "latency_ms", "message"]
    )
    errors_from: int = 500
    warnings: list[int] = field(default_factory=list)
    with_base: bool = False
    messages: Mapping[int, str] = field(default_factory=dict)
    thrown: str = "[ERROR] RuntimeError: unhandled exception"  # {stamp}, {id}
    error_type: str = "RuntimeError"
    timed_out: str = "{stamp} {id} Task timed out after {seconds:.2f} seconds"


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Api:
    """How the app answers. `breakable`: pattern of the paths at which a bad version fails.

    `error`: the member of an answer that says what cannot be done. `lost`, `failed`: what its log says,
    before the reason, when the database cannot be reached and when a statement fails. `most_ms`: a
    request counts no longer in the metrics, however slow the lab's machine is.
    """

    breakable: str = ".*"
    error: str = "detail"
    lost: str = ""
    failed: str = ""
    most_ms: float = math.inf


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Metric:
    """A metric that is no rhythm: its value at the lab's start, and what a day adds."""

    metric: str
    value: float
    per_day: float = 0.0
    unit: str = "Count"


Rhythm = tuple[str, float, float, float, str]  # metric, night, day, noise (a share), unit


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Counted:
    """Requests that were answered, counted as a metric of the system's own."""

    method: str | None = None
    path: str | None = None
    status: int | None = None
    but: int | None = None  # any status but this


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Measured:
    """Metrics with the same namespace and dimensions; `whole`: those that are whole numbers."""

    namespace: str
    dimensions: list[Mapping[str, str]]
    day: list[Rhythm | Metric] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    requests: Mapping[str, Counted] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Alarm:
    """`above` may be a placeholder with a factor: `{0.8 * database.max_connections}`."""

    text: str
    metric: tuple[str, str]
    dimensions: Mapping[str, str]
    statistic: str
    above: float | str


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Terraform:
    """Terraform's bucket. `applies`: days before the lab's start, serial, version, what was not there.

    `names`: what its configuration calls the database, the alarms, …; `modules`: where they are.
    """

    version: str = "1.9.8"
    plan_minutes: int = 50
    applies: list[tuple[int, int, str, list[str]]] = field(default_factory=lambda: [(9, 12, "1.9.8", [])])
    names: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Data:
    """An estate.yaml. `environments`: what is different there, merged over the rest."""

    network: Network | None = None
    database: Database = field(default_factory=Database)
    functions: Functions = field(default_factory=Functions)
    users: Users = field(default_factory=Users)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    queues: Queues = field(default_factory=Queues)
    jobs: Jobs = field(default_factory=Jobs)
    traffic: Traffic = field(default_factory=Traffic)
    lines: Lines = field(default_factory=Lines)
    api: Api = field(default_factory=Api)
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    dashboards: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    terraform: Terraform = field(default_factory=Terraform)
