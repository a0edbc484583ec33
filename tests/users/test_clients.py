"""App clients: addresses and flows as described, and a secret changed with nobody signed out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opslib import Refused, apply, secrets
from opslib.core.connections.connection import Connection
from opslib.users import clients, plan_client_secret, users
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import confirmed, undo_last

KEY, TARGET = "image-caption-prod", "lab/image-caption-prod"
SECRET, AT = "image-caption-gen-secrets-prod", "cognito_client_secret"
SURE = {"approved": "now", "confirm": confirmed(TARGET), "target": TARGET}
APP = "https://captions.example.com"


def described(ops: Connection) -> Any:
    return clients.describe(ops, users.pool_id(ops), "web")


def test_a_client_as_described_is_well_and_its_tokens_lives_are_told(ops: Connection) -> None:
    found = clients.check_clients(ops)
    assert {f.status for f in found} == {"ok"}
    assert found.evidence is not None
    assert list(found.evidence["access_token_seconds"]) == [3600]


@pytest.mark.slow
def test_a_second_secret_is_told_to_the_app_undone_and_the_first_goes_when_nobody_holds_it(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab, records_folder: Path
) -> None:
    before = dict(ops.secret(SECRET))
    left = notebooks.run("users/client-secret", **SURE)
    new = ops.secret(SECRET)
    assert {**new, AT: before[AT]} == before
    assert len(described(ops)["secrets"]) == 2
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    files = [path for path in records_folder.rglob("*") if path.is_file()]
    texts = [path.read_bytes().decode(errors="replace") for path in files]
    texts += [json.dumps(left["ops"].journal.events, default=str), repr(left["plan"])]
    assert not [text for text in texts if new[AT] in text or before[AT] in text]
    with pytest.raises(Refused, match="has 2 secrets, and two are the most: remove_old"):
        plan_client_secret(ops, "web")
    undo_last(ops)
    assert differences(clean, lab.state(KEY)) == []
    notebooks.run("users/client-secret", **SURE)
    plan = plan_client_secret(ops, "web", remove_old=True)
    assert not plan.reversible
    apply(ops, plan, "now", confirmed(TARGET))
    has = described(ops)
    assert (len(has["secrets"]), has["ClientSecret"]) == (1, ops.secret(SECRET)[AT])
    assert plan_client_secret(ops, "web", remove_old=True).steps == ()


@pytest.mark.slow
def test_the_first_secret_stays_while_a_task_holds_it_or_nobody_knows_which_the_app_has(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {name: described(ops)[name] for name in ("UserPoolId", "ClientId")}
    ops.call("cognito-idp", "add_user_pool_client_secret", **ids)
    with pytest.raises(Refused, match="which one the app has is not known"):
        plan_client_secret(ops, "web", remove_old=True)
    assert [f.status for f in clients.check_clients(ops) if f.cause] == []
    told = {**secrets.require_key(ops, SECRET, AT), AT: "another" * 5}
    ops.call("secretsmanager", "put_secret_value", SecretId=SECRET, SecretString=json.dumps(told))
    with pytest.raises(Refused, match="Tasks hold the first secret of web still: 2 of app"):
        plan_client_secret(ops, "web", remove_old=True)


def test_where_it_is_not_described_or_boto3_lacks_it_it_is_said(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ops.client("cognito-idp").meta.method_to_api_mapping  # the class's own
    monkeypatch.delitem(known, "add_user_pool_client_secret")
    with pytest.raises(Refused, match="This boto3 cannot add a secret"):
        plan_client_secret(ops, "web")


@pytest.mark.parametrize(
    ("has", "status", "said"),
    [
        ([f"{APP}/back"], "ok", "1 address"),
        ([], "critical", f"{APP}/back is not there"),
        ([f"{APP}/back/"], "critical", f"{APP}/back/ is not the same address"),
        ([f"{APP}/back".replace("https", "http")], "critical", "is not the same address"),
        ([f"{APP}/back", "https://old.example.com"], "warn", "also https://old.example.com"),
    ],
)
def test_addresses_are_compared_letter_by_letter(has: list[str], status: str, said: str) -> None:
    found = clients._urls("callback URLs", [f"{APP}/back"], has)
    assert (found.status, said in found.seen) == (status, True)


@pytest.mark.parametrize(
    ("has", "off"),
    [
        ({}, ["OAuth flow code", "scope email", "OAuth as a whole"]),
        ({"AllowedOAuthFlows": ["code"], "AllowedOAuthScopes": ["email"]}, ["OAuth as a whole"]),
        (
            {
                "AllowedOAuthFlows": ["code"],
                "AllowedOAuthScopes": ["email"],
                "AllowedOAuthFlowsUserPoolClient": True,
                "ReadAttributes": ["name"],
            },
            ["attribute email"],
        ),
    ],
)
def test_what_is_off_is_named(has: dict[str, Any], off: list[str]) -> None:
    facts = {"oauth_flows": ["code"], "scopes": ["email"], "attributes": ["email"]}
    found = clients._flows("web", facts, has)
    assert (found.cause, found.seen.startswith(f"off: {', '.join(off)};")) == (clients.FLOW, True)


def test_a_domain_that_is_gone_is_critical(ops: Connection) -> None:
    found = clients._domain(ops, users.pool_id(ops), "nobody-has-this")
    assert (found.status, "there is no such domain" in found.seen) == ("critical", True)


@pytest.fixture
def triggered(ops: Connection, lab: PracticeLab) -> Iterator[Any]:
    """The pool calls a function at each sign-in."""

    def call(function: str) -> None:
        arn = f"arn:aws:lambda:us-east-1:555566667777:function:{function}"
        given = {"UserPoolId": users.pool_id(ops), "LambdaConfig": {"PreAuthentication": arn}}
        ops.client("cognito-idp").update_user_pool(**given)

    yield call
    lab.reset()


@pytest.mark.slow
def test_a_function_that_a_sign_in_calls_and_that_is_gone_is_told(
    ops: Connection, triggered: Any
) -> None:
    triggered("gone")
    found = clients.check_clients(ops)
    assert found.causes == {"sign-in-trigger-gone"}
    assert "gone is absent; who passes it is refused" in found.troubles[0].seen


@pytest.mark.slow
def test_one_that_may_not_be_asked_for_is_not_called_gone(
    ops: Connection, triggered: Any, lab: PracticeLab
) -> None:
    triggered("gone")
    with lab.denied("lambda:GetFunctionConfiguration", KEY):
        assert clients.check_clients(ops).worst == "unknown"
