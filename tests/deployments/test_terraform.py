"""Terraform's plans and states.

What would be lost is said, what was changed by hand is found, no secret is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError, apply, changes, connect
from opslib.core import redaction
from opslib.core.connections.connection import Connection
from opslib.deployments import backups, states, terraform
from opslib.deployments.plans import parse
from opslib.lab.resources.terraform.files import Planned, Resource, plan, state
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import objects_taken_out

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
BUCKET, STATE, PLAN = (
    "loglineos-terraform-state",
    "production/terraform.tfstate",
    "production/plan.json",
)
DRIFT = "infrastructure-drift"
PASSWORD = "Tr0ub4dor-and-more"
NOW = datetime.now(UTC)

DATABASE = Resource(
    "aws_db_instance",
    "main",
    {
        "identifier": "ledger",
        "engine_version": "16.3",
        "password": PASSWORD,
        "skip_final_snapshot": True,
        "latest_restorable_time": "2026-11-22T10:00:00Z",
    },
    sensitive=("password",),
)
GROUP = Resource(
    "aws_security_group",
    "web",
    {
        "id": "sg-1",
        "ingress": [{"from_port": 443, "cidr_blocks": ["10.0.0.0/8"], "description": ""}],
    },
    module="module.net",
)
LOADER = Resource(
    "aws_lambda_function",
    "loader",
    {
        "timeout": 30,
        "environment": [
            {"variables": {"DATABASE_URL": f"postgresql://u:{PASSWORD}@h/d", "LEVEL": "INFO"}}
        ],
    },
    index="a",
)
QUIET = [Planned(DATABASE), Planned(GROUP), Planned(LOADER)]
REPLACED = Planned(
    DATABASE,
    ("delete", "create"),
    {**DATABASE.values, "engine_version": "17.1", "password": "another-secret"},
    {"latest_restorable_time": True},
    "replace_because_cannot_update",
    [["engine_version"]],
)


@pytest.fixture
def taken_out(ops: Connection, clean: Any) -> Iterator[None]:
    """For tests that put something into the bucket and leave it."""
    with objects_taken_out(ops, BUCKET):
        yield


changing = pytest.mark.usefixtures("taken_out")


def file(folder: Path, content: bytes, name: str = "plan.json") -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def put(ops: Connection, key: str, body: bytes) -> None:
    ops.call("s3", "put_object", Bucket=BUCKET, Key=key, Body=body)


# The plan


def test_a_plan_with_nothing_to_do_passes(ops: Connection, tmp_path: Path) -> None:
    path = file(
        tmp_path,
        plan(
            QUIET, NOW, "1.9.8", variables={"db_password": PASSWORD}, outputs={"url": "https://x"}
        ),
    )
    for check in (terraform.check_file, terraform.check_drift, terraform.check_changes):
        found = check(ops, path)
        assert (found.worst, found.causes) == ("ok", set())
    assert found[-1].seen == "nothing: the infrastructure is as configured"
    assert found.evidence is not None
    assert list(found.evidence.columns) == [
        "action",
        "address",
        "attribute",
        "before",
        "after",
        "why",
    ]


def test_the_pipelines_newest_plan_is_read_from_s3(ops: Connection) -> None:
    read = terraform.read_plan(ops)
    assert read.where == f"s3://{BUCKET}/{PLAN}"
    assert {change.kind for change in read.changes} == {"nothing"}
    assert len(read.changes) > 10


def test_a_database_that_would_be_replaced_is_said_first_with_the_reason(
    ops: Connection, tmp_path: Path
) -> None:
    gone = Planned(LOADER, ("delete",), reason="delete_because_each_key")
    found = terraform.check_changes(
        ops, file(tmp_path, plan([gone, REPLACED, Planned(GROUP)], NOW, "1.9.8"))
    )
    assert [f.status for f in found] == ["critical", "critical", "ok"]
    first = found[0]
    assert first.check == "aws_db_instance.main ledger"
    assert "made anew EMPTY (cannot be changed in place, because of engine_version)" in first.seen
    assert "no snapshot is left" in first.seen
    assert (
        found[1].seen
        == '1 resource: aws_lambda_function.loader["a"] (destroy: its key is no longer in for_each)'
    )
    assert found.causes == set()  # nobody changed anything by hand
    assert found.evidence is not None
    assert list(found.evidence["action"]) == ["destroy", "replace", "replace"]
    forced = found.evidence.set_index("attribute").loc["engine_version"]
    assert (forced["before"], forced["after"], forced["why"]) == (
        "16.3",
        "17.1",
        "forces the replacement",
    )


def test_drift_is_told_attribute_by_attribute_and_what_an_apply_does_to_it(
    ops: Connection, tmp_path: Path
) -> None:
    rule = {"from_port": 22, "cidr_blocks": ["10.1.0.0/16"], "description": ""}
    by_hand = {**GROUP.values, "ingress": [*GROUP.values["ingress"], rule]}
    slower = {**LOADER.values, "timeout": 60}
    drift = [Planned(GROUP, ("update",), by_hand), Planned(LOADER, ("update",), slower)]
    planned = [Planned(DATABASE), Planned(GROUP, ("update",), GROUP.values), Planned(LOADER)]
    found = terraform.check_drift(ops, file(tmp_path, plan(planned, NOW, "1.9.8", drift)))
    assert [(f.status, f.cause) for f in found] == [("warn", DRIFT)] * 2
    assert (
        "ingress: + {cidr_blocks: [10.1.0.0/16], from_port: 22}; an apply puts it right"
        in found[0].seen
    )
    assert "timeout: 30 → 60; an apply leaves it so" in found[1].seen
    assert found.evidence is not None
    assert list(found.evidence["attribute"]) == ["ingress", "timeout"]


def test_a_hole_to_the_world_is_critical_and_one_that_was_there_is_not(
    ops: Connection, tmp_path: Path
) -> None:
    def drifted(**after: Any) -> str:
        drift = [Planned(GROUP, ("update",), {**GROUP.values, **after})]
        return terraform.check_drift(ops, file(tmp_path, plan(QUIET, NOW, "1.9.8", drift)))[
            0
        ].status

    everyone = {"from_port": 22, "cidr_blocks": ["0.0.0.0/0"]}
    assert drifted(ingress=[*GROUP.values["ingress"], everyone]) == "critical"
    assert drifted(egress=[everyone]) == "warn"
    assert drifted(tags={"a": "b"}) == "warn"
    many = [{"from_port": port, "cidr_blocks": ["10.0.0.0/8"]} for port in range(9000, 9020)]
    assert drifted(ingress=[*many, everyone]) == "critical"  # though beyond what is shown


def test_values_that_services_change_by_themselves_are_no_drift(
    ops: Connection, tmp_path: Path
) -> None:
    later = Planned(
        DATABASE, ("update",), {**DATABASE.values, "latest_restorable_time": "2026-11-22T11:00:00Z"}
    )
    found = terraform.check_drift(ops, file(tmp_path, plan(QUIET, NOW, "1.9.8", [later])))
    assert (found.worst, found.causes) == ("ok", set())
    assert "1 resource with values that change by themselves" in found[0].seen


def test_what_was_deleted_by_hand_is_drift(ops: Connection, tmp_path: Path) -> None:
    path = file(
        tmp_path, plan([Planned(GROUP, ("create",))], NOW, "1.9.8", [Planned(GROUP, ("delete",))])
    )
    found = terraform.check_drift(ops, path)
    assert found.causes == {DRIFT}
    assert found[0].seen == "it is gone; an apply puts it right"


def test_a_loss_with_drift_names_the_cause(ops: Connection, tmp_path: Path) -> None:
    drift = [Planned(LOADER, ("update",), {**LOADER.values, "timeout": 60})]
    found = terraform.check_changes(ops, file(tmp_path, plan([REPLACED], NOW, "1.9.8", drift)))
    assert found.causes == {DRIFT}


def test_a_plan_older_than_the_state_is_unknown_and_an_old_one_warns(
    ops: Connection, tmp_path: Path
) -> None:
    stale = terraform.check_file(
        ops, file(tmp_path, plan(QUIET, NOW - timedelta(days=30), "1.9.8"))
    )
    assert [f.status for f in stale] == ["ok", "unknown", "warn"]
    assert "Terraform refuses to apply it. Plan again" in stale[1].seen
    assert (
        terraform.check_file(
            ops, file(tmp_path, plan(QUIET, NOW - timedelta(hours=30), "1.9.8"))
        ).worst
        == "warn"
    )


def test_the_age_of_a_plan_without_a_time_or_of_tomorrow_is_unknown(
    ops: Connection, tmp_path: Path
) -> None:
    document = json.loads(plan(QUIET, NOW, "1.4.6"))
    for part in ("timestamp", "applyable", "complete", "errored"):  # before Terraform 1.5, 1.8
        del document[part]
    found = terraform.check_file(ops, file(tmp_path, json.dumps(document).encode()))
    assert [f.status for f in found] == ["ok", "unknown", "unknown"]
    assert "its file's time is that of a copy" in found[2].seen
    tomorrow = plan(QUIET, NOW + timedelta(hours=20), "1.9.8")
    found = terraform.check_file(ops, file(tmp_path, tomorrow))
    assert [f.status for f in found] == ["ok", "ok", "unknown"]


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"errored": True}, "critical", "an error while planning"),
        ({"complete": False}, "warn", "put off"),
        (
            {"checks": [{"status": "fail", "address": {"to_display": "check.tls"}}]},
            "warn",
            "check.tls",
        ),
    ],
)
def test_a_plan_that_is_only_a_part_says_so(
    ops: Connection, tmp_path: Path, changed: dict[str, Any], status: str, said: str
) -> None:
    content = json.dumps(json.loads(plan(QUIET, NOW, "1.9.8")) | changed).encode()
    whole = terraform.check_file(ops, file(tmp_path, content))[0]
    assert whole.status == status
    assert said in whole.seen


def test_no_secret_of_a_plan_is_shown_wherever_it_stands(ops: Connection, tmp_path: Path) -> None:
    leaky = {**LOADER.values, "description": f"uses {PASSWORD}", "timeout": 60}
    leaky["environment"] = [
        {
            "variables": {
                "API_KEY": "k-123456789",
                "LEVEL": "DEBUG",
                "DATABASE_URL": f"postgresql://u:{PASSWORD}@h/d",
            }
        }
    ]
    content = plan(
        [REPLACED, Planned(LOADER, ("update",), leaky), Planned(GROUP)],
        NOW,
        "1.9.8",
        [Planned(LOADER, ("update",), leaky)],
        {"db_password": "variable-secret"},
        {"db_password": PASSWORD},
    )
    path = file(tmp_path, content)
    shown = " ".join(
        str(c(ops, path)) + c(ops, path)._repr_mimebundle_()["text/html"]
        for c in (terraform.check_file, terraform.check_drift, terraform.check_changes)
    )
    for secret in (PASSWORD, "another-secret", "k-123456789", "variable-secret"):
        assert secret not in shown
    assert "(sensitive)" in shown
    assert "DEBUG" in shown
    assert PASSWORD not in repr(parse(content, "plan.json"))
    assert (
        redaction.mask(f"x {PASSWORD} y another-secret")
        == "x [secret terraform plan] y [secret terraform plan]"
    )


def test_a_secret_inside_a_secret_is_hidden_elsewhere_and_the_name_of_a_key_is_none(
    ops: Connection, tmp_path: Path
) -> None:
    login = json.dumps({"username": "ledger", "password": "inner-secret-1"})
    held = Resource(
        "aws_secretsmanager_secret_version", "db", {"secret_string": login}, ("secret_string",)
    )
    stored = Resource(
        "aws_s3_object",
        "x",
        {"key": "a/b.txt", "content": "x", "metadata": {"api_token": "t-123456"}},
    )
    after = {
        "key": "a/c.txt",
        "content": "uses inner-secret-1 of ledger",
        "metadata": {"api_token": "t-654321"},
    }
    found = terraform.check_changes(
        ops,
        file(tmp_path, plan([Planned(held), Planned(stored, ("update",), after)], NOW, "1.9.8")),
    )
    assert found.evidence is not None
    told = {row.attribute: (row.before, row.after) for row in found.evidence.itertuples()}
    assert told == {
        "content": ("x", "uses (sensitive) of ledger"),
        "key": ("a/b.txt", "a/c.txt"),
        "metadata.api_token": ("(sensitive)", "(sensitive), another"),
    }


def test_a_sensitive_value_that_was_not_set_is_told_from_one_that_was(
    ops: Connection, tmp_path: Path
) -> None:
    document = json.loads(plan([Planned(LOADER, ("update",), LOADER.values)], NOW, "1.9.8"))
    change = document["resource_changes"][0]["change"]
    for side, value in (("before", None), ("after", "t-123456789")):
        change[side]["token"], change[f"{side}_sensitive"] = value, {"token": True}
    found = terraform.check_changes(ops, file(tmp_path, json.dumps(document).encode()))
    assert found.evidence is not None
    told = [(row.attribute, row.before, row.after) for row in found.evidence.itertuples()]
    assert told == [("token", "(none)", "(sensitive)")]


def test_outputs_are_named_and_their_values_not_shown(ops: Connection, tmp_path: Path) -> None:
    document = json.loads(plan(QUIET, NOW, "1.9.8"))
    document["output_changes"] = {
        "token": {"actions": ["update"], "before": "old-token-1", "after": "new-token-1"}
    }
    found = terraform.check_changes(ops, file(tmp_path, json.dumps(document).encode()))
    assert found.note == "Outputs that change, values not shown: token (update)."
    assert "new-token-1" not in repr(found)


def test_moves_imports_forgetting_and_leftovers_are_told_apart(
    ops: Connection, tmp_path: Path
) -> None:
    document = json.loads(
        plan([*QUIET, Planned(LOADER, ("forget",)), Planned(GROUP, ("read",))], NOW, "1.9.8")
    )
    moved, imported, left, forgotten, data = document["resource_changes"]
    moved["previous_address"] = "aws_db_instance.old"
    imported["change"]["importing"] = {"id": "sg-1"}
    left |= {"deposed": "a1b2c3d4"}
    left["change"] |= {"actions": ["delete"]}
    data["mode"] = "data"
    found = terraform.check_changes(ops, file(tmp_path, json.dumps(document).encode()))
    assert [f.status for f in found] == ["critical", "warn", "ok"]
    assert found.evidence is not None
    assert {row.action: row.why for row in found.evidence.itertuples()} == {
        "destroy": "a leftover of an earlier replacement",
        "forget": "",
        "import": "",
        "move": "was aws_db_instance.old",
    }
    assert forgotten["address"] in found[1].seen


def test_a_refresh_only_plan_takes_the_drift_over(ops: Connection, tmp_path: Path) -> None:
    document = json.loads(
        plan([], NOW, "1.9.8", [Planned(LOADER, ("update",), {**LOADER.values, "timeout": 60})])
    )
    del document["resource_changes"]
    found = terraform.check_drift(ops, file(tmp_path, json.dumps(document).encode()))
    assert "a refresh-only plan takes it over into the state" in found[0].seen


@pytest.mark.slow
def test_a_huge_plan_is_read_and_summed_up(ops: Connection, tmp_path: Path) -> None:
    many = [
        Resource(
            "aws_s3_bucket",
            "b",
            {"bucket": f"bucket-{i}", "arn": f"arn:{i}", "token": f"token-{i:06d}"},
            ("token",),
            i,
        )
        for i in range(3000)
    ]
    planned = [Planned(r, ("delete",), reason="delete_because_count_index") for r in many]
    found = terraform.check_changes(ops, file(tmp_path, plan(planned, NOW, "1.9.8")))
    assert len(found) == 12
    assert found[10].seen.startswith("2,990 resources: aws_s3_bucket.b[")
    assert found[11].seen == "3000 to destroy"
    assert found.evidence is not None
    assert len(found.evidence) == 3000
    assert "2940 more rows" in found._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04\x14\x00",  # the binary plan
        b"Terraform will perform the following actions:\n",
        b'{"@level":"info","@message":"Terraform 1.9.8"}\n{"@level":"info"}\n',
        b'{"format_version": "1.2", "resource_changes": [',
        b"",
        b"[1]",
        b'{"a": 1}',
        state([GROUP], 3, "l", "1.9.8"),
        b'{"format_version": "1.0", "values": {"root_module": {}}}',
    ],
)
def test_what_is_no_plan_is_refused_with_what_makes_one(
    ops: Connection, tmp_path: Path, content: bytes
) -> None:
    path = file(tmp_path, content)
    with pytest.raises(UsageError) as refused:
        terraform.check_changes(ops, path)
    assert str(refused.value) == (
        f"{path} is no plan as `terraform show -json` writes it. Make one, in Terraform's "
        "directory: "
        "terraform plan -out=tfplan, then terraform show -json tfplan > plan.json"
    )


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("2.0", "has format version 2.0; this reads 1.x"),
        ("0.2", "Make the plan with a newer Terraform"),
    ],
)
def test_a_plan_of_another_format_is_refused(
    ops: Connection, tmp_path: Path, version: str, said: str
) -> None:
    content = json.dumps({"format_version": version, "resource_changes": []}).encode()
    with pytest.raises(UsageError) as refused:
        terraform.check_changes(ops, file(tmp_path, content))
    assert said in str(refused.value)


def test_windows_utf16_is_read_and_a_missing_file_is_named(ops: Connection, tmp_path: Path) -> None:
    text = plan(QUIET, NOW, "1.9.8").decode()
    assert (
        terraform.check_changes(ops, file(tmp_path, b"\xff\xfe" + text.encode("utf-16-le"))).worst
        == "ok"
    )
    assert (
        terraform.check_changes(ops, file(tmp_path, b"\xef\xbb\xbf" + text.encode())).worst == "ok"
    )
    with pytest.raises(UsageError, match=r"gone\.json cannot be read: No such file"):
        terraform.check_changes(ops, str(tmp_path / "gone.json"))


def test_a_denied_plan_or_state_is_unknown(lab: PracticeLab) -> None:
    with lab.denied("s3:GetObject", KEY):
        ops = connect(TARGET)
        for check in (
            terraform.check_file,
            terraform.check_drift,
            terraform.check_changes,
            states.check_states,
        ):
            assert [f.status for f in check(ops)] == ["unknown"]
    with lab.denied("s3:HeadObject", KEY):
        assert [f.status for f in terraform.check_file(connect(TARGET))] == ["ok", "unknown", "ok"]


def test_the_commands_have_the_targets_names_and_no_shell_trick_gets_in(ops: Connection) -> None:
    lines = repr(terraform.to_roll_back(ops, "3f9ac21")).splitlines()
    assert lines[0] == "cd infrastructure/terraform/environments/production"
    assert "git revert --no-edit 3f9ac21" in lines
    for trick in ("x; rm -rf /", "$(id)", "-h"):
        with pytest.raises(UsageError, match="is no commit"):
            terraform.to_roll_back(ops, trick)
    assert "<version_id>" in repr(terraform.to_push(ops))


# The state


def test_the_history_of_the_state_says_what_came_and_went(ops: Connection) -> None:
    found = states.check_states(ops)
    assert (found.worst, len(found)) == ("ok", 3)
    assert found.evidence is not None
    assert list(found.evidence["serial"]) == sorted(found.evidence["serial"], reverse=True)
    assert len(found.evidence) == 5
    assert "aws_cloudwatch_dashboard.main" in set(found.evidence["added"])


@changing
def test_a_foreign_state_an_older_one_and_a_lock_are_seen(ops: Connection) -> None:
    now = states.present(ops)
    put(ops, STATE, state([GROUP], now.serial - 3, now.lineage, "1.9.8"))
    older = states.check_states(ops)
    assert older.worst == "warn"
    assert "pushed with -force" in older[0].seen
    assert "aws_db_instance.ledger" in older.evidence["removed"].iloc[0]
    put(ops, STATE, state([GROUP], now.serial + 1, "another-lineage", "1.9.8"))
    assert "a foreign state was pushed over it" in states.check_states(ops)[0].seen
    put(
        ops,
        f"{STATE}.tflock",
        json.dumps(
            {
                "ID": "7d1",
                "Who": "ann@pipeline",
                "Operation": "OperationTypeApply",
                "Created": "2026-11-22T10:01:02Z",
            }
        ).encode(),
    )
    assert "ann@pipeline since 2026-11-22T10:01" in states.check_states(ops)[2].seen
    with pytest.raises(Refused, match="lock is held by ann@pipeline"):
        backups.plan_backup(ops)


@changing
def test_a_state_that_is_none_is_critical_and_one_that_is_gone_too(ops: Connection) -> None:
    put(ops, STATE, b"not a state")
    found = states.check_states(ops)
    assert found[0].status == "critical"
    assert "is no state of Terraform's" in found[0].seen
    ops.call("s3", "delete_object", Bucket=BUCKET, Key=STATE)
    found = states.check_states(ops)
    assert [(f.status, f.cause) for f in found] == [("critical", "described-and-gone")]
    assert "remove that delete marker" in found[0].seen


@changing
def test_one_version_that_cannot_be_read_stops_neither_listing_nor_last_resort(
    ops: Connection,
) -> None:
    """An empty object, and a state as OpenTofu encrypts it."""
    now = states.present(ops)
    put(ops, STATE, b"")
    said = repr(terraform.to_push(ops))  # needed most while the present one is none
    assert f"lineage must be {now.lineage}" in said
    assert f"by hand to {now.serial + 1}" in said
    with pytest.raises(OpsError, match="cannot be read: it is empty"):
        backups.plan_backup(ops)
    sealed = {"serial": now.serial + 1, "lineage": now.lineage, "meta": {}, "encrypted_data": "x"}
    put(ops, STATE, json.dumps(sealed | {"encryption_version": "v0"}).encode())
    found = states.check_states(ops)
    assert [f.status for f in found] == ["ok", "ok", "ok", "warn"]
    assert f"serial {now.serial + 1}, encrypted" in found[0].seen
    assert "it is empty (0 bytes)" in found[3].seen
    assert found.evidence is not None
    assert list(found.evidence["note"])[:3] == [
        "encrypted: what it holds is not read",
        "it is empty (0 bytes)",
        "",
    ]
    assert "not this one" in repr(terraform.to_push(ops))


@pytest.mark.slow
@pytest.mark.usefixtures("records_folder")
def test_the_backup_is_a_copy_of_the_state_and_nothing_else_and_undo_deletes_it(
    lab: PracticeLab,
) -> None:
    ops, before = connect(TARGET), lab.state(KEY)
    plan = backups.plan_backup(ops)
    assert backups.check_backup(ops).worst == "critical"
    assert lab.state(KEY) == before
    apply(ops, plan, "now", TARGET)
    assert backups.check_backup(ops).worst == "ok"
    after = lab.state(KEY)
    assert set(after["s3"][BUCKET]["keys"]) - set(before["s3"][BUCKET]["keys"]) == {
        plan.steps[0].do["parameters"]["Key"]
    }
    assert {path.split(".")[0] for path in differences(before, after)} == {"s3"}
    assert backups.plan_backup(ops).steps == ()  # never over anything
    record = reading.list_records(target=TARGET)[0].id
    apply(ops, changes.plan_undo(ops, record), "now", TARGET)
    assert lab.state(KEY) == before


@changing
def test_a_backup_that_is_not_the_same_fails(ops: Connection) -> None:
    key = backups.plan_backup(ops).steps[0].do["parameters"]["Key"]
    put(ops, key, state([GROUP], 41, "other", "1.9.8"))
    assert backups.check_backup(ops).worst == "critical"


# The notebooks


@pytest.mark.usefixtures("records_folder")
def test_the_notebook_names_the_drift_under_its_drill_and_nothing_without_it(
    lab: PracticeLab,
) -> None:
    assert notebooks.run("deployments/plan")["ops"].findings.worst == "ok"
    before = lab.state(KEY)
    with lab.broken(DRIFT, KEY):
        broken = lab.state(KEY)
        findings = notebooks.run("deployments/plan")["ops"].findings
        assert findings.causes == {DRIFT}
        assert "aws_db_instance.ledger" in findings.worst_first()[0].check
        assert lab.state(KEY) == broken
    assert lab.state(KEY) == before


@pytest.mark.slow
@changing
def test_the_led_procedure_copies_the_state_and_reads_the_plan_of_the_revert(
    lab: PracticeLab, tmp_path: Path
) -> None:
    before = lab.state(KEY)
    preview = notebooks.run("deployments/rollback")
    assert lab.state(KEY) == before
    assert preview["ops"].findings.causes == set()
    path = file(tmp_path, plan([REPLACED], datetime.now(UTC), "1.9.8"))
    left = notebooks.run("deployments/rollback", reverted=path, approved="now", confirm=TARGET)
    assert left["ops"].findings.worst == "critical"
    with pytest.raises(OpsError):
        notebooks.run("deployments/rollback", reverted=str(tmp_path / "no.json"))
