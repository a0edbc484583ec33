"""The least policy of a procedure: made of its records, and held against IAM in the lab."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, connect
from opslib.core.checks import plots
from opslib.core.connections.connection import Connection
from opslib.core.errors import UsageError
from opslib.core.reads import functions
from opslib.core.rights.rights import Need, document, written
from opslib.policies.called import APPLY, PREVIEW, ROLE, called
from tests.notebooks import run
from tests.projects import Project, ran

TARGET, KEY = "lab/bluemoxon-staging", "bluemoxon-staging"
ACCOUNT, REGION = "111122223333", "us-west-2"
LOOKS, CHANGES = "queues/dead-letters", "functions/rollback"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, records_folder: Path) -> None:
    monkeypatch.setattr(plots, "page", lambda *_: b"")


@contextmanager
def held_to(ops: Connection, policy: dict[str, Any]) -> Iterator[None]:
    """Inside, who connects may do what the policy allows and nothing else."""
    at = {"UserName": "reviewer", "PolicyName": "least"}
    ops.call("iam", "put_user_policy", **at, PolicyDocument=json.dumps(policy))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_LAB_USER", "reviewer")
        yield
    ops.call("iam", "delete_user_policy", **at)


@contextmanager
def in_use(ops: Connection) -> Iterator[None]:
    """Somebody uses the API all the while: who watches it after a change has soon seen enough."""
    path, ended = next(iter(ops.target["api"]["probes"])), threading.Event()

    def use() -> None:
        while not ended.wait(0.2):
            ops.http("GET", path)

    user = threading.Thread(target=use)
    user.start()
    yield
    ended.set()
    user.join()


def went_well(name: str, **given: Any) -> bool:
    """Whether it ends, and could see all that it looks at. Denied is unknown."""
    try:
        ops = run(name, target=TARGET, **given)["ops"]
    except OpsError:
        return False
    return all(found.status != "unknown" for found in ops.findings)


def without_each(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    statements = policy["Statement"]
    assert len(statements) > 1
    for at in range(len(statements)):
        yield policy | {"Statement": statements[:at] + statements[at + 1 :]}


@pytest.mark.slow
def test_a_procedure_that_looks_runs_with_its_policy_and_with_no_less(ops: Connection) -> None:
    ran(LOOKS, TARGET)
    policy = called(LOOKS, TARGET).policy(PREVIEW)
    with held_to(ops, policy):
        assert went_well(LOOKS)
    for less in without_each(policy):
        with held_to(ops, less):
            assert not went_well(LOOKS), less


@pytest.mark.slow
def test_a_change_is_previewed_and_applied_with_its_policies_and_with_no_less(
    ops: Connection,
) -> None:
    at, was = {"function": "api"}, functions.live_version(ops, "api")
    name = ops.target["functions"]["api"]["name"]
    ran(CHANGES, TARGET, at)
    with in_use(connect(TARGET)):
        ran(CHANGES, TARGET, at, apply=True)
    found = called(CHANGES, TARGET)
    preview, applying = found.policy(PREVIEW), found.policy(APPLY)
    assert "lambda:UpdateAlias" in json.dumps(applying)
    assert "lambda:UpdateAlias" not in json.dumps(preview)

    def back() -> None:
        ops.call("lambda", "update_alias", FunctionName=name, Name="live", FunctionVersion=was)

    for policy, approved in ((preview, ""), (applying, "now")):
        back()
        with in_use(connect(TARGET)), held_to(ops, policy):
            assert went_well(CHANGES, **at, approved=approved)
        for less in without_each(policy):
            back()
            with in_use(connect(TARGET)), held_to(ops, less):
                assert not went_well(CHANGES, **at, approved=approved), less
    back()
    with held_to(ops, preview):
        assert not went_well(CHANGES, **at, approved="now")
    assert functions.live_version(ops, "api") == was


def need(action: str, resource: str = "*", region: str = REGION) -> tuple[Need, str]:
    return Need(action, resource), region


def test_actions_on_the_same_things_are_one_statement() -> None:
    asked = [need("sqs:A", "arn:q"), need("sqs:B", "arn:q"), need("sqs:A", "arn:q")]
    assert document(asked)["Statement"] == [
        {"Effect": "Allow", "Action": ["sqs:A", "sqs:B"], "Resource": ["arn:q"]}
    ]


def test_what_a_pattern_has_in_it_is_not_named_beside_it() -> None:
    asked = [need("rds:A", "arn:db:one"), need("rds:A", "arn:db:*"), need("rds:A", "arn:cluster:x")]
    assert document(asked)["Statement"][0]["Resource"] == ["arn:cluster:x", "arn:db:*"]


def test_what_is_on_everything_holds_in_its_regions_alone() -> None:
    asked = [need("ec2:A"), need("ec2:A", region="us-east-1"), need("iam:B")]
    conditions = [each.get("Condition") for each in document(asked)["Statement"]]
    assert conditions == [None, {"StringEquals": {"aws:RequestedRegion": ["us-east-1", REGION]}}]


# Of records as they are kept


def record(project: Project, *made: dict[str, Any]) -> None:
    """A run that makes calls, or what stands for them."""
    calls = [{"service": "sqs", "operation": "ListQueues", "named": {}}, *made]
    events = "\n".join(f"journal.write('call', **{call!r})" for call in calls)
    project.run("asks", f"from opslib.core.journal import Journal\njournal = Journal()\n{events}")


def call(service: str, operation: str, **named: list[str]) -> dict[str, Any]:
    return {"service": service, "operation": operation, "named": named, "region": REGION}


def resources(name: str, target: str) -> dict[str, list[str]]:
    """By action."""
    policy = called(name, target).policy(PREVIEW)
    return {a: each["Resource"] for each in policy["Statement"] for a in each["Action"]}


@pytest.mark.slow
def test_names_that_only_the_lab_knows_are_any_for_the_real_target(project: Project) -> None:
    path = project.home / "parameters" / "targets" / f"{KEY}.yaml"
    path.write_text(path.read_text() + "functions:\n  api: {name: api-of-the-app}\n")
    vpc, group = "vpc-0123456789abcdef0", "/aws/lambda/api-of-the-app"
    made = (
        call("ec2", "DescribeVpcAttribute", VpcId=[vpc]),
        call("lambda", "GetAlias", FunctionName=["api-of-the-app"]),
        call("logs", "FilterLogEvents", logGroupName=[group]),
        call("rds", "DescribeDBSnapshots", DBSnapshotIdentifier=["before-20261126-1412"]),
    )
    record(project, *made)
    arn = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"
    here, there = resources("tests/asks", TARGET), resources("tests/asks", KEY)
    assert here["ec2:DescribeVpcAttribute"] == [arn.format("ec2", f"vpc/{vpc}")]
    assert there["ec2:DescribeVpcAttribute"] == [arn.format("ec2", "vpc/*")]
    for found in (here, there):
        function = arn.format("lambda", "function:api-of-the-app")
        assert found["lambda:GetAlias"] == [function]
        assert found["logs:FilterLogEvents"] == [arn.format("logs", f"log-group:{group}:*")]
    snapshots = [arn.format("rds", "db:*"), arn.format("rds", "snapshot:before-*")]
    assert here["rds:DescribeDBSnapshots"] == snapshots  # its time is another one the next time
    told = called("tests/asks", KEY)
    said = " ".join(told.notes(PREVIEW, told.policy(PREVIEW)))
    assert "Made from 1 record of tests/asks on lab/bluemoxon-staging (1 ok)" in said
    assert "A branch that none of them met is not in it." in said
    assert "known in the lab only: * stands for each" in said


@pytest.mark.slow
def test_what_the_role_of_a_change_did_is_a_policy_of_its_own(project: Project) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/changes"
    path = project.home / "parameters" / "targets" / f"{KEY}.yaml"
    path.write_text(path.read_text().replace("policy: {", f"policy: {{apply_role: '{role}', "))
    by_role = call("lambda", "UpdateAlias", FunctionName=["api"]) | {"role": role}
    record(project, call("sts", "AssumeRole", RoleArn=[role]), by_role)
    found = called("tests/asks", KEY)
    mine, its = (found.policy(kind)["Statement"] for kind in (PREVIEW, ROLE))
    assert [each["Action"] for each in its] == [["lambda:UpdateAlias"]]
    assert {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [role]} in mine
    assert "lambda:UpdateAlias" not in json.dumps(mine)


def test_without_a_record_it_says_how_to_make_one(project: Project) -> None:
    project.procedure("changes", effect="change", parameters='approved: str = ""  # the plan')
    with pytest.raises(UsageError, match=r"No record of an apply .*/changes -t lab/.* --apply$"):
        called("tests/changes", KEY).policy(APPLY)
    with pytest.raises(UsageError, match=r"names no policy\.apply_role, so none makes a change"):
        called("tests/changes", KEY).policy(ROLE)
    project.run("asks", "print('it asks nothing')")
    with pytest.raises(UsageError, match=r"Of 1 record nothing tells it\. Make one in the lab"):
        called("tests/asks", KEY).policy(PREVIEW)


@pytest.mark.slow
def test_the_command_prints_what_iam_takes_and_says_what_it_is_made_of(
    project: Project, tmp_path: Path
) -> None:
    record(project)
    done = project.command("policy", "tests/asks", "-t", TARGET)
    policy = json.loads(done.stdout)
    assert policy["Version"] == "2012-10-17"
    assert policy["Statement"][0]["Action"] == ["sqs:ListQueues"]
    assert f"{len(written(policy))} of the 6,144 characters" in done.stderr
    file = tmp_path / "policy.json"
    quiet = project.command("policy", "tests/asks", "-t", TARGET, "-o", str(file))
    assert (quiet.stdout, json.loads(file.read_text())) == ("", policy)
    again = project.command("policy", "tests/asks", "-t", TARGET, "-o", str(file))
    assert again.returncode != 0
    assert "policy.json cannot be written: File exists." in again.stderr
    refused = project.command("policy", "tests/asks", "-t", TARGET, "--apply")
    assert refused.returncode == 2
    assert "tests/asks changes nothing" in refused.stderr
