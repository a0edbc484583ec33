"""Access keys: old, unused, two of them, used elsewhere; root's; passwords alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import access
from opslib.access import keys
from opslib.core.connections.connection import Connection
from opslib.core.tables import frame
from tests.conftest import PracticeLab

KEY, TARGET = "image-caption-prod", "lab/image-caption-prod"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def ago(days: float) -> str:
    return f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%S}+00:00"


def user(name: str, *held: tuple[float, float | None], **more: str) -> dict[str, str]:
    """A row of the report, with keys of so many days, last used so many days ago."""
    row = {"user": name, "password_enabled": "false", "mfa_active": "false", **more}
    for at, (age, used) in enumerate(held, 1):
        row |= {
            f"access_key_{at}_active": "true",
            f"access_key_{at}_last_rotated": ago(age),
            f"access_key_{at}_last_used_date": "N/A" if used is None else ago(used),
            f"access_key_{at}_last_used_service": "s3" if used is not None else "N/A",
            f"access_key_{at}_last_used_region": more.get("region", "us-east-1"),
        }
    return row


def judged(*users: dict[str, str]) -> dict[str, str]:
    """What is seen of what is not ok."""
    ops: Any = SimpleNamespace(now=lambda: NOW, target=SimpleNamespace(region="us-east-1"))
    held = frame((row for each in users for row in keys._keys(ops, each)), keys.KEYS)
    found = [*keys._judged(ops, {}, held), *keys._passwords([*users])]
    return {f.check: f.seen for f in found if f.status != "ok"}


ROOT = user("<root_account>", mfa_active="true")


def test_a_healthy_account_is_well_and_its_roles_are_there(ops: Connection) -> None:
    assert access.check_keys(ops).worst == "ok"
    found = access.check_roles(ops)
    assert (found.worst, found.evidence is not None and len(found.evidence)) == ("ok", 2)


def test_an_old_key_used_from_elsewhere_is_named(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken("access-key-old", KEY):
        found = access.check_keys(ops)
        assert found.causes == {"access-key-old"}
        said = " ".join(f.seen for f in found.troubles)
        assert "ci-upload (key 1, 700 days old)" in said
        assert "s3 in ap-southeast-1" in said


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([(30, 1)], {}),
        ([(400, 1)], {"access keys are young": "ada (key 1, 400 days old)"}),
        ([(30, None)], {}),
        (
            [(80, 80), (3, 1)],  # just being rolled
            {},
        ),
        ([(80, 1), (30, 1)], {"no user has two keys for long": "ada (key 2, two active)"}),
    ],
)
def test_a_key_is_judged_by_age_and_use(held: Any, said: dict[str, str]) -> None:
    assert judged(ROOT, user("ada", *held)) == said


def test_a_key_that_was_never_used_is_told_when_it_is_old() -> None:
    told = judged(ROOT, user("ada", (200, None)))
    assert told["access keys are in use"] == "ada (key 1, never used in 200 days)"


def test_of_five_hundred_users_a_few_are_named_and_the_rest_counted() -> None:
    told = judged(ROOT, *(user(f"user-{at}", (400, 1)) for at in range(500)))
    assert told["access keys are young"].endswith("and 495 more")


def test_roots_key_and_a_password_alone_are_told() -> None:
    told = judged(
        user("<root_account>", (9, 1)), user("ada", password_enabled="true", mfa_active="false")
    )
    assert told == {
        "root has no access key, and a second factor": "1 active access keys, no second factor",
        "who may use the console has a second factor": "without: ada",
    }


def test_a_report_that_is_denied_is_unknown(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("iam:GetCredentialReport", KEY):
        assert [f.status for f in access.check_keys(ops)] == ["unknown"]


@pytest.mark.slow
def test_a_role_that_is_gone_is_critical(ops: Connection, lab: PracticeLab) -> None:
    at = {"RoleName": "image-caption-gen-prod-task"}
    ops.call("iam", "delete_role_policy", **at, PolicyName="app")
    ops.call("iam", "delete_role", **at)
    found = access.check_roles(ops)
    lab.reset()
    assert (found.worst, "image-caption-gen-prod-task (tasks of app)" in found[0].seen) == (
        "critical",
        True,
    )
