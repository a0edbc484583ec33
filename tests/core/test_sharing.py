"""Within one look AWS is asked once for what several checks want to know."""

from __future__ import annotations

import time
from typing import Any

import pytest

from opslib import connect
from opslib.core import OpsError
from opslib.core.connections.connection import Connection
from tests import canned


class Account:
    """Answers every call in the same way, and keeps what it was asked."""

    def __init__(self, status: int = 200, body: bytes = b'{"Policy": "{}"}') -> None:
        self.status, self.body, self.asked = status, body, list[str]()

    def connection(self) -> Connection:
        return canned.connection(self._answer)

    def _answer(self, service: str, operation: str) -> tuple[int, bytes]:
        self.asked.append(operation)
        time.sleep(0.02)  # the others come meanwhile
        return self.status, self.body


def policy(ops: Connection, name: str = "api") -> Any:
    return ops.call("lambda", "get_policy", FunctionName=name)


def test_the_same_read_is_one_call_and_each_has_its_own_answer() -> None:
    account = Account()
    ops = account.connection()
    with ops.reading_once():
        every = ops.gather(*[lambda: policy(ops)] * 5)
        policy(ops, "worker")
    assert len(account.asked) == 2
    assert every == [{"Policy": "{}"}] * 5
    assert len(set(map(id, every))) == 5


def test_the_same_question_in_another_region_is_another(lab: Any) -> None:
    """Also where one address answers for all of them."""
    ops = connect("lab/bluemoxon-staging")
    with ops.reading_once():
        here, there = (each.call("lambda", "list_functions") for each in (ops, ops.at("eu-west-3")))
    assert (len(here["Functions"]) > 0, there["Functions"]) == (True, [])


def test_what_is_read_later_or_changes_something_is_asked_again() -> None:
    account = Account()
    ops = account.connection()
    with ops.reading_once():
        policy(ops)
        for _ in range(2):
            with pytest.raises(OpsError):  # a version is of another form
                ops.call("lambda", "publish_version", FunctionName="api")
    policy(ops)
    with ops.reading_once():
        policy(ops)
    assert account.asked == ["GetPolicy", *["PublishVersion"] * 2, *["GetPolicy"] * 2]


def test_what_botocore_decodes_is_decoded_once_for_each(lab: Any) -> None:
    ops = connect("lab/image-caption-prod")
    role = {"RoleName": "image-caption-gen-prod-task"}
    with ops.reading_once():
        every = ops.gather(*[lambda: ops.call("iam", "get_role", **role)] * 3)
    assert [e["Role"]["AssumeRolePolicyDocument"]["Version"] for e in every] == ["2012-10-17"] * 3


@pytest.mark.parametrize(("status", "calls"), [(403, 1), (500, 3)])
def test_a_refusal_is_everybodys_and_an_answer_that_was_lost_is_asked_for_by_each(
    status: int, calls: int
) -> None:
    account = Account(status, b'{"message": "no"}')
    ops = account.connection()
    with ops.reading_once():
        for _ in range(3):
            with pytest.raises(OpsError):
                policy(ops)
    assert len(account.asked) == calls


def test_half_an_answer_is_half_for_everybody() -> None:
    account = Account(body=b'{"Policy": "cut')
    ops = account.connection()
    with ops.reading_once():
        for _ in range(2):
            with pytest.raises(OpsError):
                policy(ops)
