"""Key metrics that are shares: judged where enough happened, and silent about nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from opslib.core import Findings, Target, UsageError, window
from opslib.core.checks.shares import Share
from opslib.core.reads import metrics
from opslib.discovery.metrics import _share
from opslib.metrics import expectations, keys

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ERRORS: Any = {
    "title": "Error rate",
    "expression": "100 * errors / requests",
    "of": {
        "errors": {"namespace": "Shop", "metric": "Failed"},
        "requests": {"namespace": "Shop", "metric": "Asked"},
    },
    "unit": "%",
    "warn": 1,
    "critical": 5,
    "next": "logs/search",
}
SUCCESS: Any = ERRORS | {
    "expression": "100 * done / asked",
    "of": {
        "asked": {"namespace": "Shop", "metric": "Asked"},
        "done": {"namespace": "Shop", "metric": "Done"},
    },
    "warn": 99,
    "critical": 95,
    "below": True,
}


class Recorded:
    """A target with one share, and what CloudWatch has: each five minutes' sums, oldest first."""

    def __init__(self, metric: Any, known: tuple[str, ...] = (), **sums: list[float]) -> None:
        facts = {"metrics": {"share": metric}}
        target = SimpleNamespace(facts=facts, name="shop", key="shop", region="eu-west-1")
        of = {"__getitem__": lambda _, key: facts[key], "at": Target.at}
        self.target = type("Target", (SimpleNamespace,), of)(**vars(target))
        self.sums, self.known = sums, {*known, *sums}
        self.findings, self.changed = Findings(), False
        self.journal = SimpleNamespace(write=lambda *_, **__: None)

    def now(self) -> datetime:
        return NOW

    def at(self, _: str) -> Recorded:
        return self

    def each(self, read: Callable[[Any], Any], names: Any, _: str = "") -> dict[Any, Any]:
        return {name: read(name) for name in names}

    def gather(self, *reads: Callable[[], Any]) -> list[Any]:
        return [read() for read in reads]

    def pages(self, _: str, operation: str, __: str, **given: Any) -> list[Any]:
        if operation == "list_metrics":
            return [*self.known]
        return [self._answer(query) for query in given["MetricDataQueries"]]

    def _answer(self, query: Any) -> Any:
        sums = self.sums.get(query["MetricStat"]["Metric"]["MetricName"], [])
        times = [NOW - timedelta(minutes=5) * ago for ago in range(len(sums), 0, -1)]
        said = [(time, value) for time, value in zip(times, sums, strict=True) if value == value]
        told = {"Timestamps": [time for time, _ in said], "Values": [value for _, value in said]}
        return {"Id": query["Id"], "Label": query["Label"], "StatusCode": "Complete", **told}


def finding(metric: Any, known: tuple[str, ...] = (), **sums: list[float]) -> Any:
    (found,) = keys.check_metrics(Recorded(metric, known, **sums))  # type: ignore[arg-type]
    return found


GAP = float("nan")  # CloudWatch leaves out what was not counted


@pytest.mark.parametrize(
    ("failed", "asked", "status", "seen"),
    [
        pytest.param(
            [0] * 24, [20] * 24, "ok", "now 0 % (errors 0, requests 60 in 15 min)", id="well"
        ),
        pytest.param([GAP] * 23 + [2], [20] * 24, "warn", "errors 2, requests 60", id="now"),
        pytest.param([0] * 21 + [2] * 3, [20] * 24, "critical", "now 10 %", id="much"),
        pytest.param([9] * 3 + [0] * 21, [20] * 24, "warn", "highest 45 %", id="earlier"),
        pytest.param(
            [0] * 23 + [1], [1] * 24, "warn", "errors 1, requests 20 in 100 min", id="few"
        ),
        pytest.param([1, 1], [1, 1], "unknown", "errors 2, requests 2 in 10 min", id="too few"),
        pytest.param(
            [GAP] * 3, [GAP] * 3, "unknown", "too few to judge (requests: at", id="nothing"
        ),
    ],
)
def test_a_share_is_of_sums_over_a_window_with_enough_in_it(
    failed: list[float], asked: list[float], status: str, seen: str
) -> None:
    found = finding(ERRORS, Failed=failed, Asked=asked)
    assert (found.status, seen in found.seen) == (status, True), found.seen
    assert found.next == ("logs/search" if status in ("warn", "critical") else "")


def test_minutes_with_little_weigh_little() -> None:
    """The mean of the three shares is 33 %."""
    found = finding(ERRORS, Failed=[0, 0, 1], Asked=[500, 499, 1])
    assert "now 0.1 %" in found.seen


def test_a_success_rate_is_bad_below_and_missing_is_none_done() -> None:
    assert finding(SUCCESS, Done=[20] * 3, Asked=[20] * 3).status == "ok"
    assert finding(SUCCESS, Done=[20, 20, 18], Asked=[20] * 3).status == "warn"
    assert finding(SUCCESS, Done=[20, GAP, GAP], Asked=[20] * 3).status == "critical"
    assert finding(SUCCESS, Done=[GAP] * 3, Asked=[GAP] * 3).status == "unknown"


def test_an_amount_that_nobody_ever_counted_is_told_apart_from_none_now() -> None:
    none_now = finding(ERRORS, ("Failed",), Asked=[20] * 3)
    assert (none_now.status, "now 0 %" in none_now.seen) == ("ok", True)
    never = finding(ERRORS, Asked=[20] * 3)
    assert never.status == "unknown"
    assert "Shop has had no Failed for two weeks at least: another name" in never.seen
    rare = {**ERRORS, "of": {**ERRORS["of"], "errors": {**ERRORS["of"]["errors"], "rare": True}}}
    assert finding(rare, Asked=[20] * 3).status == "ok"


def test_a_share_is_drawn_and_read_like_any_metric() -> None:
    ops: Any = Recorded(ERRORS, Failed=[1] * 6, Asked=[20] * 6)
    read = metrics.read(ops, window(ops, 1440))
    assert list(read["value"]) == [5.0, 5.0]
    (panel,) = keys.check_metrics(ops).panels  # type: ignore[attr-defined]
    assert (panel.lines[0].label, len(panel.lines[0].values)) == ("100 * errors / requests", 2)


def test_what_a_share_is_of_is_a_volume_that_may_fall_silent_and_its_errors_are_not() -> None:
    counted = [*expectations._counted(Recorded(ERRORS))]  # type: ignore[arg-type]
    assert [(each.metric, each.volume) for each in counted] == [("Asked", True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("100 * errors /", "is no expression"),
        ("100 * error / requests", "error is not among its `of`"),
        ("FILL(errors, 0) / requests", "only names, numbers"),
        ("errors ** requests", "only names, numbers"),
        ("errors.__class__ / requests", "only names, numbers"),
    ],
)
def test_what_is_no_share_is_told_before_anything_is_asked(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        finding(ERRORS | {"expression": text}, Asked=[1])


def test_a_share_says_what_it_is_of_and_divides_by_nothing_without_a_word() -> None:
    of = dict.fromkeys(("ok", "failed", "lost"))
    share = Share("100 * ok / (ok + failed) / 1", of)
    assert (share.whole, share.wholes) == ("ok + failed", {"ok", "failed"})
    none = pd.DataFrame({"ok": [0.0], "failed": [0.0], "lost": [0.0]}, [NOW])
    assert math.isnan(next(share.windows(none, 0, 1))["value"])
    [told] = Share("100 * (failed\n  / ok)", of).windows(
        pd.DataFrame({"ok": [8.0], "failed": [2.0]}, [NOW]), 1, 1
    )
    assert told["value"] == 25
    assert Share("ok + failed", of).whole == ""


def test_every_wrong_expression_of_a_file_is_told_with_its_line(tmp_path: Any) -> None:
    from opslib.catalogue.described import _expressions
    from opslib.core import strict_yaml

    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump({"metrics": {"share": ERRORS | {"expression": "a / b"}}}))
    (said,) = _expressions(strict_yaml.read(file))
    assert said.startswith(f"{file}:")
    assert "a is not among its `of`" in said


def test_an_alarm_on_metric_math_is_found_as_a_share() -> None:
    def stat(id: str, name: str, stat: str = "Sum") -> Any:
        metric = {"Namespace": "AWS/ApiGateway", "MetricName": name}
        return {"Id": id, "MetricStat": {"Metric": metric, "Stat": stat, "Period": 60}}

    alarm = {"name": "api-errors", "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold"}
    math = {"Id": "rate", "Expression": "100*errors/requests"}
    found = _share(alarm | {"Metrics": [math, stat("errors", "5xx"), stat("requests", "Count")]})
    assert found
    assert (found["expression"], found["critical"]) == ("100*errors/requests", 5)
    assert found["of"]["errors"]["metric"] == "5xx"
    assert not _share(
        alarm | {"Metrics": [math, stat("errors", "5xx"), stat("requests", "Count", "p95")]}
    )
    assert not _share(alarm | {"Metrics": [stat("errors", "5xx")]})
