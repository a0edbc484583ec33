"""Log lines of any runtime: what each says, which belong together, and what their sum says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opslib import NotAllowed, NotFound, UsageError
from opslib.core import Target
from opslib.core.reads import functions, log_lines, logs
from opslib.core.reads.log_levels import read
from opslib.core.reads.log_texts import templates
from opslib.core.tables import frame
from opslib.core.times import Window
from opslib.logs import judged, silences, troubles
from opslib.logs.kinds import kind_of

RUNTIMES = sorted((Path(__file__).parent / "lines").glob("*.txt"))
ANSWERS = {True: "trouble", False: "well", None: "unclear"}
START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
REQUEST = "0b1c2d3e-0b1c-4d3e-8f90-{:012d}"


def events(*messages: str, every: float = 1, source: str = "api", stream: str = "s") -> Any:
    rows = [
        {
            "time": START + timedelta(seconds=at * every),
            "source": source,
            "message": message,
            "stream": stream,
            "event_id": f"{source}{at:09d}",
        }
        for at, message in enumerate(messages)
    ]
    found = frame(rows, logs.EVENTS)
    found.attrs |= {"cut": False, "whole_since": {}, "failed": {}, "groups": {source: source}}
    return found


class Described(dict[str, Any]):
    """A target of these facts."""

    name = "shop"
    at = Target.at

    @property
    def facts(self) -> Any:
        return self


class Ops:
    """A connection whose logs say this; `groups` are the log groups that AWS lists."""

    def __init__(self, groups: tuple[str, ...] = (), **described: Any) -> None:
        functions = {"api": {"name": "shop-api"}}
        self.target = Described(functions=functions, logs=described)
        self.groups = groups

    def each(self, look: Any, names: Any) -> Any:
        return {name: look(name) for name in names}

    def pages(self, *_: Any, logGroupNamePrefix: str, **__: Any) -> list[str]:
        return [name for name in self.groups if name.startswith(logGroupNamePrefix)]


def judge(monkeypatch: pytest.MonkeyPatch, found: Any, **described: Any) -> Any:
    """What is said of the sum of these lines."""
    monkeypatch.setattr(logs, "search", lambda *_, **__: found)
    ops: Any = Ops(**described)
    return judged.of_the_whole(ops, judged.read_lines(ops, "api", DAY), DAY)


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda path: path.stem)
def test_what_a_line_says_is_known_without_configuration(runtime: Path) -> None:
    for line in runtime.read_text().splitlines():
        told, _, message = line.partition(" | ")
        answer, _, kind = told.partition(" ")
        message = message.translate({ord("⏎"): "\n", ord("→"): "\t", ord("␛"): "\x1b"})
        assert ANSWERS[read(message).trouble] == answer, line
        assert answer != "trouble" or kind_of(message) == kind.strip(), line


TRACEBACKS = {
    "python": [
        "Traceback (most recent call last):",
        '  File "/app/x.py", line 1, in f',
        "    load(x)",
        "KeyError: 'x'",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        '  File "/app/y.py", line 1, in g',
        "shop.errors.NoPrice: no price",
    ],
    "java": [
        "java.lang.IllegalStateException: no price",
        "\tat com.shop.Price.of(Price.java:12)",
        "Caused by: java.io.IOException: broken",
        "\t... 12 more",
    ],
    "go": [
        "panic: no price",
        "",
        "goroutine 1 [running]:",
        "main.price(0x1)",
        "\t/app/main.go:12 +0x1d",
        "exit status 2",
    ],
    "node": [
        "TypeError: no price",
        "    at price (/app/index.js:1:2)",
        "    at main (/app/i.js:3:4)",
    ],
    "dotnet": ["fail: Shop.Price[13]", "      no price", "      System.IO.IOException: broken"],
    "jul": ["Nov 22, 2026 10:00:00 AM com.shop.Price of", "SEVERE: no price"],
}


@pytest.mark.parametrize("runtime", TRACEBACKS)
def test_a_traceback_whose_lines_are_events_is_one_trouble(runtime: str) -> None:
    written = ["processing 1", *TRACEBACKS[runtime], "processing 2"]
    found = log_lines.joined(events(*written, every=0.01))
    assert [read(message).trouble for message in found["message"]] == [None, True, None]
    assert found["message"].iloc[1].count("\n") == len(TRACEBACKS[runtime]) - 1


def test_lines_of_other_streams_and_of_later_are_not_joined() -> None:
    one, other = events("Error: x", stream="a"), events("    at y", stream="b")
    both = pd.concat([one, other], ignore_index=True)
    assert len(log_lines.joined(both)) == 2
    assert len(log_lines.joined(events("Error: x", "    at y", every=60))) == 2
    assert len(log_lines.joined(events("INFO x", "  ERROR y", every=0.01))) == 2


def test_what_differs_in_a_word_is_one_pattern_and_what_differs_in_kind_is_not() -> None:
    words = [f"{chr(97 + at % 26)}{chr(97 + at // 26)}" for at in range(300)]
    assert set(templates(f"no price for {word}" for word in words)) == {"no price for <*>"}
    assert set(templates(f"{word} has no price" for word in words)) == {"<*> has no price"}
    assert set(templates(["disk is full", "disk is full", "no route to host"])) == {
        "disk is full",
        "no route to host",
    }
    long = [f"read of /var/{word}/{word} from {word}.local failed" for word in words]
    assert len(set(templates(long))) == 1


def test_many_lines_of_many_kinds_are_grouped_in_little_memory() -> None:
    kinds = [f"{chr(97 + at % 26)}{chr(97 + at // 26)} step" for at in range(40)]
    made = templates(f"{kinds[at % 40]} took {at} ms on host-{at % 7}" for at in range(20_000))
    assert 1 <= len(set(made)) <= 80
    assert made == templates(
        f"{kinds[at % 40]} took {at} ms on host-{at % 7}" for at in range(20_000)
    )


def test_the_sum_of_many_different_troubles_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"{chr(97 + at % 26)}{chr(97 + at // 26)}" * (1 + at % 5) for at in range(60)]
    different = [f"ERROR {' '.join([word] * (1 + at % 9))}" for at, word in enumerate(words)]
    assert [f.status for f in judge(monkeypatch, events(*different, every=60))] == ["warn"]
    few = judge(monkeypatch, events(*different[:5], every=60))
    assert [f.status for f in few] == ["ok"]
    assert "5 lines of trouble of 5 lines" in few[0].seen


def test_few_failures_of_few_requests_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def requests(failed: int, of: int) -> Any:
        lines = []
        for at in range(of):
            wrong = [f"[ERROR] {REQUEST.format(at)} no price"] if at < failed else []
            lines += [*wrong, f"REPORT RequestId: {REQUEST.format(at)}\tDuration: 3 ms"]
        return events(*lines, every=1800)

    all_failed = judge(monkeypatch, requests(4, 4))
    assert [f.status for f in all_failed] == ["ok", "warn"]
    assert "4 lines of trouble beside 4 requests" in all_failed[1].seen
    assert [f.status for f in judge(monkeypatch, requests(2, 40))] == ["ok"]


def test_a_quarter_hour_of_failures_is_seen_in_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"REPORT RequestId: {REQUEST.format(at)}\tDuration: 3 ms" for at in range(1440)]
    for minute in range(692, 700):
        lines[minute] += "\tStatus: timeout"
    found = judge(monkeypatch, events(*lines, every=60))
    assert [f.status for f in found] == ["ok", "warn"]
    assert "in the quarter hour from 11-22 14:30 UTC" in found[1].seen
    assert judge(monkeypatch, events(*lines[:695], every=60))[1:] == []


REFUSED = "WARN webhook 55{:04d} refused"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{{"level": "INFO", "message": "retrying bedrock, attempt {}"}}', True),
        ("INFO circuit breaker OPEN for database {}", True),
        ("using fallback model for {}", True),
        ("INFO circuit breaker is closed {}", False),
        ("INFO retry succeeded after {} ms", False),
        ("INFO fallback not needed for {}", False),
    ],
)
def test_what_warns_at_another_level_is_told_when_it_begins(
    monkeypatch: pytest.MonkeyPatch, line: str, told: bool
) -> None:
    every = events(*map(line.format, range(40)))
    begun = START + timedelta(hours=20)
    every["time"] = pd.DatetimeIndex([begun + timedelta(minutes=at) for at in range(40)])
    every["time"] = every["time"].astype("datetime64[us, UTC]")

    def search(_: Any, __: str, ___: str, within: Window, limit: int = 0) -> Any:
        found = every[(every["time"] >= within.start) & (every["time"] < within.end)]
        found.attrs = events().attrs
        return found

    monkeypatch.setattr(logs, "search", search)
    ops: Any = Ops()
    found = judged.of_the_whole(ops, judged.read_lines(ops, "api", DAY), DAY)[1:]
    assert ["it began: 40 lines" in f.seen for f in found] == [True] * told


@pytest.mark.parametrize(
    ("usual", "new", "yesterday", "said"),
    [(0, 30, 0, 1), (0, 25, 0, 0), (600, 30, 0, 0), (60, 30, 0, 1), (0, 30, 30, 0)],
    ids=["they began", "few", "all day", "seldom before", "as on the day before"],
)
def test_warnings_that_began_are_told_and_those_of_every_day_are_not(
    monkeypatch: pytest.MonkeyPatch, usual: int, new: int, yesterday: int, said: int
) -> None:
    begun = START + timedelta(hours=20)
    day_before = begun - timedelta(days=1)
    times = [START + timedelta(hours=20) * at / usual for at in range(usual)]
    for first, number in ((begun, new), (day_before, yesterday)):
        times += [first + timedelta(minutes=at) for at in range(number)]
    every = events(*map(REFUSED.format, range(len(times))))
    every["time"] = pd.DatetimeIndex(times).as_unit("us")
    every = every.sort_values("time", ignore_index=True)
    attrs = events().attrs

    def search(_: Any, __: str, ___: str, within: Window, limit: int = 0) -> Any:
        found = every[(every["time"] >= within.start) & (every["time"] < within.end)]
        found.attrs = attrs
        return found

    monkeypatch.setattr(logs, "search", search)
    ops: Any = Ops()
    found = judged.of_the_whole(ops, judged.read_lines(ops, "api", DAY), DAY)[1:]
    assert [(f.status, f.check) for f in found] == [("warn", "WARN: webhook <n> refused")] * said
    for each in found:
        assert each.seen.startswith("it began: ")
        assert each.began == begun.isoformat() or usual


def test_a_request_that_failed_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    report = f"REPORT RequestId: {REQUEST.format(1)}\tDuration: 3 ms\tStatus: timeout"
    late = f"2026-11-22T03:00:00Z {REQUEST.format(1)} Task timed out after 3.00 seconds"
    monkeypatch.setattr(logs, "search", lambda *_, **__: events(late, report))
    ops: Any = Ops()
    assert len(judged.troubles(judged.read_lines(ops, "api", DAY))) == 1


def test_lines_that_are_not_understood_are_counted_and_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = judge(monkeypatch, events("fetching hat", "fetching cap", "INFO done"))
    assert found[0].status == "ok"
    assert "2 of 3 lines say neither, as 'fetching <*>'" in found[0].seen


def test_the_targets_own_words_count_where_no_level_is_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = judge(monkeypatch, events("no stock", "INFO no stock"), error_pattern="?stock")
    assert found[0].seen.startswith("1 line of trouble of 2 lines")


def test_log_groups_are_named_as_they_are_by_prefix_and_by_the_target() -> None:
    ops: Any = Ops(groups=("/aws/lambda/shop-api", "/aws/lambda/shop-mail", "shop-app", "shop-db"))
    ops.target["logs"] = {"groups": ["shop-app"], "prefixes": ["/aws/lambda/shop-"]}
    assert logs.groups(ops) == {
        "api": "/aws/lambda/shop-api",
        "shop-app": "shop-app",
        "/aws/lambda/shop-mail": "/aws/lambda/shop-mail",
    }
    assert logs.groups(ops, "shop-db, api") == {
        "shop-db": "shop-db",
        "api": "/aws/lambda/shop-api",
    }
    assert set(logs.groups(ops, "shop-*")) == {"shop-app", "shop-db"}
    with pytest.raises(UsageError, match="Did you mean 'shop-app'"):
        logs.groups(ops, "shop-apq")


def test_one_log_group_that_is_gone_is_critical_and_the_rest_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lines(_: Any, group: str, *__: Any) -> Any:
        if group == "shop-app":
            raise NotFound("Not found: log group shop-app.")
        if group == "shop-db":
            raise NotAllowed("Denied.")
        return [{"timestamp": 0, "message": "ERROR \ud83d", "logStreamName": "", "eventId": "1"}]

    monkeypatch.setattr(logs, "_events", lines)
    ops: Any = Ops(groups=("shop-app", "shop-db"))
    ops.target["logs"] = {"groups": ["shop-app", "shop-db"]}
    found = logs.search(ops, "all", "", DAY)
    assert list(found["message"]) == ["ERROR \\ud83d"]
    told = {f.check: f.status for f in judged.not_read(ops, found, DAY)}
    assert told == {"log group of shop-app": "critical", "log group of shop-db": "unknown"}
    with pytest.raises(NotFound):
        logs.search(ops, "shop-app", "", DAY)


@pytest.mark.parametrize(("invocations", "status"), [(0, "ok"), (3, "critical")])
def test_a_function_that_nobody_called_has_no_log_group(
    monkeypatch: pytest.MonkeyPatch, invocations: int, status: str
) -> None:
    point = {"time": START, "function": "api", "metric": "Invocations", "value": invocations}
    monkeypatch.setattr(functions, "read_points", lambda *_: frame([point], functions.POINTS))
    found = events()
    found.attrs["failed"] = {"api": NotFound("Not found.")}
    ops: Any = Ops()
    assert [f.status for f in judged.not_read(ops, found, DAY)] == [status]


@pytest.mark.parametrize(("errors", "lines", "told"), [(40, 0, 1), (40, 30, 0), (3, 0, 0)])
def test_errors_that_no_line_tells_of_are_told(errors: int, lines: int, told: int) -> None:
    point = {"time": START, "function": "api", "metric": "Errors", "value": errors}
    assert len(troubles._silent(frame([point], functions.POINTS), lines, 5)) == told


HALF = '{"level":"ERROR","message":"cut \\ud83d \\u0000 \\u202e"}'
HOSTILE = [HALF, "ERROR \ud83d", "ERROR a\x00b\x9bc\u202ed", "ERROR " + "x" * 1_000_000]


@pytest.mark.parametrize("message", HOSTILE, ids=["escaped", "half", "controls", "long"])
def test_a_hostile_line_is_shown_replaced_and_ends_nothing(message: str) -> None:
    found = log_lines.group_errors(events(message))
    for text in (found["pattern"].iloc[0], found["example"].iloc[0], log_lines.brief(message)):
        assert text.encode()
        assert not set(text) & set("\x00\x9b\u202e")
    assert read(message).trouble is True


def test_a_line_without_a_text_is_told_by_what_is_wrong_in_it() -> None:
    report = f"REPORT RequestId: {REQUEST.format(1)}\tDuration: 3 ms\tStatus: timeout"
    assert log_lines.pattern(report) == "REPORT Status: timeout"
    answer = '{"level": "INFO", "time": "2026-11-22T10:00:00Z", "path": "/x", "status": 503}'
    assert log_lines.pattern(answer) == "INFO: path=/x, status=<n>"


@pytest.mark.parametrize(
    ("invoked_at", "silent"), [(START + timedelta(hours=3), True), (DAY.end, False)]
)
def test_a_function_that_runs_and_writes_no_line_is_told(
    monkeypatch: pytest.MonkeyPatch, invoked_at: datetime, silent: bool
) -> None:
    """One that runs just now may be heard of later."""
    point = {"time": invoked_at, "function": "api", "metric": "Invocations", "value": 4.0}
    monkeypatch.setattr(functions, "read_points", lambda *_: frame([point], functions.POINTS))
    [whole, *more] = judge(monkeypatch, events())
    assert whole.status == "ok"
    assert [("4 times" in f.seen, f.status) for f in more] == [(True, "warn")] * silent


@pytest.mark.parametrize(
    ("written", "silent"),
    [((), False), ((1,), False), ((1, 2), False), ((2,), False), ((1, 24), True)],
)
def test_a_log_group_that_wrote_before_and_a_day_ago_and_is_silent_is_told(
    monkeypatch: pytest.MonkeyPatch, written: tuple[int, ...], silent: bool
) -> None:
    """A nightly job's was written to in one of them at the most."""
    hour = Window(DAY.end - timedelta(hours=1), DAY.end)

    def search(*asked: Any, **_: Any) -> Any:
        ago = (hour.end - asked[3].end) // timedelta(hours=1)
        return events(*["INFO fine"] * (200 if ago in written else 0), source="shop-app")

    monkeypatch.setattr(logs, "search", search)
    ops: Any = Ops(groups=("shop-app",))
    found = [f.check for f in silences.told(ops, events(source="shop-app"), hour)]
    assert found == ["lines of shop-app"] * silent


def test_of_a_few_minutes_without_a_line_nothing_is_said() -> None:
    ops: Any = Ops()
    short = Window(DAY.end - timedelta(minutes=30), DAY.end)
    assert [*silences.told(ops, events(), short)] == []
