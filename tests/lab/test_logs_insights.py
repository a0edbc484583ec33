"""Logs Insights: queries read, run and refused as the real service does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.corrections.logs import logs
from opslib.lab.places import Place

NOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
Rows = list[dict[str, str]]
Ask = Callable[..., Rows]


@pytest.fixture(scope="module")
def group(world: Any) -> str:
    """A Lambda's group: thirty invocations, one a minute,
    each of three lines; every fifth fails.
    """
    place: Place = world.places["practice-one"]
    name = f"/aws/lambda/{uuid.uuid4()}"
    events = []
    for number in range(30):
        when = NOON + timedelta(minutes=number)
        request = f"{number:08x}-0000-4000-8000-{number:012x}"
        level = "INFO" if number % 5 else "ERROR"
        line = {
            "level": level,
            "ms": number * 10,
            "route": {"path": f"/b/{number % 2}"},
            "tags": ["a", "b"],
        }
        report = (
            f"Duration: {100 + number}.50 ms\tBilled Duration: {101 + number} ms\tMemory "
            "Size: 1024 MB\t"
        )
        report += f"Max Memory Used: {200 + number} MB"
        if number == 7:
            report += "\tInit Duration: 300.25 ms"
        for at, text in enumerate(
            [
                f"START RequestId: {request} Version: 3",
                json.dumps(line) if number != 3 else "plain words, code=17 user=ann",
                f"REPORT RequestId: {request}\t{report}",
            ]
        ):
            events.append((when + timedelta(milliseconds=at), f"2026/11/22/[3]{number % 3}", text))
    logs.append(place.account, place.region, name, events)
    return name


@pytest.fixture
def ask(aws: Callable[..., Any], group: str) -> Ask:
    client = aws("logs")

    def rows(query: str, **asked: Any) -> Rows:
        start = int(NOON.timestamp())
        window = {"startTime": start, "endTime": start + 3600}
        started = client.start_query(
            **({"logGroupName": group} | window | asked), queryString=query
        )
        answer = client.get_query_results(queryId=started["queryId"])
        assert answer["status"] == "Complete"
        return [{each["field"]: each["value"] for each in row} for row in answer["results"]]

    return rows


def test_without_a_command_for_it_the_newest_events_come_first(ask: Ask) -> None:
    found = ask("filter @message like /ERROR/")
    assert [row["@timestamp"] for row in found[:2]] == [
        f"{NOON + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S}.001" for minute in (25, 20)
    ]
    assert set(found[0]) == {"@timestamp", "@message", "@ptr"}


def test_fields_of_json_by_path(ask: Ask) -> None:
    found = ask(
        "fields ms, route.path, tags.1 as tag | filter ms = 250 | display ms, `route.path`, tag"
    )
    assert found == [{"ms": "250", "route.path": "/b/1", "tag": "b", "@ptr": found[0]["@ptr"]}]


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ('level = "ERROR"', 6),
        ('level != "ERROR"', 23),
        ('level = "ERROR" and ms > 100', 3),
        ("ms >= 280 or ms < 20", 4),
        ("not (ms > 10)", 63),  # also where there is no ms
        ("ms > 10 and not ms > 30", 1),
        ("@message like 'ERROR'", 6),
        ("@message like /(?i)error|PLAIN/", 7),
        ("@message =~ /plain/", 1),
        ("@message not like /RequestId/", 30),
        ('level in ["ERROR", "WARN"]', 6),
        ("ms not in [10, 20] and ispresent(ms)", 27),
        ("ms * 2 + 1 = 41", 1),
        ("ms % 100 = 0 and ms / 100 = 2", 1),
        ("strcontains(@message, 'START')", 30),
        ("isempty(level) and @type = 'REPORT'", 30),
        ("@type = 'START' and @logStream like '[3]1'", 10),
        ("(level = 'ERROR' or level = 'INFO') and `route.path` = '/b/1'", 14),
    ],
)
def test_conditions(ask: Ask, condition: str, count: int) -> None:
    assert ask(f"filter {condition} | stats count(*) as n") == [{"n": str(count)}]


def test_stats_of_the_lines_of_lambda(ask: Ask) -> None:
    found = ask(
        """filter @type = "REPORT"   # one a request
        | stats max(@memorySize / 1000 / 1000) as provisioned, max(@maxMemoryUsed) / 1000000 as used,
            pct(@duration, 95) as p95, avg(@billedDuration) as billed, count(@initDuration) as cold,
            count_distinct(@requestId) as requests, earliest(@duration), latest(@duration), sum(@billedDuration)"""
    )
    assert found == [
        {
            "provisioned": "1024",
            "used": "229",
            "p95": "128.5",
            "billed": "115.5",
            "cold": "1",
            "requests": "30",
            "earliest(@duration)": "100.5",
            "latest(@duration)": "129.5",
            "sum(@billedDuration)": "3465",
        }
    ]


def test_stats_by_time_and_field(ask: Ask) -> None:
    found = ask(
        "filter ispresent(level) | stats count(*) as n, min(ms), max(ms) by bin(10m), level | "
        "sort bin(10m), level"
    )
    assert [tuple(row.values()) for row in found[:3]] == [
        (f"{NOON:%Y-%m-%d %H:%M}:00.000", "ERROR", "2", "0", "50"),
        (f"{NOON:%Y-%m-%d %H:%M}:00.000", "INFO", "7", "10", "90"),
        (f"{NOON + timedelta(minutes=10):%Y-%m-%d %H:%M}:00.000", "ERROR", "2", "100", "150"),
    ]
    assert ask("stats count(*) as n by bin(10m) | stats max(n), min(n)") == [
        {"max(n)": "30", "min(n)": "30"}
    ]


def test_sort_limit_and_dedup(ask: Ask) -> None:
    assert [row["ms"] for row in ask("fields ms | filter ms > 0 | sort ms desc | limit 3")] == [
        "290",
        "280",
        "270",
    ]
    assert [row["ms"] for row in ask("fields ms | filter ms > 0 | sort ms | limit 2")] == [
        "10",
        "20",
    ]
    found = ask(
        "fields level, ms | filter ispresent(level) | sort level asc, ms desc | dedup level | "
        "limit 9"
    )
    assert [(row["level"], row["ms"]) for row in found] == [("ERROR", "250"), ("INFO", "290")]
    assert len(ask("fields @message", limit=4)) == 4


def test_parse_by_glob_and_by_expression(ask: Ask) -> None:
    found = ask(
        'parse @message "code=* user=*" as code, user | filter ispresent(code) | display code, user'
    )
    assert [(row["code"], row["user"]) for row in found] == [("17", "ann")]
    found = ask(
        r"parse @message /Duration: (?<ms>[\d.]+) ms\tBilled/ | filter ms > 127 | stats count(*) "
        r"as n, max(ms)"
    )
    assert found == [{"n": "3", "max(ms)": "129.50"}]


def test_addresses_are_held_against_a_subnet(ask: Ask) -> None:
    asked = "fields isIpv4InSubnet('10.0.0.7', '10.0.0.0/8') as mine, isValidIp('fe80::1') as ip"
    asked += ", isValidIpv4('fe80::1') as four, isIpInSubnet(absent, '10.0.0.0/8') as none"
    (found,) = ask(f"{asked} | limit 1")
    found.pop("@ptr", None)
    assert list(found.values()) == ["1", "1", "0", "0"]


def test_functions_make_fields(ask: Ask) -> None:
    made = (
        "fields if(ms > 100, 'slow', 'quick') as pace, concat(toupper(level), '-', ms) as "
        "mark, abs(10 - ms) as away"
    )
    found = ask(
        f"{made} | filter ms = 120 | display pace, mark, away, coalesce(absent, 'none'), "
        "substr(level, 0, 2)"
    )
    found[0].pop("@ptr")
    assert list(found[0].values()) == ["slow", "INFO-120", "110", "none", "IN"]


def test_a_window_and_exactly_one_way_to_name_groups(ask: Ask, group: str) -> None:
    start = int(NOON.timestamp())
    assert ask("stats count(*) as n", startTime=start + 60, endTime=start + 120) == [{"n": "6"}]
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ask("stats count(*) as n", logGroupNames=[group])  # beside logGroupName


@pytest.mark.parametrize(
    ("query", "says", "start", "end"),
    [
        (
            "fields @timestamp | filterr x = 1",
            "unexpected symbol found filterr at line 1 and position 20",
            20,
            27,
        ),
        (
            "fields @timestamp\n| count()",
            "unexpected symbol found count at line 2 and position 2",
            20,
            25,
        ),
        ("stats p95(ms)", "unknown function p95", 6, 10),
        ("filter x =", "unexpected symbol found <EOF> at line 1 and position 10", 10, 10),
        ("stats ms", "unexpected symbol found ms at line 1 and position 6", 6, 8),
        (
            "fields a | limit 10 extra",
            "unexpected symbol found extra at line 1 and position 20",
            20,
            25,
        ),
        ("filter (a = 1", "unexpected symbol found <EOF> at line 1 and position 13", 13, 13),
        ("parse @message 'a * b *' as x", "parse has 2 wildcards and 1 names", 6, 29),
        ("filter a like /(/", "invalid regular expression", 14, 17),
        ("sort a | dedup b | sort c", "unexpected symbol found sort", 0, 25),
        ("limit 0", "limit must be between 1 and 10000", 6, 7),
        ("pattern @message", "The practice lab does not know the command pattern", 0, 8),
        ("", "unexpected symbol found <EOF> at line 1 and position 0", 0, 0),
    ],
)
def test_a_malformed_query_says_where(
    ask: Ask, query: str, says: str, start: int, end: int
) -> None:
    with pytest.raises(ClientError, match="MalformedQueryException") as caught:
        ask(query)
    error = caught.value.response["queryCompileError"]  # type: ignore[typeddict-item]
    assert error["message"].startswith(says)
    assert error["location"] == {"startCharOffset": start, "endCharOffset": end}


def test_what_aws_refuses(ask: Ask, aws: Callable[..., Any]) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        ask("fields a", logGroupName="/no/such")
    with pytest.raises(ClientError, match="End time should not be less"):
        ask("fields a", endTime=1)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws("logs").get_query_results(queryId="no-such-query")


def test_a_query_tells_what_it_scanned(aws: Callable[..., Any], group: str) -> None:
    start = int(NOON.timestamp())
    asked = {"logGroupNames": [group], "startTime": start, "endTime": start + 3600}
    client = aws("logs")
    query = client.start_query(**asked, queryString='filter level = "ERROR" | limit 2')["queryId"]
    answer = client.get_query_results(queryId=query)
    assert len(answer["results"]) == 2
    assert (answer["statistics"]["recordsScanned"], answer["statistics"]["recordsMatched"]) == (
        90.0,
        6.0,
    )
    described = client.describe_queries(logGroupName=group)["queries"]
    assert query in {each["queryId"] for each in described}


def test_columns_of_a_stats_may_be_made_of_those_before(ask: Ask) -> None:
    found = ask("stats count(*) as lines, sum(ms) as ms, ms / lines as each, count(*) * 2 as twice")
    values = {name: float(value) for name, value in found[0].items()}
    assert values["lines"] == 90
    assert values["each"] == pytest.approx(values["ms"] / 90, abs=1e-3)
    assert values["twice"] == 180


def test_json_in_a_field_is_read_and_an_index_is_a_filter(ask: Ask) -> None:
    text = 'filterIndex level = "ERROR" | fields jsonParse(@message) as j '
    found = ask(text + "| display j.route.path, unmask(level) | limit 1")[0]
    assert (found["j.route.path"], found["unmask(level)"]) == ("/b/1", "ERROR")
