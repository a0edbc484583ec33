"""What an estate's YAML may say: its sections, each checked for unknown keys and wrong values.

Texts may name what the target's file describes, `{functions.api.name}`: see
`resources.placeholders`.
Durations are written as `25m`, `3h25m`, `7d`.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from opslib.lab.forms.days import Api, Clock, Lines, Measured, Traffic
from opslib.lab.forms.values import STRICT, Duration, Range


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
    # what the secret calls the database; `password`: it is the password and nothing else; `url`: it
    # is SQLAlchemy's address with all of it
    login: Literal["dbname", "database", "password", "url"] = "dbname"
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
class Functions:
    """How the functions are built. `published`: days before the lab's start of each version."""

    runtime: str = "python3.12"
    handler: str = "app.main.handler"
    published: Mapping[str, list[int]] = field(default_factory=dict)
    concurrency: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, Clock] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Services:
    """How the containers of the services are built. `revisions`: days before the start of each.

    `variables`, `secrets`: values of those that the target's file names; a secret's is its ARN, as
    `{secret_arn database.secret}:password::`. `cpu`, `memory`: percent at night and at the peak.
    `images`: others that were built, by tag, and what becomes of their tasks (`unhealthy`, `exit`).
    """

    revisions: Mapping[str, list[int]] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    needs_mb: Mapping[str, int] = field(default_factory=dict)  # a task that has less is killed
    cpu: Range = (9, 38)
    memory: Range = (34, 46)
    allows: list[str] = field(
        default_factory=lambda: ["dynamodb:*", "logs:*", "s3:*", "sqs:*", "secretsmanager:*"]
    )  # actions of the tasks' role
    # what is asked of each; a service that is not here gets a quiet day
    traffic: Mapping[str, Traffic] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Person:
    """A user of the pool; `role` is a group. `id`: username and sub, drawn where it is empty."""

    email: str
    role: str
    days: int  # since when
    status: str = "CONFIRMED"
    mfa: bool = False
    id: str = ""


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

    visibility_seconds: int = 5400  # six times what a function may take at most
    retention_days: int = 14
    attempts: int = 5


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Jobs:
    """The rows of what the target's file calls jobs. `share`: of the items, by kind,
    that had one.
    """

    models: list[str] = field(default_factory=list)
    share: Mapping[str, float] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Workflow:
    """A state machine of the target's file: its definition in the Amazon States Language.

    `allows`: the actions of its role.
    """

    allows: list[str] = field(default_factory=lambda: ["lambda:InvokeFunction"])
    definition: Mapping[str, Any] = field(
        default_factory=lambda: {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    )


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
    """Terraform's bucket. `applies`: days before the start, serial, version, what was not there.

    `names`: what its configuration calls the database, the alarms, …; `modules`: where they are.
    """

    version: str = "1.9.8"
    plan_minutes: int = 50
    applies: list[tuple[int, int, str, list[str]]] = field(
        default_factory=lambda: [(9, 12, "1.9.8", [])]
    )
    names: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Data:
    """An estate.yaml. `environments`: what is different there, merged over the rest."""

    network: Network | None = None
    database: Database = field(default_factory=Database)
    functions: Functions = field(default_factory=Functions)
    services: Services = field(default_factory=Services)
    users: Users = field(default_factory=Users)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    cache_days: int = 30  # the age of the secret with the cache's address
    queues: Queues = field(default_factory=Queues)
    jobs: Jobs = field(default_factory=Jobs)
    blocked: list[str] = field(default_factory=list)  # addresses in the set of `edge`
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    lines: Lines = field(default_factory=Lines)
    api: Api = field(default_factory=Api)
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    dashboards: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    terraform: Terraform = field(default_factory=Terraform)
