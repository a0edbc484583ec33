"""Filter patterns as CloudWatch Logs reads them, asked of FilterLogEvents."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.corrections.logs import logs
from opslib.lab.corrections.logs.log_patterns import compile_pattern
from opslib.lab.places import Place

DOCUMENT = json.dumps(
    {
        "level": "ERROR",
        "latency": 150,
        "none": None,
        "flag": True,
        "list": ["x", "y"],
        "users": [{"id": 2}],
        "cluster.name": "c",
        "status": "401",
        "address": "111.111.111.111",
    }
)
ACCESS = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'

Found = Callable[[str, list[str]], list[str]]


@pytest.fixture
def found(place: Place, aws: Callable[..., Any]) -> Found:
    """Which of the messages FilterLogEvents answers for a pattern."""

    def ask(pattern: str, messages: list[str]) -> list[str]:
        group = f"/patterns/{uuid.uuid4()}"
        logs.append(
            place.account,
            place.region,
            group,
            [(datetime.now(UTC), "s", each) for each in messages],
        )
        answer = aws("logs").filter_log_events(logGroupName=group, filterPattern=pattern)
        return [event["message"] for event in answer["events"]]

    return ask


LINES = [
    "ERROR and WARN",
    "ERROR only",
    "WARN only",
    "Task timed out after 30 s",
    "out: the Task timed",
]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("ERROR", [0, 1]),
        ("ERROR WARN", [0]),
        ("?ERROR ?WARN", [0, 1, 2]),
        ("ERROR -WARN", [1]),
        ("-ERROR", [2, 3, 4]),
        ("Task timed out", [3, 4]),  # every word, anywhere
        ('"Task timed out"', [3]),  # the phrase
        ('?ERROR ?"Task timed out"', [0, 1, 3]),
        ("?ERROR only", [1, 2]),  # with another term, those with ? are ignored
        ("%W[A-Z]+N%", [0, 2]),
        ("%^ERROR|^WARN%", [0, 1, 2]),
        ("", [0, 1, 2, 3, 4]),
        ('" "', [0, 1, 2, 3, 4]),
        ("error", []),
    ],
)
def test_terms_select_messages(found: Found, pattern: str, matching: list[int]) -> None:
    assert found(pattern, LINES) == [LINES[index] for index in matching]


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.level = "ERROR" && $.latency > 100 }',
        "{$.level=ERR*&&$.latency>=150}",
        "{ $.latency = 150.0 }",
        "{ $.latency < 1.6e2 }",
        "{ $.latency = * }",
        "{ $.status = 401 }",
        "{ $.address = 111.111.* }",
        "{ $.address != 123.123.* }",
        "{ $.none IS NULL }",
        "{ $.flag IS TRUE }",
        "{ $.absent NOT EXISTS }",
        '{ $.list[*] = "y" }',
        "{ $.users[0].id = 2 }",
        "{ $.['cluster.name'] = \"c\" }",
        "{ $.level = %^ERR% }",
        "{ $.* = %ERR% }",
        '{ ($.level = "x" || $.latency < 200) && $.flag IS TRUE }',
        '{ $.level = "ERROR" || $.latency > 200 && $.flag IS FALSE }',
    ],
)
def test_json_patterns_that_match(found: Found, pattern: str) -> None:
    assert found(pattern, [DOCUMENT, f"not a document: {DOCUMENT}"]) == [DOCUMENT]


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.level = "ERROR" && $.latency > 150 }',
        '{ $.list = "x" }',  # an array is no value
        '{ $.list != "x" }',
        '{ $.absent != "a" }',
        "{ $.level NOT EXISTS }",
        "{ $.none IS FALSE }",
        '{ $.list[0] = "y" }',
        "{ $.level > 3 }",
        '{ ($.level = "ERROR" || $.latency < 200) && $.flag IS FALSE }',
    ],
)
def test_json_patterns_that_do_not_match(found: Found, pattern: str) -> None:
    assert found(pattern, [DOCUMENT, "level ERROR"]) == []


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]", True),
        ("[..., request =*.html*, status_code = 4* && status_code != 403, bytes]", True),
        ("[ip, ..., status_code = 404 || status_code = 410, bytes > 2000]", False),
        (r"[ip=%127\.0\.0\.[1-9]%, ...]", True),
        ('[ip, user="Prod", rest]', True),  # the last field takes the rest
        ("[ip, user!=Prod, rest]", False),
        ("[a, b, c, d, e, f, g, h]", False),  # more fields than the message has
    ],
)
def test_space_delimited_patterns(found: Found, pattern: str, matches: bool) -> None:
    assert found(pattern, [ACCESS]) == ([ACCESS] if matches else [])


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ('{ $.level = "a"', "If a filter pattern starts with '{' it must end with '}'"),
        ("[a, b", "If a filter pattern starts with '[' it must end with ']'"),
        ("{ $.level }", "Invalid filter pattern"),
        ("{ $.level EXISTS }", "Invalid filter pattern"),
        ("{ level = 1 }", "Invalid filter pattern"),
        ('{ $.level = "a" && }', "Invalid filter pattern"),
        ('{ ($.level = "a" }', "Invalid filter pattern"),
        ("{ $.*.a.* = 1 }", "Invalid filter pattern"),
        ("[a=1 && b=2]", "Invalid filter pattern"),
        ("[a, ..., b, ...]", "Invalid filter pattern"),
        ('"unclosed', "Invalid filter pattern"),
        ("50%", "Invalid filter pattern"),
        ("%(a|b)%", "Invalid character(s) in term '%(a|b)%'"),
        ("%[a%", "Invalid filter pattern"),
        ("a.b", "Invalid character(s) in term 'a.b'"),
        ('""', "Invalid character(s) in term '\"\"'"),
    ],
)
def test_a_malformed_pattern_is_refused(found: Found, pattern: str, says: str) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException") as caught:
        found(pattern, ["x"])
    assert caught.value.response["Error"]["Message"] == says


def test_a_pattern_is_read_once() -> None:
    assert compile_pattern("ERROR") is compile_pattern("ERROR")
