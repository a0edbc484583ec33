"""A system of which the lab knows nothing but its target's file: its practice copy is there, and healthy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib import lab as practice
from opslib import reports
from opslib.connections import Connection, connect

SHOP = """\
title: Shop production
system: shop
environment: production
production: true
account: "444455556666"
region: eu-central-1
api:
  url: https://shop.example.com/v2
  token_secret: shop/token
  probes: {/health: it runs, /ready: it may be asked}
  deep: /health/deep
  shallow: /items?limit=1
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
  uploads: {bucket: uploads, prefix: items/, table: item_files, column: key}
database:
  instance: shop
  secret: shop/database
  backup_days: 3
  max_connections: 80
  migrations: shop.migrations
  migrations_column: version
  migrations_head: {function: web, variable: SCHEMA}
jobs:
  mail: {table: mail_jobs, item: order_id, queue: mail, function: mailer, stale_minutes: 10}
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
database: {cluster: desk, secret: desk/database}
alarms: {patterns: [desk-*]}
"""
FILES = {"shop-production": SHOP, "blog-staging": BARE, "desk-staging": CLUSTER}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project of three systems that the lab has never met, and its lab."""
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "parameters" / "targets").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / "parameters" / "targets" / f"{name}.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_HOME", str(folder))
        patch.setenv("OPSLIB_LAB_DIR", str(folder / "lab"))
        patch.setenv("OPSLIB_RECORDS", str(folder / "records"))
        practice.up()
        yield folder
        practice.down()


@pytest.fixture
def shop(home: Path) -> Connection:
    return connect("lab/shop-production")


@pytest.mark.parametrize("name", FILES)
def test_its_daily_report_finds_nothing_wrong(home: Path, name: str) -> None:
    found = reports.daily(connect(f"lab/{name}")).findings
    assert len(found) >= 4
    wrong = [each for each in found if each.status != "ok" and "describes no" not in each.seen]
    assert wrong == []


def test_its_daily_report_looks_at_all_that_its_file_describes(shop: Connection) -> None:
    looked = {"health", "metrics", "alarms", "queues", "jobs", "functions", "database", "errors", "backups"}
    assert looked | {"secrets", "certificates"} <= set(reports.daily(shop).parts)
