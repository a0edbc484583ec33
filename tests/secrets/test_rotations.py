"""Another value for a key: the others kept, the tasks that read it, and the value in no record."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError, apply, conclude, connect, secrets
from opslib.core.actions.watching import rollouts
from opslib.core.connections.connection import Connection
from opslib.services.consumers import _names
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import confirmed, undo_last

KEY, TARGET = "image-caption-prod", "lab/image-caption-prod"
SECRET, HF = "image-caption-gen-secrets-prod", "hf_api_key"
NEW = "hf_a-new-value-0123456789abcdefghij"
SURE = {"approved": "now", "confirm": confirmed(TARGET), "target": TARGET}


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The private folder of this test, with a new value in it."""
    folder = tmp_path / "private"
    monkeypatch.setenv("OPSLIB_PRIVATE", str(folder))
    folder.mkdir(mode=0o700)
    return hand_over(folder / "new", f"{NEW}\n")


def hand_over(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def held(ops: Connection) -> dict[str, str]:
    return dict(ops.secret(SECRET))


def tasks(ops: Connection) -> set[str]:
    cluster = "image-caption-gen-cluster-prod"
    return set(ops.pages("ecs", "list_tasks", "taskArns", cluster=cluster))


@pytest.mark.slow
def test_one_key_gets_the_value_of_the_file_the_tasks_read_it_and_no_record_holds_it(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab, records_folder: Path
) -> None:
    before, ran = held(ops), tasks(ops)
    left = notebooks.run("secrets/rotate", key=HF, value_file="new", **SURE)
    assert held(ops) == {**before, HF: NEW}
    assert not tasks(ops) & ran
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    files = [path for path in records_folder.rglob("*") if path.is_file()]
    texts = [path.read_bytes().decode(errors="replace") for path in files]
    texts += [json.dumps(left["ops"].journal.events, default=str), repr(left["plan"])]
    assert files
    assert not [text for text in texts if NEW in text or before[HF] in text]
    ran = tasks(ops)
    undo_last(ops)
    assert held(ops) == before
    assert not tasks(ops) & ran, "they read the old value again"
    assert differences(clean, lab.state(KEY)) == []


@pytest.mark.slow
def test_tasks_that_hold_a_value_of_before_are_named_and_started_anew(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken("secret-stale", KEY):
        before = held(ops)
        assert secrets.check_taken(ops).causes == {"secret-stale"}
        notebooks.run("secrets/rotate", **SURE)
        assert (secrets.check_taken(ops).worst, held(ops)) == ("ok", before)
        assert secrets.plan_rotate(ops, SECRET).steps == ()


@pytest.mark.slow
def test_who_fails_with_the_new_value_ends_the_plan_and_the_way_back_is_named(
    ops: Connection, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = rollouts._left

    def failing(ops: Connection, cluster: str, service: str, ours: str) -> Any:
        return look(ops, cluster, service, "ecs-svc/0")  # another one took its place

    monkeypatch.setattr(rollouts, "_left", failing)
    plan = secrets.plan_rotate(ops, SECRET, HF, "new")
    with pytest.raises(OpsError, match=r"(?s)Step 3 of 3 .*do not stay.*changes/undo"):
        apply(ops, plan, "now", confirmed(TARGET))
    monkeypatch.undo()
    lab.reset()


def test_a_file_that_others_may_read_is_refused(ops: Connection, private: Path) -> None:
    private.chmod(0o640)
    with pytest.raises(Refused, match=r"others may read .*new \(mode 0640\)"):
        secrets.plan_rotate(ops, SECRET, HF, "new")


def test_a_file_that_was_written_again_is_another_plan(ops: Connection, private: Path) -> None:
    plan = secrets.plan_rotate(ops, SECRET, HF, "new")
    os.utime(private, ns=(1, 1))
    with pytest.raises(Refused, match="has changed since"):
        apply(ops, plan, "now", confirmed(TARGET))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"key": "hf_key", "value_file": "new"}, "Unknown key 'hf_key'.*add=true"),
        ({"key": HF, "value_file": "gone"}, "No such file.*umask 077"),
        ({"key": HF, "value_file": "empty"}, "is empty"),
        ({"key": HF, "value_file": "same"}, "the value that hf_api_key of .* has already"),
        ({"key": HF, "value_file": "new", "generate": True}, "not both"),
    ],
)
def test_what_is_no_new_value_is_a_clear_error(
    ops: Connection, private: Path, given: dict[str, Any], said: str
) -> None:
    hand_over(private.with_name("empty"), "\n")
    hand_over(private.with_name("same"), held(ops)[HF])
    with pytest.raises(UsageError, match=f"(?s){said}"):
        secrets.plan_rotate(ops, SECRET, **given)


def test_without_a_value_nothing_is_planned_and_the_way_is_told(ops: Connection) -> None:
    plan = secrets.plan_rotate(ops, SECRET, HF)
    assert plan.steps == ()
    assert "umask 077" in " ".join(plan.notes)
    said = conclude(ops).sentence
    assert said.startswith("Nothing is to be changed.")
    assert "umask 077" in said, "also where only the verdict is seen"


def test_what_is_no_json_is_refused_and_a_function_that_reads_it_is_told(lab: PracticeLab) -> None:
    staging = connect("lab/bluemoxon-staging")
    with pytest.raises(Refused, match="is no JSON object"):
        secrets.plan_rotate(staging, staging.target["api"]["token_secret"], "x", "new")
    told = staging.call("secretsmanager", "describe_secret", SecretId="bluemoxon-staging/database")
    assert "api" in secrets.list_functions(staging, told["Name"], told["ARN"])
    assert secrets.check_taken(staging) == []


def test_a_secret_is_known_by_its_arn_with_and_without_its_end_and_by_its_name() -> None:
    arn = "arn:aws:secretsmanager:us-east-1:555566667777:secret:app/key-AbCdEf"
    assert all(_names(of, arn) for of in (arn, arn[:-7], "app/key"))
    assert not any(_names(of, arn) for of in (arn[:-8], "app/key-other", "key", ""))


def test_a_service_that_is_denied_is_unknown(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("ecs:DescribeTaskDefinition", KEY):
        assert [f.status for f in secrets.check_taken(ops)] == ["unknown"]


@pytest.mark.slow
def test_a_secret_that_is_one_value_gets_another_and_who_takes_it_is_started_anew(
    lab: PracticeLab,
) -> None:
    ops = connect("lab/ai-studio-production")
    plan = secrets.plan_rotate(ops, "AI_STUDIO_JWT_SECRET", generate=True)
    before = str(ops.secret("AI_STUDIO_JWT_SECRET"))
    assert before not in repr(plan)
    apply(ops, plan, "now", confirmed(ops.target.name))
    assert str(ops.secret("AI_STUDIO_JWT_SECRET")) != before
    assert {f.status for f in secrets.check_taken(ops, "AI_STUDIO_JWT_SECRET")} == {"ok"}


def test_what_is_json_wants_a_key_and_an_address_with_a_login_is_refused(lab: PracticeLab) -> None:
    with pytest.raises(UsageError, match="is JSON: say which of its keys"):
        secrets.plan_rotate(connect(TARGET), SECRET, generate=True)
    with pytest.raises(Refused, match="an address with a login"):
        secrets.plan_rotate(
            connect("lab/ai-studio-production"), "AI_STUDIO_DATABASE_URL", generate=True
        )
