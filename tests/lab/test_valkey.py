"""The caches' server of the lab: a real Valkey that begins where nobody else listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib.core.errors import OpsError
from opslib.lab import valkey


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens at."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[valkey.Valkey]:
    made = valkey.Valkey("secret", tmp_path)
    yield made
    made.stop()


def test_a_port_that_was_taken_in_the_meantime_is_left_and_another_is_tried(
    monkeypatch: pytest.MonkeyPatch, server: valkey.Valkey, taken: int
) -> None:
    free, offered = valkey._free_port(), [taken]
    monkeypatch.setattr(valkey, "_free_port", lambda: offered.pop() if offered else free)
    server.start()
    assert server.port == free
    assert server.client().ping()
    server.stop()
    server.start()  # the address that was given to others holds
    assert server.port == free


def test_where_it_was_nobody_else_is_taken_for_it(server: valkey.Valkey, taken: int) -> None:
    server.port = taken
    with pytest.raises(OpsError, match=rf"Valkey did not start on 127\.0\.0\.1:{taken}"):
        server.start()


def test_what_was_saved_lies_in_its_home_and_is_not_read_again(
    server: valkey.Valkey, tmp_path: Path
) -> None:
    server.fill({"kept": ("1", None)})
    server.client().set("more", "2")
    server.client().save()
    assert [path.suffix for path in tmp_path.iterdir()] == [".rdb"]
    server.put_back()
    assert server.client().keys() == [b"kept"]
