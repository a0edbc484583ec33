"""What functions need: a cause is found where it is, and only there; two are found at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from opslib import connect
from opslib.core.reads import functions
from opslib.core.tables import frame
from opslib.logs import denials, judged, needs
from opslib.logs.denials import ROLE, STORAGE
from opslib.logs.kinds import kind_of
from opslib.logs.needs import LOGIN, OUTSIDE

START = datetime(2026, 11, 20, 6, tzinfo=UTC)
TARGET, KEY = "lab/dms-dev", "init-upload"


@pytest.fixture
def dms(lab: Any) -> Any:
    return connect(TARGET)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("drills", "causes"),
    [
        pytest.param([], set(), id="well"),
        pytest.param(["cognito-misconfigured"], {LOGIN}, id="another pool"),
        pytest.param(["connections-near-limit"], {"connections-near-limit"}, id="full"),
        pytest.param(["function-outside-vpc", "storage-denied"], {OUTSIDE, STORAGE}, id="two"),
    ],
)
def test_each_cause_is_found_by_configuration_and_lines_and_no_other(
    lab: Any, dms: Any, drills: list[str], causes: set[str]
) -> None:
    with ExitStack() as broken:
        for drill in drills:
            broken.enter_context(lab.broken(drill, "dms-dev"))
        found = needs.check_needs(dms)
    assert found.causes == causes
    assert all("line" in each.seen for each in found.troubles)
    assert {each.rules_out for each in found if each.status == "ok"}.isdisjoint(causes)


class Changed:
    """What AWS answers, changed by path; everything else as the lab has it."""

    def __init__(self, ops: Any, monkeypatch: Any, **answers: Callable[[Any], Any]) -> None:
        real = ops.pages

        def pages(service: str, operation: str, path: str, **given: Any) -> list[Any]:
            found = real(service, operation, path, **given)
            return answers[operation](found) if operation in answers else found

        monkeypatch.setattr(ops, "pages", pages)


def only(ops: Any, words: str) -> Any:
    return next(each for each in needs.check_needs(ops, KEY) if each.check == words)


@pytest.mark.parametrize(
    ("jwt", "said"),
    [
        ({"Issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x"}, "takes tokens of"),
        ({"Audience": ["3n4b5urk1ft4fl3mg5e62d9ado"]}, "none of its audience is an app client"),
        ({"Issuer": "https://login.example.com"}, ""),  # another provider's: not ours to judge
    ],
)
def test_the_authorizer_is_compared_with_the_pool(
    dms: Any, monkeypatch: Any, jwt: Any, said: str
) -> None:
    def other(found: list[Any]) -> list[Any]:
        return [each | {"JwtConfiguration": each["JwtConfiguration"] | jwt} for each in found]

    Changed(dms, monkeypatch, get_authorizers=other)
    found = only(dms, needs._SIGN_IN.words)
    assert (found.status, found.cause) == (("critical", LOGIN) if said else ("ok", ""))
    assert said in found.seen


def test_an_authorizer_that_no_route_uses_is_no_matter(dms: Any, monkeypatch: Any) -> None:
    wrong = [{"AuthorizerId": "x", "Name": "old", "JwtConfiguration": {"Audience": ["gone"]}}]
    Changed(dms, monkeypatch, get_authorizers=lambda found: found + wrong)
    assert only(dms, needs._SIGN_IN.words).status == "ok"


def test_a_deleted_app_client_is_told(dms: Any, monkeypatch: Any) -> None:
    Changed(dms, monkeypatch, list_user_pool_clients=lambda _: ["another"])
    assert only(dms, needs._SIGN_IN.words).cause == LOGIN


@pytest.mark.parametrize(
    ("change", "said", "cause", "follow"),
    [
        (
            {"GroupId": "sg-0", "VpcId": "vpc-other"},
            "is in another VPC",
            OUTSIDE,
            "functions/rollback",
        ),
        ({"GroupId": "sg-0"}, "is not let in on port 5432", "", "changes/configuration"),
    ],
)
def test_other_subnets_and_groups_are_no_way(
    dms: Any, monkeypatch: Any, change: Any, said: str, cause: str, follow: str
) -> None:
    mine = {*functions.live(dms, KEY)["VpcConfig"]["SecurityGroupIds"]}

    def moved(found: list[Any]) -> list[Any]:
        return [each | change if each.get("GroupId") in mine else each for each in found]

    Changed(dms, monkeypatch, describe_security_groups=moved)
    found = only(dms, needs._WAY.words)
    assert (found.status, found.cause, found.next) == ("critical", cause, follow), found.seen
    assert said in found.seen


def test_a_function_that_needs_no_database_needs_no_way_to_it(dms: Any) -> None:
    found = needs.check_needs(dms, "start-processing")
    assert needs._WAY.words not in {each.check for each in found}


def test_a_role_that_may_not_be_asked_is_unknown(lab: Any, dms: Any) -> None:
    with lab.denied("iam:SimulatePrincipalPolicy", "dms-dev"):
        found = only(dms, denials._OBJECTS.words)
        assert (found.status, "iam:SimulatePrincipalPolicy" in found.seen) == ("unknown", True)
        with lab.broken("storage-denied", "dms-dev"):  # the lines tell it even so
            assert only(dms, denials._OBJECTS.words).cause == STORAGE


@pytest.mark.parametrize(
    ("value", "name", "named"),
    [
        ("dms/password", "dms/password", True),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:dms/password-AbC123", "dms/password", True),
        ("postgresql://u@cluster.abc.rds.amazonaws.com:5432/x", "cluster", True),
        ("s3://papers/incoming", "papers", True),
        ("papers-thumbs", "papers", False),
        ("my-papers", "papers", False),
    ],
)
def test_what_a_variable_names_is_needed(value: str, name: str, named: bool) -> None:
    assert needs._holds(value, name) is named


def test_lines_name_action_and_resource() -> None:
    said = "User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: kms:Decrypt on "
    said += "resource: arn:aws:kms:eu-west-1:1:key/2 because no identity-based policy allows it"
    found = denials._REFUSED.search(said)
    assert found
    assert (found["action"], found["on"]) == ("kms:Decrypt", "arn:aws:kms:eu-west-1:1:key/2")
    assert ROLE != STORAGE


def test_a_secret_that_a_variable_names_has_to_be_there(dms: Any, monkeypatch: Any) -> None:
    words, real = needs._STORED.words, functions.variables
    assert (only(dms, words).status, only(dms, words).seen) == ("ok", "1, all there")
    own = f"arn:aws:secretsmanager:{dms.target.region}:{dms.target.account}:secret:gone-AbCdEf"
    other = own.replace(dms.target.account, "999988887777")
    for value, status in ((own, "critical"), (other, "ok")):
        monkeypatch.setattr(functions, "variables", lambda of, v=value: real(of) | {"KEY_ARN": v})
        assert only(dms, words).status == status
    monkeypatch.setattr(functions, "variables", lambda of: real(of) | {"DB_SECRET_NAME": "gone"})
    found = only(dms, words)
    assert (found.status, found.next) == ("critical", "functions/environment")
    assert "DB_SECRET_NAME of init-upload: gone" in found.seen


def test_a_secret_that_may_not_be_described_is_unknown(lab: Any, dms: Any) -> None:
    with lab.denied("secretsmanager:DescribeSecret", "dms-dev"):
        assert needs.check_needs(dms, KEY).worst == "unknown"


MEGABYTES = "REPORT RequestId: x\tDuration: 9 ms\tMemory Size: 512 MB\tMax Memory Used: {} MB\t"


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([MEGABYTES.format(511), MEGABYTES.format(51)], "ok"),
        ([MEGABYTES.format(512)], "warn"),
        (['{"metrics": {"memorySizeMB": 128, "maxMemoryUsedMB": 128}}'], "warn"),
        ([MEGABYTES.format(512), "RequestId: x Error: Runtime exited: signal: killed"], "critical"),
        (['{"errorType": "Runtime.OutOfMemory"}'], "critical"),
    ],
)
def test_memory_that_did_not_suffice_is_named(messages: list[str], status: str) -> None:
    ill = {each: "trouble" if kind_of(each) == "memory" else "well" for each in messages}
    rows = [{"time": START, "source": "api", "message": m, "answer": a} for m, a in ill.items()]
    found = needs._memory(frame(rows, judged.LINES))
    assert found.status == status
    assert (found.cause or found.rules_out) == needs.MEMORY
