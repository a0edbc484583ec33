"""A system of which the lab knows only its target's file: its practice copy is there,
and healthy.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from opslib import UsageError, buckets, connect, databases, edge, jobs
from opslib import lab as practice
from opslib.catalogue import procedures
from opslib.core import paths
from opslib.core.connections import sql, targets
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import value as sql_value
from opslib.core.reads import logs
from opslib.core.times import Window
from opslib.databases import migrations
from opslib.jobs import jobs as jobs_read
from opslib.lab.estates import generic
from opslib.lab.server import opened
from opslib.records import facts
from opslib.reports import reports
from opslib.runs import choices
from tests import notebooks

SHOP = """\
title: Shop production
system: shop
environment: production
production: true
account: "444455556666"
region: eu-central-1
api:
  url: https://shop.example.com/v2
  key: {secret: shop/token, field: apiKey, header: X-API-Key}
  probes: {/health: it runs, /ready: it may be asked}
  deep: /health/deep
  shallow: /items?limit=1
  smoke: {create: /records, body: {kind: test}, id: id, read: /records?kind=test}
functions:
  web: {name: shop-web, alias: live, timeout_seconds: 10, memory_mb: 256, variables: [STAGE, SCHEMA]}
  mailer: {name: shop-mailer}
  migrate: {name: shop-migrate, alias: live, timeout_seconds: 60}
queues:
  mail: {name: shop-mail, dead_letters: shop-mail-dead}
  events: {name: shop-events.fifo}
buckets:
  uploads: {name: shop-uploads, versioning: true, encryption: AES256, public: false}
  site: {name: shop-site, public: true, cors_origins: [https://shop.example.com]}
orphans:
  uploads: {bucket: uploads, prefix: items/, table: item_files, column: key,
            scan: {method: GET, path: /admin/scan, orphans: result.total_count, total: result.seen}}
database:
  instance: shop
  secret: shop/database
  backup_days: 9
  max_connections: 80
  migrations: shop.migrations
  migrations_column: version
  migrations_head: {function: web, variable: SCHEMA}
  soft_delete: {table: shop.records, id: id, flag: gone, shown: [kind]}
jobs:
  mail:
    table: mail_jobs
    item: order_id
    columns: {status: state, created: made, started: null, finished: null, updated: updated_at,
              model: null, attempts: null, error: reason}
    states: {waiting: [pending, enqueued], running: [PROCESSING], done: [sent], failed: [bounced]}
    queue: mail
    function: mailer
    stale_minutes: 10
    trigger: /mails/{id}
search:
  domain: shop-search
  indices:
    orders: {index: orders-v1, table: shop.orders, id: number, where: "state = 'paid' AND NOT gone IS NULL",
             changed: updated, fields: {total: total}, mapping: {properties: {total: {type: long}}}}
users: {pool: shop-users, table: accounts}
network: {vpc: shop, endpoints: {s3: Gateway, sqs: Interface}}
terraform: {directory: terraform, bucket: shop-terraform, state: state.json, plan: plan.json}
alarms:
  patterns: ["shop-*"]
  expected: {shop-web-errors: daily, shop-connections: daily, shop-storage: daily}
dashboards: {main: shop-main}
metrics_namespace: Shop
metrics:
  web-errors:
    {title: Errors, namespace: AWS/Lambda, metric: Errors, dimensions: {FunctionName: shop-web}, statistic: Sum,
     warn: 1, critical: 5}
  web-duration:
    {title: Duration, namespace: AWS/Lambda, metric: Duration, dimensions: {FunctionName: shop-web},
     statistic: p95, unit: ms, warn: 200, critical: 900}
  connections:
    {title: Connections, namespace: AWS/RDS, metric: DatabaseConnections,
     dimensions: {DBInstanceIdentifier: shop}, statistic: Maximum, warn: 40, critical: 60}
  cpu:
    {title: CPU, namespace: AWS/RDS, metric: CPUUtilization, dimensions: {DBInstanceIdentifier: shop},
     statistic: Average, warn: 70, critical: 90}
  storage:
    {title: Storage, namespace: AWS/RDS, metric: FreeStorageSpace, dimensions: {DBInstanceIdentifier: shop},
     statistic: Minimum, unit: bytes, warn: 200.0e+9, critical: 100.0e+9, below: true}
  mail-age:
    {title: Oldest mail, namespace: AWS/SQS, metric: ApproximateAgeOfOldestMessage,
     dimensions: {QueueName: shop-mail}, statistic: Maximum, unit: s, warn: 60}
  orders:
    {title: Orders, namespace: Shop, metric: Orders, statistic: Sum, warn: 1000}
secrets:
  shop/database: {max_age_days: 90}
  shop/payments: {max_age_days: 14}
certificates:
  shop.example.com: {min_days: 30}
  www.shop.example.com: {min_days: 30}
distributions:
  pages: {id: E2QWRUHAPOMQZL, host: www.shop.example.com, acl: shop-pages}
apis:
  partners: {id: a1b2c3d4e5, kind: REST, host: partners.shop.example.com}
  inner: {id: b1b2c3d4e5}
schedules:
  nightly: {name: shop-nightly, group: shop, target: "shop-web:live"}
  sales: {name: shop-sales, enabled: false, target: shop-mail}
dns:
  pages: {host: www.shop.example.com, zone: Z0SHOP1234}
  api: {host: shop.example.com, zone: Z0SHOP1234}
"""
BARE = """\
title: Blog staging
system: blog
environment: staging
production: false
account: "555566667777"
region: us-east-1
api: {url: https://blog.example.com, probes: {/: it runs}, deep: /deep}
buckets: {pages: {name: blog-pages}}
"""
CLUSTER = """\
title: Desk staging
system: desk
environment: staging
production: false
account: "666677778888"
region: us-west-2
functions: {work: {name: desk-work}}
database: {cluster: desk}
alarms: {patterns: [desk-*]}
"""
SOVEREIGN = """\
title: Clinic production
system: clinic
environment: production
production: true
account: "777788889999"
region: eusc-de-east-1
api: {url: https://clinic.example.eu, probes: {/: page}}
functions:
  api: {name: clinic_api, memory_mb: 128}
  remind: {name: clinic_remind, alias: prod, needs: [users]}
tables:
  main: {name: Clinic, key: pk, sort: sk, time_to_live: expires, point_in_time: true}
buckets:
  scans: {name: clinic-scans, versioning: true, encryption: AES256, public: false,
          cors_origins: ["https://clinic.example.eu"], cors_methods: [PUT]}
uploads:
  scan: {bucket: scans, origins: ["https://clinic.example.eu"], methods: [PUT]}
users: {pool: clinic-patients, domain: clinic-login}
mail: {identities: [clinic.example.eu], from: hello@clinic.example.eu, configuration_set: clinic,
       service: remind}
alarms: {patterns: [clinic-*]}
costs: {}
access: {max_age_days: 60}
"""
CHINA = """\
title: Ledger production
system: ledger
environment: production
production: true
account: "888899990000"
region: cn-northwest-1
api: {url: https://ledger.example.cn, probes: {/healthz: it runs}}
services:
  web: {cluster: ledger, name: ledger-web, target_group: ledger-web, load_balancer: ledger, tasks: 2}
queues:
  postings: {name: ledger-postings.fifo, dead_letters: ledger-postings-dead.fifo}
database: {instance: ledger, secret: ledger/db, migrations: flyway_schema_history, migrations_tool: flyway}
cache: {secret: ledger/redis}
network: {vpc: ledger, endpoints: {s3: Gateway, secretsmanager: Interface}, service: web}
alarms: {patterns: [ledger-*]}
costs: {}
access: {max_age_days: 60}
"""
LEAST = """\
title: Least staging
system: least
environment: staging
production: false
account: "131313131313"
region: us-east-2
api: {url: https://least.example.com}
functions: {one: {name: least-one}}
services: {web: {cluster: least, name: least-web}}
tables: {all: {name: least-all}}
queues: {work: {name: least-work}}
buckets: {files: {name: least-files}}
uploads: {files: {bucket: files, origins: ["https://least.example.com"]}}
orphans: {files: {bucket: files, prefix: x/, table: files, column: key}}
database: {instance: least}
jobs: {work: {table: jobs, item: what, stale_minutes: 30}}
search: {domain: least}
users: {pool: least-users}
cache: {secret: least/redis}
workflows: {work: {name: least-work}}
mail: {identities: [least.example.com]}
network: {vpc: least}
edge: {ip_set: least-blocked}
alarms: {patterns: ["least-*"]}
metrics: {}
access: {}
costs: {}
"""
ODD = """\
title: Lager № 4, 倉庫 & "Co"
system: ÜBER.Lager
environment: Q4
production: true
account: "404040404040"
region: eu-west-3
api: {url: https://lager.example.fr/API/v1.0, probes: {"/Gesund heit?tief=ja": läuft, "/v1/items/{id}": one, /healthz/: it runs}}
functions:
  Abruf/Web.V2: {name: Lager_Abruf-WEB_v2, alias: PROD, variables: [A]}
services: {Web.App: {cluster: Lager_Cluster, name: Web_App}}
queues:
  ein: {name: LAGER_Eingang, dead_letters: LAGER_Tote}
  aus: {name: LAGER_Ausgang, dead_letters: LAGER_Tote}
  tote: {name: LAGER_Tote}
buckets: {Bilder/Original: {name: lager.bilder, versioning: false}, nochmal: {name: lager.bilder}}
database:
  instance: Lager-DB
  secret: Lager/alles
  reader_secret: Lager/lesen
  migrations: flyway_schema_history
  migrations_tool: flyway
  migrations_head: "20240101.1"
  queries: {"Fehlbestand: heute": {title: Fehlbestand %, sql: "SELECT 1 AS \\"Größe\\"", at_most: 1}}
jobs:
  eins: {table: t.jobs, item: was, stale_minutes: 5}
  zwei: {table: t.jobs, item: wofür, stale_minutes: 5}
workflows: {lauf: {name: Lager_Lauf, item: id}}
cache: {secret: Lager/cache}
secrets: {Lager/alles: {max_age_days: 9}, Lager/cache: {max_age_days: 9}}
users: {pool: Lager, clients: {w: {name: w, callback_urls: ["https://lager.example.fr/cb"]}, m: {name: m, oauth_flows: [client_credentials], scopes: [a/b],
        secret: {name: Lager/alles, key: secret}}}}
edge: {ip_set: Lager-zu, acl: Lager-acl}
mail: {identities: [lager.example.fr], region: eu-west-1}
alarms: {patterns: ["[P1] *", "Lager: *"], expected: {"[P1] Lager: Web (5xx > 1 %)": functions/health}}
metrics:
  frost: {title: Frost, namespace: Lager, metric: Temp, statistic: Minimum, warn: -10, critical: -20, below: true}
  tau: {title: Tau, namespace: Lager, metric: Tau, statistic: Maximum, warn: -5}
  lauf: {title: Failed, namespace: AWS/States, metric: ExecutionsFailed, statistic: Sum, warn: 1,
         dimensions: {StateMachineArn: "arn:aws:states:eu-west-3:404040404040:stateMachine:Lager_Lauf"}}
  item: {title: GET, namespace: AWS/ApiGateway, metric: Latency, statistic: p99, warn: 400,
         dimensions: {ApiName: lager, Resource: "/items/{id}"}}
logs: {groups: [ohne-strich]}
"""
LONG = """\
title: Long
system: customer-facing-inventory-replenishment-orchestration-service
environment: preproduction-blue
production: false
account: "343434343434"
region: us-west-2
functions: {api: {name: inventory-api, alias: live}}
database: {instance: customer-facing-inventory-replenishment-orchestration-db}
"""
ELSEWHERE = """\
title: Pulse
system: pulse
environment: main
production: true
account: "909090909090"
region: sa-east-1
api: {url: "https://pulse.example.com.br:8443", probes: {/: home}}
database: {host: db.pulse.example.com.br, port: 6432, secret: pulse/db, name: pulse}
"""
DJANGO = """\
title: Pantry
system: pantry
environment: prod
production: true
account: "989898989898"
region: ap-southeast-2
api:
  url: https://pantry.example.com
  probes: {/healthz/: gunicorn answers, /healthz/db/: Django reaches PostgreSQL}
services:
  web: {cluster: Pantry_Prod, name: Pantry_Web, container: django, tasks: 3, min_tasks: 2, max_tasks: 9, health: /healthz/}
  "on": {cluster: Pantry_Prod, name: celery-worker, log_group: /ecs/Pantry/celery, tasks: 2}
  "2024": {cluster: Pantry_Prod, name: pantry-legacy}
  célery.beat/1: {cluster: Pantry_Prod, name: celery-beat, tasks: 1}
database:
  instance: pantry-db-1
  secret: prod/pantry/DATABASE_URL
  migrations: django_migrations
  migrations_tool: django
  migrations_head: orders.0042_auto_2024
  migrations_column: name
  queries:
    unpaid: {title: Orders that nobody paid, at_most: 20, sql: "SELECT id, total FROM shop_order WHERE paid IS NULL"}
    slow: {title: Orders that wait, at_most: 0, sql: "SELECT o.id, c.name FROM sales.orders AS o JOIN customers c
           ON c.id = o.customer_id WHERE o.shipped_at < now() - interval '1 day'"}
cache: {secret: prod/pantry/redis, keys: {celery: {title: Queues of Celery, pattern: "celery*"}}}
jobs:
  exports: {table: shop_export, item: order_id, service: "on", stale_minutes: 30,
            states: {waiting: [PENDING], running: [STARTED], done: [SUCCESS], failed: [FAILURE, REVOKED]}}
recovery: {rpo_hours: 1, rto_hours: 4, newest: {shop_order: created_at, shop_refund: made_at}}
alarms: {patterns: ["Pantry *"], expected: {"Pantry 5xx / web": services/health}}
"""
MACHINES = """title: Depot
system: depot
environment: live
production: true
account: "979797979797"
region: eu-west-2
database: {instance: depot, migrations: django_migrations, migrations_tool: django,
           migrations_head: {path: /version, field: schema}}
api: {url: https://depot.example.com, probes: {/version: it runs}}
maintenance_mode: {load_balancer: depot-alb, body: back soon}
jobs: {mail: {table: mails, item: recipient, stale_minutes: 30, queue: mail}}
queues: {mail: {name: depot-mail}}
"""
TARGET = "lab/shop-production"
FILES = {
    "shop-production": SHOP,
    "blog-staging": BARE,
    "desk-staging": CLUSTER,
    "clinic-production": SOVEREIGN,
    "ledger-production": CHINA,
    "least-staging": LEAST,
    "ÜBER.Lager-Q4": ODD,
    "customer-facing-inventory-replenishment-orchestration-service-preproduction-blue": LONG,
    "pulse-main": ELSEWHERE,
    "pantry-prod": DJANGO,
    "depot-live": MACHINES,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project of three systems that the lab has never met, and its lab."""
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "parameters" / "targets").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / "parameters" / "targets" / f"{name}.yaml").write_text(text)
    notebooks_there = paths.notebooks()
    with pytest.MonkeyPatch.context() as patch:
        (folder / "notebooks").symlink_to(notebooks_there)
        patch.setenv("OPSLIB_HOME", str(folder))
        patch.setenv("OPSLIB_LAB_DIR", str(folder / "lab"))
        patch.setenv("OPSLIB_RECORDS", str(folder / "records"))
        practice.up()
        yield folder
        practice.down()


@pytest.fixture
def shop(home: Path) -> Connection:
    return connect(TARGET)


@pytest.mark.some(9)
@pytest.mark.parametrize("name", FILES)
def test_its_daily_report_finds_nothing_wrong(home: Path, name: str) -> None:
    found = reports.daily(connect(f"lab/{name}")).findings
    assert len(found) >= 4
    assert [each for each in found if each.status != "ok"] == []


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("name", "begins"),
    [("clinic-production", "arn:aws-eusc:"), ("ledger-production", "arn:aws-cn:")],
)
def test_another_partition_has_names_of_its_own(home: Path, name: str, begins: str) -> None:
    ops = connect(f"lab/{name}")
    assert ops.identity.arn.startswith(begins)
    told = [e["Arn"] for e in ops.pages("iam", "list_users", "Users[]")]
    assert told
    assert all(arn.startswith(begins) for arn in told)


def test_of_a_database_that_rds_does_not_run_only_the_database_itself_is_asked(home: Path) -> None:
    found = notebooks.run("databases/health", target="lab/pulse-main")["ops"].findings
    assert {each.status for each in found} == {"ok"}
    assert "Connections taken" in {each.check for each in found}
    assert not [each for each in found if each.source.startswith("rds ")]
    for procedure in ("databases/restore", "databases/snapshot", "recovery/readiness"):
        with pytest.raises(
            UsageError, match=r"describes no database\.cluster or database\.instance"
        ):
            choices.choose(procedures.find(procedure), targets.load("lab/pulse-main"), {})


def test_of_two_needs_only_the_one_that_is_not_described_is_told(home: Path) -> None:
    with pytest.raises(UsageError, match="describes no functions, without"):
        choices.choose(procedures.find("deployments/verify"), targets.load("lab/blog-staging"), {})


def test_what_a_system_has_none_of_ends_no_procedure_that_looks_at_more(home: Path) -> None:
    """No key metrics, no functions, no test record."""
    for procedure, name in (
        ("alarms/review", "desk-staging"),
        ("reports/respond", "pulse-main"),
        ("deployments/verify", "clinic-production"),
    ):
        found = notebooks.run(procedure, target=f"lab/{name}")["ops"].findings
        assert {each.status for each in found} == {"ok"}, procedure


def test_what_the_file_describes_and_is_gone_is_critical_however_aws_says_so(home: Path) -> None:
    ops = connect("lab/depot-live")
    facts = ops.target.facts.plain()
    facts["maintenance_mode"]["load_balancer"] = "depot-old"
    ops.target = targets.described(ops.target.name, facts)
    [found] = edge.check_mode(ops)
    assert (found.status, found.cause) == ("critical", "described-and-gone")
    assert "Described as maintenance_mode.load_balancer, and not there" in found.seen


def test_a_query_is_found_by_a_name_of_several_words(home: Path) -> None:
    given = {"target": "lab/ÜBER.Lager-Q4", "query": "Fehlbestand: heute"}
    assert notebooks.run("databases/query", **given)["ops"].findings.troubles == []


def test_a_database_is_restored_under_a_name_that_rds_takes(home: Path) -> None:
    """RDS makes each lower case."""
    plan = notebooks.run("databases/replica", target="lab/ÜBER.Lager-Q4")["plan"]
    assert "lager-db-replica-1" in plan.summary


def test_a_long_name_leaves_room_for_what_is_made_beside_it(home: Path) -> None:
    ops = connect(f"lab/{max(FILES, key=len)}")
    for plan in (databases.plan_restore(ops, to="latest"), databases.plan_replica(ops)):
        assert "customer-facing-inventory-replenishment-orche" in plan.summary


def test_a_table_is_looked_after_where_there_is_one(home: Path) -> None:
    """In whatever schema; of two that are called alike the one that the name says."""
    empty = databases.plan_upkeep(connect(f"lab/{max(FILES, key=len)}"), "")
    assert (empty.steps, "has no table" in empty.summary) == ((), True)
    shop = connect(TARGET)
    assert databases.plan_upkeep(shop, "shop.records").steps[0].title.endswith('"shop"."records"')
    with pytest.raises(UsageError, match=r"Did you mean 'shop\.records'"):
        databases.plan_upkeep(shop, "records")


@pytest.mark.slow
def test_its_daily_report_looks_at_all_that_its_file_describes(shop: Connection) -> None:
    looked = {
        "health",
        "metrics",
        "alarms",
        "queues",
        "jobs",
        "functions",
        "database",
        "errors",
        "backups",
    }
    assert looked | {"secrets", "certificates"} <= set(reports.daily(shop).parts)


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("procedure", "given"),
    [
        ("alarms/review", {}),
        ("databases/health", {}),
        ("databases/migrate", {}),
        ("deployments/plan", {}),
        ("deployments/verify", {}),
        ("functions/configuration", {"function": "web"}),
        ("functions/health", {}),
        ("functions/latency", {"function": "web"}),
        ("functions/rollback", {"function": "web"}),
        ("health/deep", {}),
        ("jobs/stale", {"kind": "mail"}),
        ("logs/errors", {}),
        ("metrics/dashboard", {"dashboard": "main"}),
        ("queues/dead-letters", {}),
        ("search/health", {}),
        ("search/reindex", {"index": "orders"}),
    ],
)
def test_a_procedure_finds_nothing_wrong(home: Path, procedure: str, given: dict[str, str]) -> None:
    found = notebooks.run(procedure, target=TARGET, **given)["ops"].findings
    assert found
    assert [each for each in found if each.status != "ok"] == []


WANTS = {"databases/query", "logs/follow", "reports/daily", "users/sign-in"}  # what a person knows


@pytest.mark.slow
def test_what_looks_is_offered_only_where_the_file_has_what_it_needs(home: Path) -> None:
    target = targets.load("lab/least-staging")
    every = [procedures.find(name) for name in procedures.names()]
    looks = [each for each in every if each.effect == "read" and each.name not in WANTS]
    offered = [each for each in looks if choices.is_described(each, target)]
    assert 20 < len(offered) < len(looks)
    lacking = {}
    for each in offered:
        given = choices.choose(each, target, {})
        try:
            notebooks.run(each.name, target=target.name, **given)
        except UsageError as exc:
            lacking[each.name] = str(exc)
    assert lacking == {}


DRILLS = {drill.name: drill for drill in generic.drills()}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_of_any_system_is_named_and_leaves_nothing(home: Path, name: str) -> None:
    before = practice.state("shop-production")
    told = next(
        drill for drill in practice.drills() if drill["name"] == name and TARGET in drill["targets"]
    )
    practice.break_drill(name, "shop-production")
    try:
        for procedure in told["found_by"]:
            given = {"bucket": "uploads"} if procedure.startswith("buckets/") else {}
            given |= {"function": "web"} if procedure.startswith("functions/") else {}
            given |= {"index": "orders"} if procedure.startswith("search/") else {}
            found = notebooks.run(procedure, target=TARGET, **given)["ops"].findings
            assert found.causes - DRILLS[name].brings == {name}, procedure
    finally:
        practice.mend(name, "shop-production")
    assert practice.state("shop-production") == before


def test_a_drill_is_offered_where_its_matter_is_described(home: Path) -> None:
    offered = {
        drill["name"] for drill in practice.drills() if "lab/blog-staging" in drill["targets"]
    }
    assert offered == {"api-unreachable", "api-slow", "api-html", "api-404", "bucket-missing"}


def test_a_function_answers_and_its_runs_are_in_the_log(shop: Connection) -> None:
    answer = shop.call("lambda", "invoke", FunctionName="shop-mailer", Payload=b"{}")
    assert answer["Payload"] == {"status": "success"}
    within = Window(shop.now() - timedelta(hours=1), shop.now() + timedelta(seconds=1))
    assert len(logs.search(shop, "mailer", '"REPORT RequestId"', within)) >= 4


@pytest.mark.slow
def test_a_target_that_does_not_fit_is_told_and_no_other_suffers(tmp_path: Path) -> None:
    folder = tmp_path / "parameters" / "targets"
    folder.mkdir(parents=True)
    (tmp_path / "lab").mkdir()
    (folder / "blog-staging.yaml").write_text(BARE)
    odd = BARE.replace("staging", "production").replace("555566667777", "777766665555")
    (folder / "blog-production.yaml").write_text(
        odd.replace("blog-pages", "b")
    )  # S3 takes no such name
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_HOME", str(tmp_path))
        with opened(tmp_path / "lab") as world:
            assert world.place("blog-staging").client("s3").head_bucket(Bucket="blog-pages")
            with pytest.raises(
                UsageError,
                match=r"'blog-production' is not in the lab: parameters/targets/blog-prod",
            ):
                world.place("blog-production")
            assert list(world.skipped) == ["blog-production"]
            world.tick()


def test_a_catalogue_behind_a_link_names_its_procedures(home: Path) -> None:
    assert facts.procedure(str(paths.notebooks() / "queues" / "purge.ipynb")) == "queues/purge"


def test_its_api_does_what_its_file_says_of_it(shop: Connection) -> None:
    made = shop.http("POST", "/records", {"kind": "test"}).body
    assert shop.http("GET", "/records?kind=test").body["items"] == [
        {"id": made["id"], "gone": False, "kind": "test"}
    ]
    assert sql_value(shop, "SELECT count(*) FROM shop.records") == 1
    shop.call("s3", "put_object", Bucket="shop-uploads", Key="items/7/a.txt", Body=b"a")
    counted = shop.http("GET", "/admin/scan").body["result"]
    assert (counted["seen"], counted["total_count"]) == (1, 1)
    found = buckets.check_orphans(shop, "uploads", 100)
    assert [each.seen for each in found if each.check == "The app's own scan agrees"] == [
        "1 orphans"
    ]


def test_jobs_are_read_by_the_names_that_its_file_gives(shop: Connection) -> None:
    """Its own columns and states; what the file does not know is shown as the table has it."""
    rows = [("pending", 1), ("processing", 30), ("SENT", 2), ("bounced", 3), ("lost", 4)]
    values = ", ".join(
        f"(gen_random_uuid(), 'o{at}', '{state}', now() - interval '{minutes} min', "
        f"now() - interval '{minutes} min', 'no such mailbox')"
        for at, (state, minutes) in enumerate(rows)
    )
    insert = (
        f"INSERT INTO mail_jobs (id, order_id, state, made, updated_at, reason) VALUES {values}"
    )
    sql.execute(shop, insert, {}, len(rows))
    try:
        found = jobs_read.list_jobs(shop, "mail").set_index("item")
        assert [*found["status"].sort_index()] == [
            "queued",
            "running",
            "completed",
            "failed",
            "lost",
        ]
        assert found["started"].notna().sum() == 1
        assert found["finished"].notna().sum() == 2
        assert [*jobs_read.find_stale(shop, "mail")["item"]] == ["o1"]
        assert "o3" in jobs.check_jobs(shop, "mail")[0].seen
        step = jobs.plan_again(shop, "mail").steps[0]
        assert (step.before, step.do["body"]) == ("running", None)
        assert step.observe is not None
        assert step.observe.perform(shop) == "running"
    finally:
        sql.execute(shop, "DELETE FROM mail_jobs", {}, len(rows))


@pytest.mark.parametrize(
    ("tool", "table", "rows", "newest", "ordered"),
    [
        (
            "django",
            "id serial, app text, name text",
            "(app, name) VALUES ('shop', '0002_b'), ('auth', '0001_a')",
            "auth.0001_a",
            False,
        ),
        (
            "flyway",
            "installed_rank serial, version text, success boolean",
            "(version, success) VALUES ('9', true), ('10', true), (NULL, true), ('11', false)",
            "10",
            True,
        ),
        (
            "prisma",
            "migration_name text, started_at int, finished_at int, rolled_back_at int",
            "VALUES ('2_b', 2, 2, NULL), ('3_c', 3, 3, 4), ('4_d', 4, NULL, NULL), ('1_a', 1, 1, NULL)",
            "2_b",
            False,
        ),
        ("rails", "version text", "VALUES ('20260101'), ('20250101')", "20260101", True),
        ("alembic", "version_num text", "VALUES ('b'), ('a')", "a, b", False),
    ],
)
def test_the_newest_migration_is_read_as_each_tool_writes_it(
    shop: Connection,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    table: str,
    rows: str,
    newest: str,
    ordered: bool,
) -> None:
    name, head = f"{tool}_migrations", f"{newest}_next"
    sql.execute(shop, f"CREATE TABLE {name} ({table})", {}, -1)
    sql.execute(shop, f"INSERT INTO {name} {rows}", {}, rows.count("(") - (rows[:6] != "VALUES"))
    facts = {"secret": "shop/database", "migrations": name, "migrations_tool": tool}
    described = targets.described(
        "lab/shop-production",
        {**shop.target.facts.plain(), "database": facts | {"migrations_head": head}},
    )
    monkeypatch.setattr(shop, "target", described)
    try:
        state = migrations.find_state(shop)
        assert (state.has, state.needs, state.pending, state.ordered) == (
            newest,
            head,
            True,
            ordered,
        )
    finally:
        sql.execute(shop, f"DROP TABLE {name}", {}, -1)


@pytest.mark.slow
def test_a_login_that_rds_manages_opens_the_database(home: Path) -> None:
    """The file of desk-staging names no secret: RDS says which it is."""
    assert sql_value(connect("lab/desk-staging"), "SELECT current_database()") == "desk_staging"
