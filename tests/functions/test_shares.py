"""Shares beside counts: a seldom function that always fails, an outage within a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from opslib.core.findings import Question
from opslib.core.reads.functions import POINTS
from opslib.core.tables import frame
from opslib.core.times import Window
from opslib.functions import invocations, trials

END = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DAY = Window(END - timedelta(hours=24), END)


def finding(each: dict[int, tuple[int, int]]) -> Any:
    """Of invocations and errors in the five minutes so long ago."""
    rows = [
        {"time": END - timedelta(minutes=ago), "function": "f", "metric": metric, "value": value}
        for ago, (ran, failed) in sorted(each.items(), reverse=True)
        for metric, value in (("Invocations", ran), ("Errors", failed))
    ]
    use = invocations.used("f", frame(rows, POINTS), None, DAY)
    return invocations._invoked(use, {"Version": "1"}, DAY)


def busy(ran: int, failed: int = 0) -> dict[int, tuple[int, int]]:
    return dict.fromkeys(range(5, 1445, 5), (ran, failed))


@pytest.mark.parametrize(
    ("each", "status", "said"),
    [
        pytest.param({90: (2, 2), 30: (2, 2)}, "critical", "4 errors (100 %)", id="4 of 4"),
        pytest.param({600: (1, 1)}, "warn", "1 error (100 %)", id="the nightly run"),
        pytest.param({90: (4, 0), 30: (4, 1)}, "ok", "(12.5 %)", id="one of eight"),
        pytest.param(busy(200, 12), "warn", "(6 %)", id="6 in 100, all day"),
        pytest.param(busy(200, 1), "ok", "(0.5 %)", id="a little, always"),
        pytest.param(busy(200), "ok", "0 errors (0 %)", id="none"),
        pytest.param(
            busy(200) | dict.fromkeys((605, 610, 615), (200, 190)),
            "warn",
            "but 570 of 600 in the 15 min from 01:45",
            id="an outage of a quarter of an hour",
        ),
        pytest.param(busy(200) | {605: (900, 20)}, "ok", "", id="a small burst"),
        pytest.param({}, "ok", "no error by itself", id="not called"),
    ],
)
def test_errors_are_judged_by_share_and_by_the_worst_quarter(
    each: dict[int, tuple[int, int]], status: str, said: str
) -> None:
    found = finding(each)
    assert found.status == status
    assert said in found.seen
    assert "e+" not in found.seen


@pytest.mark.parametrize(
    ("others", "published_hours_ago", "status"),
    [
        pytest.param(1, 9, "ok", id="a job that runs once a day"),
        pytest.param(0, 9, "ok", id="nobody called any version"),
        pytest.param(400, 0.1, "ok", id="deployed a moment ago"),
        pytest.param(400, 9, "unknown", id="busy before, and since then nothing"),
    ],
)
def test_a_new_version_that_served_nothing_yet_is_unknown_where_it_should_have(
    others: int, published_hours_ago: float, status: str
) -> None:
    published = (END - timedelta(hours=published_hours_ago)).isoformat()
    ops: Any = SimpleNamespace(
        now=lambda: END,
        target={"functions": {"f": {"name": "f"}}},
        call=lambda *_, **__: {"Version": "7", "LastModified": published},
    )
    found: Any = frame(
        [{"version": "6", "requests": others}], {"version": "str", "requests": "int64"}
    )
    judged = trials.judge_untried(ops, Question("errors"), "f", found, 24)
    assert judged.status == status
    assert "version 7" in judged.seen
