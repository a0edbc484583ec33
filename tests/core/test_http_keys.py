"""How a request is authorised, as targets' files say it."""

from __future__ import annotations

from typing import Any

import pytest

from opslib import UsageError, session
from opslib.core.connections import calls, targets
from opslib.core.connections.http import authorised

READ = {"text": "t0ken", "json": {"apiKey": "t0ken", "note": "n"}, "two": {"a": "1", "b": "2"}}
READ |= {"login": {"username": "ops", "password": "pw"}, "pair": "ops:pw"}


@pytest.mark.parametrize(
    ("api", "header"),
    [
        ({"token_secret": "text"}, {"Authorization": "Bearer t0ken"}),
        ({"key": {"secret": "text"}}, {"Authorization": "Bearer t0ken"}),
        ({"key": {"secret": "json", "header": "X-API-Key"}}, {"X-API-Key": "t0ken"}),
        ({"key": {"secret": "two", "field": "b", "header": "x-key"}}, {"x-key": "2"}),
        ({"key": {"secret": "text", "scheme": "Token"}}, {"Authorization": "Token t0ken"}),
        ({"key": {"secret": "login", "scheme": "Basic"}}, {"Authorization": "Basic b3BzOnB3"}),
        ({"key": {"secret": "pair", "scheme": "Basic"}}, {"Authorization": "Basic b3BzOnB3"}),
        ({}, {}),
    ],
)
def test_the_key_is_sent_as_the_file_says(api: Any, header: dict[str, str]) -> None:
    assert authorised(api, READ.__getitem__, True) == header
    assert authorised(api, READ.__getitem__, False) == {}


def test_a_key_that_every_request_needs_goes_with_health_probes_too() -> None:
    about = {"key": {"secret": "text", "header": "X-API-Key", "always": True}}
    assert authorised(about, READ.__getitem__, False) == {"X-API-Key": "t0ken"}


def test_a_secret_without_that_field_is_named_with_what_it_has() -> None:
    with pytest.raises(
        UsageError, match=r"'two' has no token or key.*it has a, b.*api\.key\.field"
    ):
        authorised({"key": {"secret": "two"}}, READ.__getitem__, True)


def test_an_address_with_a_slash_at_its_end_makes_no_path_with_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "session", lambda *_: (None, None))
    facts = dict.fromkeys(("title", "system", "environment", "account", "region"), "x")
    made = targets.described(
        "shop-staging", {**facts, "production": False, "api": {"url": "https://shop.example/v1/"}}
    )
    api = session._access(made).api
    assert api is not None
    assert api.url == "https://shop.example/v1"
