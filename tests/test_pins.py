"""What must stay whatever is rebuilt.

The plans' content and names, the seeded estates, the notebooks' verbs, old records.

Made by `pytest tests/test_pins.py --write-pins`, and only when a change of behaviour is meant: a
difference in the
files under tests/pins is then what a reviewer looks at.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib import changes, connect, records
from opslib.catalogue import procedures
from opslib.catalogue.procedures import Procedure
from opslib.core.connections import sql, targets
from opslib.records import sealing
from tests.conftest import PracticeLab
from tests.notebooks import run
from tests.states import differences

PINS = Path(__file__).parent / "pins"
STAGING, PRODUCTION = "lab/bluemoxon-staging", "lab/bluemoxon-production"
LEDGER = "lab/loglineos-production"
CAPTIONS = "lab/image-caption-prod"
DOCUMENTS = "lab/dms-dev"
STUDIO = "lab/ai-studio-production"
Case = tuple[str, str, dict[str, Any]]  # drill that is on, procedure, parameters

OLD = "DELETE FROM ledger.schema_migrations WHERE version < '0003'"
USER = "1e4a0000-0000-4000-8000-000000000001"
SAMUEL = "samuel.okafor@example.com"
# Each procedure that changes something, so that it has something to do.
CASES: dict[str, tuple[Case, ...]] = {
    STAGING: (
        ("", "alarms/silence", {}),
        ("bucket-missing", "buckets/create", {}),
        ("orphans", "buckets/orphans", {"kind": "images"}),
        ("stale-listings", "buckets/orphans", {"kind": "listings"}),
        ("", "databases/capacity", {"most": "6"}),
        ("migration-pending", "databases/migrate", {}),
        ("migration-pending", "databases/migrate", {"snapshot": False}),
        ("", "databases/password", {}),
        ("", "databases/restart", {}),
        ("", "databases/restore", {}),
        ("", "databases/restore", {"to": "an hour ago", "name": "bluemoxon-looked-at"}),
        ("", "databases/snapshot", {}),
        ("", "databases/snapshot", {"reason": "before-audit"}),
        ("", "databases/sync", {}),
        ("", "databases/sync", {"scope": "images", "snapshot": False}),
        ("", "databases/sync", {"scope": "database"}),
        ("", "databases/upkeep", {"table": "books"}),
        ("", "functions/environment", {}),
        ("", "functions/environment", {"name": "LOG_LEVEL", "value": "DEBUG"}),
        ("", "functions/environment", {"name": "LOG_LEVEL", "value": "", "remove": True}),
        ("", "functions/invoke", {}),
        ("", "functions/rollback", {}),
        ("bad-version", "functions/rollback", {"to": "2"}),
        ("", "functions/scale", {"function": "api", "memory_mb": 2048}),
        ("", "functions/triggers", {}),
        ("event-source-off", "functions/triggers", {"resume": True}),
        ("", "health/request", {"path": "/admin/maintenance/orphan-scan", "method": "POST"}),
        ("images-too-large", "jobs/oversized", {}),
        ("stale-jobs", "jobs/stale", {"kind": "analysis"}),
        ("stale-jobs", "jobs/stale", {"kind": "eval-runbook"}),
        ("dead-letter-backlog", "queues/purge", {}),
        ("dead-letter-backlog", "queues/redrive", {}),
        ("dead-letter-backlog", "queues/redrive", {"per_second": 5}),
        ("", "users/create", {}),
        ("", "users/create", {"invite": True, "sync": False}),
        ("", "users/password", {}),
        ("", "users/password", {"user": SAMUEL, "permanent": True}),
        ("mfa-stale", "users/reset-mfa", {}),
        ("user-not-synced", "users/sync", {}),
    ),
    PRODUCTION: (
        ("", "databases/restore", {}),
        ("", "databases/snapshot", {}),
        ("", "functions/rollback", {}),
    ),
    CAPTIONS: (
        ("copy-behind", "buckets/copy", {}),
        ("", "buckets/erase", {"kind": "user", "id": USER}),
        ("", "edge/block", {"address": "45.83.64.7"}),
        ("", "services/autoscaling", {}),
        ("", "services/deploy", {}),
        ("", "secrets/rotate", {"key": "hf_api_key", "generate": True}),
        ("", "services/restart", {}),
        ("", "services/rollback", {}),
        ("image-not-pulled", "services/rollback", {"to": 2}),
        ("", "services/scale", {"tasks": 3}),
        ("", "services/scale", {"tasks": 12}),
        ("", "services/size", {"cpu": 1024, "memory_mb": 2048}),
        ("", "tables/backup", {}),
        ("", "tables/restore", {}),
        ("", "users/client-secret", {}),
        ("", "users/disable", {}),
    ),
    LEDGER: (
        ("", "databases/execute", {"statement": OLD}),
        ("", "databases/execute", {"statement": OLD, "snapshot": False}),
        ("migration-pending", "databases/migrate", {}),
        ("", "databases/replica", {}),
        (
            "",
            "databases/replica",
            {"name": "reports", "instance_class": "db.r6g.large", "zone": "us-east-1a"},
        ),
        ("", "databases/restore", {}),
        ("", "databases/scale", {}),
        ("", "databases/scale", {"when": "now"}),
        ("", "databases/snapshot", {}),
        ("", "databases/soft-delete", {}),
        ("", "databases/soft-delete", {"snapshot": False}),
        ("", "databases/storage", {}),
        ("", "databases/storage", {"gigabytes": 200}),
        ("", "deployments/rollback", {}),
        ("", "deployments/verify", {}),
        (
            "",
            "functions/environment",
            {"function": "loader", "name": "LOG_LEVEL", "value": "DEBUG"},
        ),
        ("", "functions/rollback", {"function": "loader"}),
        ("", "functions/scale", {"memory_mb": 2048, "reserved": "100", "timeout_seconds": 60}),
        ("", "metrics/publish", {}),
        (
            "",
            "metrics/publish",
            {"metric": "Pinned", "value": 2.5, "unit": "Count", "dimensions": {"of": "a test"}},
        ),
    ),
    DOCUMENTS: (
        ("documents-not-indexed", "search/reindex", {}),
        ("index-missing", "search/reindex", {}),
        ("documents-stale", "search/reindex", {"strays": True}),
        ("", "search/restore", {}),
        ("item-unreadable", "workflows/restart", {}),
        ("", "buckets/erase", {}),
        ("", "databases/insert", {}),
        ("", "databases/migrate-back", {"snapshot": False}),
        ("object-deleted", "buckets/restore", {}),
        ("object-overwritten", "buckets/restore", {}),
    ),
    STUDIO: (
        ("migration-pending", "databases/migrate", {}),
        ("", "databases/migrate-back", {"migration": "3b97e5510f4c", "snapshot": False}),
        ("", "edge/maintenance-mode", {}),
    ),
}

# What differs from one lab to the next, in texts and names.
PASSING = (
    (r"\b20\d\d-\d\d-\d\dt\d\d-\d\d-\d\d\.[0-9a-f]{8}\b", "<snapshot>"),
    (r"-restored-\d{8}-\d{4}\b", "-restored-<time>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", "<time>"),
    (r"\d{8}T\d{6}Z", "<time>"),
    (r"\b20\d\d\.\d\d\.\d\d\b", "<date>"),
    (r"\d{4}-\d\d-\d\d(-\d\d-\d\d)?|\b20\d{6}\b", "<date>"),
    (r"\b\d\d-\d\d \d\d:\d\d\b", "<time>"),
    (r"http://127\.0\.0\.1:\d+", "<lab>"),
    (r"\b(sg|subnet|vpc|vpce|rtb|eni)-[0-9a-f]{8,17}\b", r"<\1>"),
    (r"\bdigest [0-9a-f]{12}\b", "<digest of rows>"),
    (r"^[0-9a-f]{32}$", "<digest of rows>"),
    (r"\b([a-z]+-[a-z]+-\d)_[0-9a-zA-Z]+\b", r"\1_<pool>"),
    (r"^[0-9a-z]{26}$", "<client>"),
    (r"(:secret:[\w/-]+)-[A-Za-z0-9]{6}\b", r"\1-<made up>"),
)

# the code of a function names its day, items when they were written
MADE_UP = {"Port": "<port>", "CodeSha256": "<sha256>", "digest": "<digest>"}


def lasting(value: Any) -> Any:
    """Plain data without what differs from one lab to the next.

    Times, made-up ids, ports, folders of this machine.
    """
    if isinstance(value, dict):
        if "$file" in value:
            return {"$file": Path(value["$file"]).suffix, "sha256": "<sha256>"}
        kept: dict[str, Any] = {}
        for key, part in value.items():
            name = lasting(key)
            kept.setdefault(name, []).append(MADE_UP.get(name) or lasting(part))
        return {
            name: held[0] if len(held) == 1 else sorted(held, key=json.dumps)
            for name, held in kept.items()
        }
    if isinstance(value, list):
        return [lasting(part) for part in value]
    if isinstance(value, str):
        for pattern, instead in PASSING:
            value = re.sub(pattern, instead, value)
    return value


def compare(request: pytest.FixtureRequest, name: str, made: Any) -> None:
    """With the pin of that name; or write it."""
    path = PINS / f"{name}.json"
    if request.config.getoption("--write-pins"):
        path.write_text(json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert differences(json.loads(path.read_text()), made) == []


@pytest.fixture(scope="module", autouse=True)
def seeded(lab: PracticeLab) -> None:
    """A lab that is as it was seeded."""
    lab.reset()


# The seeded estates

# {part: names in it} that differ from one lab to the next: a login and a port, and the file of a
# state told in times.
PASSING_PARTS = {
    "secrets": {
        "bluemoxon-staging/database",
        "bluemoxon-production/database",
        "loglineos-db-production",
        "dms/database/password",
        "AI_STUDIO_DATABASE_URL",
        "AI_STUDIO_REDIS_URL",
    },
    # graphs of a load balancer, by the number that is made up with it
    "dashboards": {"ai-studio-latency", "ai-studio-service-health"},
    "search": {"indices"},  # documents say when they were made
    "s3": {"loglineos-terraform-state"},
}


def brief(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def estate(lab: PracticeLab, target: str) -> dict[str, Any]:
    """A hash for each thing of each part of the lab's state,
    and rows and hash of each table without its times.
    """
    state = lab.state(target.removeprefix("lab/"))
    del state["sql"]
    if "dynamodb" in state:  # items say when they were written
        state["dynamodb"] = dict.fromkeys(state["dynamodb"], "items")
    for each in (*state["rds"]["clusters"].values(), *state["rds"]["instances"].values()):
        del each["preferred_backup_window"]
    described = "database" in targets.load(target).facts
    made: dict[str, Any] = {"sql": tables(target) if described else {}}
    for part, held in state.items():
        left_out = PASSING_PARTS.get(part, set())
        made[part] = {
            name: (sorted(each) if isinstance(each, (dict, list)) else "<made up>")
            if name in left_out
            else brief(each)
            for name, each in lasting(held).items()
        }
    return made


def tables(target: str) -> dict[str, Any]:
    """{schema.table.

    [rows, hash of the columns that hold no time and no id that Cognito makes up]}
    """
    ops = connect(target)
    columns = sql.query(
        ops,
        "SELECT table_schema || '.' || table_name AS name, string_agg(quote_ident(column_name), "
        "', ' "
        "  ORDER BY ordinal_position) AS columns FROM information_schema.columns JOIN "
        "information_schema.tables "
        "USING (table_schema, table_name) WHERE table_schema NOT IN ('pg_catalog', "
        "'information_schema') "
        "AND table_type = 'BASE TABLE' AND data_type <> 'date' AND data_type NOT LIKE 'timestamp%' "
        "AND column_name <> 'cognito_sub' "
        "GROUP BY 1 ORDER BY 1",
    )
    made = {}
    for name, listed in columns.itertuples(index=False):
        hashed = (
            f"SELECT count(*) AS n, sum(hash_record_extended(ROW({listed}), 0))::text AS h "
            f"FROM {name}"
        )
        [(rows, hashes)] = sql.query(ops, hashed).itertuples(index=False)
        made[name] = [int(rows), hashes]
    return made


@pytest.mark.some(5)
@pytest.mark.parametrize("target", [*reversed(CASES)])
def test_an_estate_is_seeded_as_it_was(
    request: pytest.FixtureRequest, lab: PracticeLab, target: str
) -> None:
    compare(request, f"estate-{target.removeprefix('lab/')}", estate(lab, target))


# Plans


def digest(plan: Any, steps: list[Any]) -> str:
    """A plan's name, made of its JSON as it was when the pins were made."""
    facts = [plan.target, plan.account, plan.region, "", "", steps]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def pin(plan: Any) -> dict[str, Any]:
    """The digest (the plan's own, where nothing in it passes) and the steps as they are kept in a
    record.
    """
    steps = json.loads(json.dumps(plan.as_dict()["steps"], default=str))
    assert plan.digest("", "") == digest(plan, steps)
    kept = lasting(steps)
    return {"digest": digest(plan, kept), "its own": kept == steps, "steps": kept}


@pytest.mark.some(3)
@pytest.mark.parametrize("target", CASES)
def test_plans_have_the_content_and_the_names_that_they_had(
    request: pytest.FixtureRequest, lab: PracticeLab, records_folder: Path, target: str
) -> None:
    made = {}
    for drill, procedure, parameters in CASES[target]:
        given = dict(parameters)
        if "ago" in str(given.get("to")):
            given["to"] = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        with ExitStack() as stack:
            if drill:
                stack.enter_context(lab.broken(drill, targets.load(target).key))
            plan = run(procedure, target=target, **given)["plan"]
        shown = ", ".join(f"{name}={value}" for name, value in parameters.items())
        assert plan.steps, f"{procedure} {shown} has nothing to do"
        made[f"{procedure} {shown}".strip()] = pin(plan)
    compare(request, f"plans-{target.removeprefix('lab/')}", made)


@pytest.mark.slow
def test_the_plan_that_undoes_a_change_has_the_content_that_it_had(
    request: pytest.FixtureRequest, lab: PracticeLab, records_folder: Path
) -> None:
    made = {}
    for procedure, parameters in (
        ("users/create", {}),
        ("functions/environment", {"watch_seconds": 0}),
        ("functions/rollback", {"watch_seconds": 0}),
        ("databases/snapshot", {}),
    ):
        ops = run(procedure, target=STAGING, approved="now", **parameters)["ops"]
        [record] = records.list_records()[:1]
        made[procedure] = pin(changes.plan_undo(ops, record.id))
    lab.reset()
    compare(request, "plans-of-undo", made)


def test_every_procedure_that_changes_something_is_pinned() -> None:
    changing = {each.name for each in procedures.list_procedures() if each.effect != "read"}
    pinned = {procedure for cases in CASES.values() for _, procedure, _ in cases}
    # new code is brought by its tests; a session has another pid each time; keys come and go
    of_their_own = {"functions/update", "databases/sessions"}
    of_their_own |= {"caches/clear", "caches/sync", "caches/throttle", "mail/unsuppress"}
    of_their_own |= {"databases/prune"}  # a snapshot has another name each day
    of_their_own |= {"recovery/bucket", "recovery/database"}  # in phases, rehearsed to the end
    assert changing - pinned == {"changes/resume", "changes/undo"} | of_their_own


# What notebooks say


def verbs(procedure: Procedure) -> list[str]:
    """What a notebook takes from the library.

    Names that it imports, and the attributes of modules it asks for.
    """
    cells = json.loads(procedure.path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    tree = ast.parse(code)
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    rooms = {alias.asname or alias.name for node in imported for alias in node.names}
    asked = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in rooms
    }
    return sorted({verb for _, verb in asked} | (rooms - {room for room, _ in asked}))


def test_notebooks_use_the_verbs_that_they_used(request: pytest.FixtureRequest) -> None:
    compare(request, "verbs", {each.name: verbs(each) for each in procedures.list_procedures()})


# Records of before


@pytest.fixture
def kept(records_folder: Path) -> Path:
    """A copy of two records as they were kept: one that looked, one that changed something."""
    shutil.copytree(PINS / "kept", records_folder)
    return records_folder


def test_records_of_before_verify_and_are_listed(kept: Path) -> None:
    assert records.verify() == []
    assert [
        (r.id, r.name, r.outcome, r.status, r.who, r.target) for r in records.list_records()
    ] == [
        ("20261125T201253Z-68f06b", "users/reset-mfa", "changed", "ok", "operator", STAGING),
        ("20261125T201247Z-181e48", "queues/dead-letters", "ok", "ok", "operator", STAGING),
    ]


def test_a_record_of_before_can_be_read(kept: Path) -> None:
    record = records.find("20261125T201253Z")
    facts = records.details(record)
    assert facts["plan"]["id"] == record.plan
    assert [step["title"] for step in facts["plan"]["steps"]] == [
        "Switch the authenticator app of mark@bluemoxon.com off"
    ]
    assert facts["plan"]["steps"][0]["do"]["operation"] == "admin_set_user_mfa_preference"
    [step] = facts["steps"]
    assert (step["before"], step["after"]) == (["SOFTWARE_TOKEN_MFA"], [])
    assert [f["status"] for f in facts["findings"]]
    assert record.verdict == "All 4 checks after the change passed."


def test_the_page_of_a_record_of_before_is_made_from_it(kept: Path) -> None:
    for record in records.list_records():
        assert not record.page.exists()
        text = sealing.make(record).read_text()
        assert record.id in text
        assert record.verdict is not None
        assert record.verdict in text
    assert (
        "Switch the authenticator app of mark@bluemoxon.com off"
        in records.find("20261125T201253Z").page.read_text()
    )
    assert records.verify() == []


def test_an_altered_record_of_before_is_found(kept: Path) -> None:
    record = records.find("20261125T201247Z")
    record.path.write_text(record.path.read_text().replace("0 visible", "1 visible", 1))
    assert [(each.id, each.problem) for each in records.verify()] == [
        (record.id, f"its file 2026/11/{record.id}.ipynb was altered")
    ]
