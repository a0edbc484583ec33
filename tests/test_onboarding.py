"""A further system is onboarded by writing YAML.

Every procedure does, on one that it has never met, what it should.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError
from opslib import lab as practice
from opslib.catalogue import procedures
from opslib.core import paths
from opslib.core.checks import plots
from opslib.core.connections import connection, targets
from opslib.core.findings import Finding, Findings
from opslib.runs import runs
from tests.notebooks import run

BARE = """\
title: Orders staging
system: orders
environment: staging
production: false
account: "222233334444"
region: eu-central-1
"""
DESCRIBED = """\
title: Orders production
system: orders
environment: production
production: true
account: "333344445555"
region: eu-central-1
api:
  url: https://orders.example.com
  probes: {/health: it runs}
  deep: /health
functions:
  web: {name: orders-web, alias: live, timeout_seconds: 10}
  mailer: {name: orders-mailer}
database: {instance: orders, secret: orders/database}
alarms: {patterns: ["orders-*"]}
metrics:
  web-errors:
    {title: Errors, namespace: AWS/Lambda, metric: Errors, dimensions: {FunctionName: orders-web}, statistic: Sum}
"""
RUNBOOK = """\
system: orders
title: Orders
sections:
  - title: Every day
    entries:
      - {name: daily, title: Daily report, procedure: reports/daily}
      - {name: health, title: Is it up?, procedure: health/quick}
      - {name: deep-health, title: Is all of it up?, procedure: health/deep}
      - {name: functions, title: Are the functions well?, procedure: functions/health}
      - {name: errors, title: High error rate, procedure: logs/errors}
      - {name: logs, title: Lines of the log, procedure: logs/search}
      - {name: alarms, title: Alarms, procedure: alarms/review}
  - title: When it hurts
    entries:
      - {name: slow, title: The site is slow, procedure: functions/latency, parameters: {function: web}}
      - {name: capacity, title: More of it, procedure: functions/scale, parameters: {function: web}}
      - {name: rollback, title: Roll back, procedure: functions/rollback, parameters: {function: web}}
      - {name: database, title: Is the database well?, procedure: databases/health}
      - {name: query, title: Ask the database, procedure: databases/query}
      - {name: snapshot, title: Take a snapshot, procedure: databases/snapshot}
      - {name: restore, title: Bring the database back, procedure: databases/restore}
      - {name: undo, title: Undo a change, procedure: changes/undo}
"""
FILES = {
    "targets/orders-staging": BARE,
    "targets/orders-production": DESCRIBED,
    "runbooks/orders": RUNBOOK,
}
EVERY = [procedure.name for procedure in procedures.list_procedures()]
OF_A_RECORD = {"changes/approve", "changes/resume", "changes/undo"}
# do nothing before a record, a plan or a statement is given
ASKED = OF_A_RECORD | {"databases/execute", "reports/post-mortem"}
# look at the account, at our own records, or at whatever is described
OF_ANY_TARGET = {
    "access/keys",
    "changes/who",
    "costs/review",
    "recovery/region",
    "reports/post-mortem",
    "reports/respond",
    "reports/triage",
}
# What is no judgement of the target: our own records, candidates, the account.
OURS = {
    "changes made",
    "changed shortly before",
    "trail of the account",
    "suspicious events",
    "who did what",
}
OF_THE_ACCOUNT = ("iam ", "cloudtrail ", "CloudTrail", "one call of each")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with the procedures and one system,
    and a lab whose accounts have nothing in them.
    """
    folder, notebooks = tmp_path_factory.mktemp("orders"), paths.notebooks()
    for name, text in FILES.items():
        path = folder / "parameters" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "notebooks").symlink_to(notebooks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_HOME", str(folder))
        patch.setenv("OPSLIB_LAB_DIR", str(folder / "lab"))
        patch.setenv("OPSLIB_RECORDS", str(folder / "records"))
        patch.setattr(plots, "page", lambda *_: b"")
        # The lab is of accounts of which the files say nothing yet: what is described later is not
        # there.
        described = folder / "parameters" / "targets" / "orders-production.yaml"
        described.write_text(DESCRIBED.partition("api:")[0])
        practice.up()
        practice.status()
        described.write_text(DESCRIBED)
        yield folder
        practice.down()


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Findings:
    """The findings of each connection that is made, also when the procedure ends with an error."""
    every, connect = Findings(), connection.Connection.__init__

    def watched(self: Any, *args: Any, **kwargs: Any) -> None:
        connect(self, *args, **kwargs)
        self.findings = every

    monkeypatch.setattr(connection.Connection, "__init__", watched)
    return every


def begin(procedure: str, target: str) -> str:
    """Run a procedure as the command does; how it ended: the error's text, or nothing.

    Any other error is raised.
    """
    try:
        _, given = runs.prepare(procedure, target, {}, apply=False)
        run(procedure, **given)
    except OpsError as exc:
        return f"{type(exc).__name__}: {exc}"
    return ""


def judged(found: Findings) -> list[Finding]:
    """Those of the target's own things."""
    return [f for f in found if f.check not in OURS and not f.source.startswith(OF_THE_ACCOUNT)]


@pytest.mark.parametrize("procedure", EVERY)
def test_what_is_not_described_is_named_with_its_file(procedure: str, found: Findings) -> None:
    said = begin(procedure, "lab/orders-staging")
    assert procedure in OF_A_RECORD | OF_ANY_TARGET or (
        said.startswith("UsageError: parameters/targets/orders-staging.yaml describes no")
        and not judged(found)
    )


@pytest.mark.some(3)
@pytest.mark.parametrize("procedure", EVERY)
def test_what_is_described_and_not_there_is_never_ok(procedure: str, found: Findings) -> None:
    said = begin(procedure, "lab/orders-production")
    assert not [f for f in judged(found) if f.status == "ok"]
    assert said or found or procedure in ASKED
    if said.startswith("UsageError"):
        assert (
            "parameters/targets/orders-production.yaml" in said or "lab/orders-production" in said
        )
    else:
        assert all(f.seen for f in found)
        assert said.partition(":")[0] in ("", "NotFound", "Unfinished", "Refused")


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "entry",
    [line.split("name: ")[1].split(",")[0] for line in RUNBOOK.splitlines() if "name:" in line],
)
def test_each_entry_of_its_runbook_runs(entry: str, found: Findings) -> None:
    said = begin(f"orders/{entry}", "lab/orders-production")
    assert found or said or entry == "undo"
    assert not said.startswith("UsageError") or entry == "query"


def test_a_default_that_another_system_has_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        UsageError,
        match=r"functions/configuration needs function: one of web, mailer .*-p function=",
    ):
        runs.prepare("functions/configuration", "lab/orders-production", {}, apply=False)
    with pytest.raises(
        UsageError, match=r"Unknown functions 'wep' in .*orders-production.yaml. Did you mean 'web'"
    ):
        runs.prepare("functions/latency", "lab/orders-production", {"function": "wep"}, apply=False)


def test_a_record_that_is_not_there_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match=r"Unknown record 'nosuch'"):
        runs.prepare("changes/undo", "lab/orders-production", {"record": "nosuch"}, apply=False)


def test_a_default_that_another_system_has_becomes_all_where_that_is_meant() -> None:
    assert (
        runs.prepare("logs/search", "lab/orders-production", {}, apply=False)[1]["function"]
        == "all"
    )


def test_the_only_name_there_is_becomes_the_default(home: Path) -> None:
    path = home / "parameters" / "targets" / "orders-production.yaml"
    path.write_text(DESCRIBED.replace("  mailer: {name: orders-mailer}\n", ""))
    try:
        prepared = runs.prepare("functions/configuration", "lab/orders-production", {}, apply=False)
    finally:
        path.write_text(DESCRIBED)
    assert prepared[1]["function"] == "web"


def test_what_is_required_outside_the_lab_is_asked_for_there() -> None:
    with pytest.raises(UsageError, match="functions/scale needs function"):
        runs.prepare("functions/scale", "orders-production", {}, apply=False)


@pytest.mark.some(12)
@pytest.mark.parametrize(
    ("procedure", "section"),
    [
        ("queues/redrive", "queues"),
        ("users/sync", "users"),
        ("network/endpoints", "network"),
        ("caches/health", "cache"),
        ("deployments/plan", "terraform"),
    ],
)
def test_a_section_that_is_not_described_ends_the_command_before_anything_starts(
    home: Path, procedure: str, section: str
) -> None:
    from tests.projects import Project

    ended = Project.command(_at(home), "run", procedure, "-t", "lab/orders-production")
    assert ended.returncode == 2
    assert f"orders-production.yaml describes no {section}" in ended.stderr
    assert not list((home / "records").rglob("*.ipynb"))


def _at(home: Path) -> Any:
    return type("At", (), {"home": home})()


def test_nothing_is_ever_copied_over_production(found: Findings) -> None:
    with pytest.raises(Refused):
        run("databases/sync", target="lab/orders-production")


def test_the_targets_are_described_by_their_files() -> None:
    assert targets.names() == ["orders-production", "orders-staging"]
