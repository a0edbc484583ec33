"""A change is sent once: what AWS turned away is asked again, what may be done is not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import SSLError

from opslib import NotFound, OpsError, Unfinished, apply
from opslib.core.actions.actions import Action, Aws, Read
from opslib.core.connections import sending
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost
from opslib.core.plans import performing
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.records import reading
from tests import canned

TARGET = "lab/bluemoxon-staging"
BUCKET = "bluemoxon-staging-images"
TAGS = Read("s3", "get_bucket_tagging", "TagSet[0].Value", Bucket=BUCKET)


def tagging(value: str) -> Action:
    tags = {"TagSet": [{"Key": "step", "Value": value}]}
    return Aws("s3", "put_bucket_tagging", Bucket=BUCKET, Tagging=tags)


class Faulty:
    """A proxy before the lab: with a request that holds `mark` it does what it is told."""

    def __init__(self, upstream: str, mark: bytes, fault: str) -> None:
        at = urlsplit(upstream)
        self.upstream = (str(at.hostname), int(at.port or 80))
        self.mark, self.fault, self.count = mark, fault, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}{at.path}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(taken,), daemon=True).start()

    def _pass(self, taken: socket.socket) -> None:
        with taken, socket.create_connection(self.upstream) as there:
            taken.settimeout(0.5)
            there.settimeout(0.5)
            marked = False
            while True:
                asked = _all(taken)
                if not asked:
                    return
                marked |= self.mark in asked
                self.count += self.mark in asked
                if marked and self.fault == "refused":
                    taken.sendall(_REFUSED)
                    return
                if marked and self.fault == "not done":
                    return
                there.sendall(asked)
                answer = b""
                while not answer:
                    answer = _all(there)
                if marked and self.fault == "done":
                    return
                if marked and self.fault == "500":
                    answer = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
                taken.sendall(answer)


_SAID = b"<Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>"
_REFUSED = b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n%b" % (len(_SAID), _SAID)


def _all(at: socket.socket) -> bytes:
    """What comes until nothing more does for a while; nothing when the other has gone."""
    found = b""
    try:
        while part := at.recv(1 << 16):
            found += part
            at.settimeout(0.1)
    except TimeoutError:
        pass
    finally:
        at.settimeout(0.5)
    return found


@contextmanager
def faulty(ops: Connection, mark: bytes, fault: str) -> Iterator[Faulty]:
    access = ops._access
    proxy = Faulty(str(access.endpoint), mark, fault)
    ops._access, ops._clients = replace(access, endpoint=proxy.url), {}
    try:
        yield proxy
    finally:
        proxy.socket.shutdown(socket.SHUT_RDWR)
        proxy.socket.close()
        ops._access, ops._clients = access, {}


def plan(ops: Connection, *, seen: bool = True) -> Any:
    @planner
    def made(ops: Connection) -> Planned:
        observe = TAGS if seen else None
        before = "none" if seen else None
        return Planned("tag", [Step("Tag", tagging("lost"), before, "lost", [], observe)])

    return made(ops)


def tag(ops: Connection) -> Any:
    try:
        return TAGS.perform(ops)
    except NotFound:
        return None


@pytest.fixture(autouse=True)
def untagged(ops: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(performing, "_SEEN_SECONDS", 1.0)
    monkeypatch.setattr(sending, "_PAUSES", (0.01, 0.01))
    yield
    ops.call("s3", "delete_bucket_tagging", Bucket=BUCKET)


@pytest.mark.parametrize("fault", ["done", "500"])
def test_a_call_that_was_done_and_not_answered_is_sent_once_and_seen(
    ops: Connection, fault: str
) -> None:
    with faulty(ops, b"<Value>lost</Value>", fault) as proxy:
        apply(ops, plan(ops), "now")
        assert proxy.count == 1
    assert tag(ops) == "lost"
    [step] = reading.details(reading.list_records()[0])["steps"]
    assert (step["state"], step["seen"]) == ("applied", True)


def test_a_call_that_was_lost_before_it_was_done_is_unknown(ops: Connection) -> None:
    with faulty(ops, b"<Value>lost</Value>", "not done") as proxy:
        with pytest.raises(Lost, match=r"may be done: s3 put_bucket_tagging .*answer was lost"):
            apply(ops, plan(ops), "now")
        assert proxy.count == 1
    assert tag(ops) is None
    [step] = reading.details(reading.list_records()[0])["steps"]
    assert step["state"] == "unknown"


def test_a_connection_that_breaks_in_its_encryption_may_have_done_it() -> None:
    """TLS may break after all was sent: sent again, the change would be made twice."""
    asked = canned.connection(broken := Broken())
    with pytest.raises(Lost, match=r"answer was lost .*SSL validation failed"):
        asked.change("s3", "put_bucket_tagging", Bucket=BUCKET, Tagging={"TagSet": []})
    assert broken.count == 1


class Broken:
    """An AWS of which nothing is heard but that TLS broke."""

    count = 0

    def __call__(self, service: str, operation: str) -> tuple[int, bytes]:
        self.count += 1
        raise SSLError(endpoint_url="https://s3", error="bad record mac")


def test_what_was_turned_away_is_asked_again_and_is_known_not_to_be_done(ops: Connection) -> None:
    with faulty(ops, b"<Value>lost</Value>", "refused") as proxy:
        with pytest.raises(Unfinished, match="throttling") as failure:
            apply(ops, plan(ops), "now")
        assert not isinstance(failure.value, Lost)
        assert proxy.count == 3
    [step] = reading.details(reading.list_records()[0])["steps"]
    assert step["state"] == "failed"


def test_a_place_that_cannot_be_reached_is_known_not_to_have_done_it(ops: Connection) -> None:
    access = ops._access
    ops._access = replace(access, endpoint="http://127.0.0.1:9")
    with pytest.raises(OpsError) as failure:
        ops.change("s3", "put_bucket_tagging", Bucket=BUCKET, Tagging={"TagSet": []})
    assert not isinstance(failure.value, Lost)
    ops._access, ops._clients = access, {}


def test_an_operation_that_takes_a_token_gets_one_the_same_in_each_attempt(ops: Connection) -> None:
    stacks = ops.client("cloudformation")
    given = {"StackName": "a"}
    said, repeatable = sending.with_token(stacks, "delete_stack", given, "a-token")
    assert (said, repeatable) == ({"StackName": "a", "ClientRequestToken": "a-token"}, True)
    assert sending.with_token(stacks, "delete_stack", said, "other")[0] == said
    secrets = ops.client("secretsmanager")  # botocore makes its own
    assert sending.with_token(secrets, "put_secret_value", {}, "t") == ({}, True)
    assert sending.with_token(ops.client("sqs"), "send_message", {}, "t") == ({}, False)
