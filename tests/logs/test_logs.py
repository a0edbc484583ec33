"""Logs.

Searched to the end of a window, phrases kept, errors grouped, throttling told with its worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from threading import Timer
from typing import Any

import pytest

from opslib import UsageError, connect
from opslib.core.reads import log_lines, logs
from opslib.core.times import Window, window
from opslib.logs import following, searches, throttles
from tests import notebooks

TARGET = "lab/bluemoxon-staging"


def test_a_search_reads_every_page_of_the_window(ops: Any) -> None:
    within = window(ops, 24 * 60)
    found = logs.search(ops, "api", "", within, limit=100_000)
    assert len(found) > 10_000
    assert not found.attrs["cut"]
    assert found["event_id"].is_unique
    assert found["time"].is_monotonic_increasing
    assert found["time"].min() >= within.start
    assert list(found.columns) == list(logs.EVENTS)


def test_a_limit_keeps_the_newest_and_says_that_it_cut(ops: Any) -> None:
    found = searches.check_lines(ops, "api", "", minutes=24 * 60, limit=50)
    assert found.evidence is not None
    assert len(found.evidence) == 50
    assert found.worst == "warn"
    assert "there are more" in found[0].seen
    assert ops.now() - found.evidence["time"].min() < timedelta(hours=1)


def test_an_empty_window_has_the_declared_columns(ops: Any) -> None:
    found = logs.search(ops, "scraper", '"no such text anywhere"', window(ops, 5))
    assert found.empty
    assert {name: str(dtype) for name, dtype in found.dtypes.items()}[
        "time"
    ] == "datetime64[us, UTC]"


def test_a_phrase_keeps_its_quotes(ops: Any) -> None:
    within = window(ops, 24 * 60)
    loose = logs.search(ops, "scraper", "Rate limited", within)
    assert len(loose) > 0, "the lab has lines with both words and not the phrase"
    assert logs.search(ops, "scraper", '"Rate limited"', within).empty


def test_all_functions_are_searched_at_once_and_named(ops: Any) -> None:
    found = searches.check_lines(ops, "all", '"REPORT RequestId"', minutes=24 * 60, limit=20)
    assert found.evidence is not None
    assert set(found.evidence["source"]) >= {"api", "scraper", "analysis-worker"}
    assert f"{len(ops.target['functions'])} log groups" in found[0].seen


def test_a_log_group_may_be_named_as_aws_does(ops: Any) -> None:
    group = f"/aws/lambda/{ops.target['functions']['api']['name']}"
    assert not logs.search(ops, group, "", window(ops, 60)).empty


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "apii"}, "Did you mean 'api'"),
        ({"source": "api", "since": "yesterday"}, "is no time"),
        ({"source": "api", "minutes": 0}, "minutes more than 0"),
        ({"source": "api", "since": "1h", "until": "2h"}, "since must be before until"),
    ],
)
def test_bad_input_says_what_and_how(ops: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        searches.check_lines(ops, **given)


def test_a_missing_log_group_is_unknown_and_says_so(ops: Any) -> None:
    found = searches.check_lines(ops, "/aws/lambda/gone")
    assert [f.status for f in found] == ["unknown"]
    assert "Not found" in found[0].seen


REQUEST = "0b1c2d3e-0b1c-4d3e-8f90-0b1c2d3e4f50"
LINES = {
    '{"level": "ERROR", "timestamp": "2026-11-22T10:00:00.1Z", '
    '"message": "job 17 of book 512 failed"}': "ERROR: job <n> of book <n> failed",
    f"[ERROR] 2026-11-22T10:00:00.123Z {REQUEST} KeyError: 'title'": "ERROR: KeyError: 'title'",
    f"2026-11-22T10:00:00.123Z {REQUEST} Task timed out after 30.03 seconds": (
        "Task timed out after <n> seconds"
    ),
    f"Traceback (most recent call last):\n  File x\nValueError: bad id {REQUEST}": (
        "ValueError: bad id <uuid>"
    ),
    "connect to 10.0.3.17:5432 as ann@example.com took 1,204ms": (
        "connect to <ip> as <email> took <n>ms"
    ),
    '{"level": "ERROR", "errorType": "ThrottlingException", "errorMessage": "slow down"}': (
        "ERROR: ThrottlingException: slow down"
    ),
    "object deadbeef0123 is gone": "object <hex> is gone",
    "S3 answered utf8 v2": "S3 answered utf8 v2",
}


@pytest.mark.parametrize(("line", "expected"), LINES.items())
def test_lines_of_one_kind_have_one_pattern(line: str, expected: str) -> None:
    assert log_lines.pattern(line) == expected


def test_a_hostile_line_cannot_move_the_cursor_or_turn_the_text() -> None:
    assert log_lines.shown("a\x1b[2Jb\r\x07c\u202ed\nsecond") == "ab\\r\\x07c\\u202ed ⏎ second"


def test_a_structured_line_is_read_by_its_text_first() -> None:
    line = (
        '{"level": "WARN", "timestamp": "2026-11-22T10:00:00Z", "book_id": 7, '
        '"message": "retrying", "error": "Throttled"}'
    )
    assert log_lines.brief(line) == "WARN retrying: Throttled (book_id=7)"
    assert (
        log_lines.brief('{"level": "INFO", "method": "GET", "status": 200}')
        == "INFO method=GET, status=200"
    )
    assert log_lines.brief("START RequestId: 1\n") == "START RequestId: 1"


def test_errors_are_grouped_with_counts_and_times(ops: Any) -> None:
    events = logs.search(ops, "all", logs.error_pattern(ops), window(ops, 24 * 60))
    found = searches.check_errors(ops)
    assert found.evidence is not None
    assert found.evidence["count"].sum() == len(events)
    assert list(found.evidence.columns) == list(log_lines.PATTERNS)
    assert (found.evidence["first_seen"] <= found.evidence["last_seen"]).all()
    assert found.causes == set()


@pytest.mark.slow
def test_a_bad_version_shows_as_a_pattern_that_is_too_frequent(lab: Any, ops: Any) -> None:
    before = {f.check for f in searches.check_errors(ops) if f.status != "ok"}
    with lab.broken("bad-version"):
        after = {f.check for f in searches.check_errors(ops) if f.status != "ok"}
    assert any("AttributeError" in pattern for pattern in after - before)


@pytest.mark.slow
def test_a_share_of_trouble_says_of_what_most_of_it_is(fresh: Any, lab: Any) -> None:
    line = "ERROR botocore.errorfactory.ResourceNotFoundException: An error occurred "
    line += "(ResourceNotFoundException) when calling the InvokeModel operation: it is retired."
    group, now = (
        "/aws/lambda/bluemoxon-staging-analysis-worker",
        int(fresh.now().timestamp() * 1000),
    )
    made = {"logGroupName": group, "logStreamName": "few"}
    fresh.client("logs").create_log_stream(**made)
    events = [{"timestamp": now - n * 1_200_000, "message": line} for n in range(9, 0, -1)]
    fresh.client("logs").put_log_events(**made, logEvents=events)
    [told] = searches.check_errors(fresh).troubles
    assert told.check == "share of trouble in analysis-worker"
    assert "most often ERROR: ResourceNotFoundException of InvokeModel: it is retired" in told.seen


@pytest.mark.slow
def test_trouble_of_one_pattern_is_one_finding_and_aws_s_reason_is_in_it(
    fresh: Any, lab: Any
) -> None:
    """Its share and the sum of all say nothing more."""
    line = "ERROR botocore.errorfactory.ResourceNotFoundException: An error occurred "
    line += "(ResourceNotFoundException) when calling the InvokeModel operation: "
    line += "This model version has reached the end of its life."
    group, now = "/aws/lambda/bluemoxon-staging-scraper", int(fresh.now().timestamp() * 1000)
    made = {"logGroupName": group, "logStreamName": "trouble"}
    fresh.client("logs").create_log_stream(**made)
    events = [{"timestamp": now - n * 60_000, "message": line} for n in range(40, 0, -1)]
    fresh.client("logs").put_log_events(**made, logEvents=events)
    [told] = searches.check_errors(fresh).troubles
    said = "ResourceNotFoundException of InvokeModel: This model version has reached the end of its"
    assert said in told.check


@pytest.mark.slow
def test_following_shows_each_line_once_and_ends(
    ops: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = following.check_following(ops, "api", '"RequestId"', seconds=4, minutes=5)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(set(printed)) > 0
    assert found.seen.startswith(f"{len(printed)} lines in 4 s")


@pytest.mark.slow
def test_where_nobody_looks_on_lines_are_printed_as_ever(
    ops: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = asyncio.run(following.watch(ops, "api", '"RequestId"', seconds=2, minutes=5))
    assert (found.status, found.check) == ("ok", "following api")
    assert "RequestId" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupt_ends_the_following_also_in_a_cell_that_awaits(
    ops: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    hour = 3600
    Timer(3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    (found,) = asyncio.run(following.watch(ops, "api", '"RequestId"', seconds=hour, minutes=5))
    assert capsys.readouterr().out.endswith("Stopped.\n")
    assert f"{hour} s" not in found.seen


def test_a_query_is_waited_for_and_typed(ops: Any) -> None:
    within = window(ops, 24 * 60)
    text = "filter ispresent(status) | stats count(*) as requests, "
    text += "pct(latency_ms, 95) as p95 by bin(1h)"
    found = logs.query(ops, "api", text, within)
    assert str(found["bin(1h)"].dtype) == "datetime64[us, UTC]"
    assert found["requests"].sum() > 1000
    assert (found["p95"] > 0).all()


def test_a_query_that_is_not_understood_is_a_usage_error_with_the_reason(ops: Any) -> None:
    with pytest.raises(UsageError, match=r"no Logs Insights query: stats p95(.|\n)*p95"):
        searches.check_query(ops, "api", "stats p95(latency_ms)")
    with pytest.raises(UsageError, match="practice lab does not know the command pattern"):
        searches.check_query(ops, "api", "pattern @message")


ANSWER = {
    "@timestamp": "2026-11-22 10:00:00.123",
    "last": "2026-11-22 10:00:00.123",
    "avg_time": "12.5",
    "time": "2026-11-22 10:00:00.123",
    "account": "000000000042",
    "commit": "12e4567",
    "hex": "12e4",
    "price": "1.50",
    "word": "inf",
    "big": "1.2345678E7",
    "requests": "42",
}


def test_no_type_is_guessed_from_a_name_or_from_looks() -> None:
    text = "stats avg(ms) as avg_time, latest(@timestamp) as last by time, account"
    cells = [{"field": name, "value": value} for name, value in ANSWER.items()]
    found = logs._typed([cells], text)
    times = [name for name in found if str(found[name].dtype).startswith("datetime64")]
    numbers = [name for name in found if found[name].dtype.kind in "if"]
    assert times == ["@timestamp", "last"]
    assert numbers == ["avg_time", "big", "requests"]
    others = [name for name in ANSWER if name not in (*times, *numbers)]
    assert {name: found[name].iloc[0] for name in others} == {name: ANSWER[name] for name in others}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("fields @timestamp, latencyy | limit 5", ["@timestamp", "latencyy"]),
        ("fields a | fields strlen(concat(a, b)) as `long` | sort a", ["@timestamp", "a", "long"]),
        ("fields a, b | display @timestamp, c.d", ["@timestamp", "c.d"]),
        ("fields a | stats avg(a) as ms, max(a) by b, bin(5m)", ["@timestamp", "ms", "b"]),
    ],
)
def test_a_field_that_no_line_has_is_a_column_too(text: str, columns: list[str]) -> None:
    cells = [{"field": "@timestamp", "value": "2026-11-22 10:00:00.123"}]
    assert list(logs._typed([cells], text)) == columns


def test_a_column_without_a_value_is_said(ops: Any) -> None:
    found = searches.check_query(ops, "api", "fields @timestamp, latencyy | limit 5", 60)
    assert "No row has a value of latencyy: see in @message how it is written" in found[0].seen
    counted = searches.check_query(ops, "api", "stats avg(latencyy) as ms, count(*) as n", 60)
    assert "No row has a value of ms:" in counted[0].seen
    whole = searches.check_query(ops, "api", "fields @timestamp | limit 5", 60)
    assert "No row has" not in whole[0].seen


def test_half_a_character_in_an_answer_ends_nothing() -> None:
    found = logs._typed([[{"field": "cut \ud83d", "value": "\ud83d"}]], "sort x")
    assert found.to_dict("list") == {"cut \\ud83d": ["\\ud83d"]}


THROTTLED = {
    "function": "analysis-worker,eval-runbook-worker",
    "pattern": "ThrottlingException",
    "cause": "bedrock-throttling",
}
BLOCKED = {
    "function": "scraper",
    "pattern": '?"Rate limited" ?"Blocked page"',
    "cause": "scraper-blocked",
}


@pytest.mark.parametrize("given", [THROTTLED, BLOCKED], ids=["bedrock", "scraper"])
def test_throttling_is_named_under_its_drill_only(lab: Any, given: dict[str, str]) -> None:
    assert notebooks.run("logs/throttling", target=TARGET, **given)["ops"].findings.causes == set()
    with lab.broken(given["cause"]):
        namespace = notebooks.run("logs/throttling", target=TARGET, **given)
        assert namespace["ops"].findings.causes == {given["cause"]}
        assert any(
            given["function"].split(",")[0] in f.check
            for f in namespace["found"]
            if f.status != "ok"
        )
    other = "scraper-blocked" if given is THROTTLED else "bedrock-throttling"
    with lab.broken(other):
        assert (
            notebooks.run("logs/throttling", target=TARGET, **given)["ops"].findings.causes == set()
        )


def test_throttling_tells_how_much_when_and_whether_work_was_given_up(lab: Any, ops: Any) -> None:
    with lab.broken("bedrock-throttling"):
        found = throttles.check_throttling(
            ops, THROTTLED["function"], THROTTLED["pattern"], 180, cause="x"
        )
    worst = found.worst_first()[0]
    assert "in an hour" in worst.seen
    assert "given up" in worst.seen


def test_a_denied_search_is_unknown_and_draws_nothing(lab: Any, ops: Any) -> None:
    from opslib.core.checks import plots

    with lab.denied("logs:FilterLogEvents"):
        found = throttles.check_throttling(ops, "scraper", "x")
    assert [f.status for f in found] == ["unknown"]
    assert "Denied" in repr(plots.draw(found))


def test_a_window_reads_times_ago_and_iso(ops: Any) -> None:
    assert round(window(ops, since="2h", until="1h").minutes) == 60
    day = window(ops, since=f"{ops.now() - timedelta(days=1):%Y-%m-%d %H:%M}")
    assert 1439 <= day.minutes <= 1441
    assert str(Window(day.start, day.end)).endswith("UTC")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ('"unterminated', "Invalid filter pattern"),
        ("[a, b", "it must end with"),
        ("%(%", "Invalid character"),
        ("x" * 1025, "1024"),
    ],
)
def test_a_filter_pattern_that_is_none_is_told_how_to_write_one(
    ops: Any, pattern: str, said: str
) -> None:
    with pytest.raises(
        UsageError, match=f"is no filter pattern: .*{said}.* Write a word, a phrase in quotes"
    ):
        logs.search(ops, "api", pattern, window(ops, 5))


def test_a_query_is_asked_by_its_name_in_the_targets_file(lab: Any) -> None:
    ops = connect("lab/dms-dev")
    found = searches.check_query(ops, "list-documents", "slow-requests", 60)
    assert found[0].check == "Requests of more than a second, slowest first"
    assert "filter duration_ms > 1000" in found[0].source
    assert "UTC: none" in found[0].seen
    counted = searches.check_query(ops, "list-documents", "stats count(*) as lines", 60)[0].seen
    assert "UTC: lines: " in counted, "the answer itself"
    with pytest.raises(UsageError, match="'slow-requests'"):
        searches.check_query(ops, "list-documents", "slow-request")
