"""What hands events to functions, what Lambda lost, who gets which share of the traffic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused
from opslib.core.reads.functions import POINTS, Function
from opslib.core.reads.versions import most_errors
from opslib.core.tables import frame
from opslib.core.times import Window
from opslib.functions import configurations, invocations, sources, states, trials

TARGET = "lab/bluemoxon-staging"
QUEUE = "arn:aws:sqs:us-west-2:111122223333:bluemoxon-staging-analysis"
WORKER = "arn:aws:lambda:us-west-2:111122223333:function:bluemoxon-staging-analysis-worker:live"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def mapping(**changes: Any) -> dict[str, Any]:
    """As ListEventSourceMappings describes one."""
    made = {"calls": WORKER, "source": QUEUE, "state": "Enabled", "result": "OK", "why": ""}
    return made | {"changed": NOW} | changes


@pytest.mark.parametrize(
    ("changes", "status", "cause"),
    [
        ({}, "ok", ""),
        ({"result": "No records processed"}, "ok", ""),
        ({"result": "nothing told"}, "ok", ""),
        ({"state": "Updating"}, "ok", ""),
        ({"state": "Disabled"}, "critical", "event-source-off"),
        ({"state": "Deleting"}, "critical", "event-source-off"),
        ({"state": "Rebalancing"}, "unknown", ""),
        ({"result": "PROBLEM: Lambda was not able to assume the role"}, "critical", ""),
        ({"result": "Something AWS says since last week"}, "unknown", ""),
        ({"calls": WORKER.removesuffix(":live")}, "warn", ""),
        ({"state": "Disabled", "source": f"{QUEUE}-other"}, "warn", ""),  # nobody said it is needed
    ],
)
def test_a_source_is_judged_by_its_state_its_last_batch_and_what_it_calls(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, changes: Any, status: str, cause: str
) -> None:
    both = [mapping(), mapping(**changes)] if "source" in changes else [mapping(**changes)]
    mapped = {"list_event_source_mappings": both}
    monkeypatch.setattr(ops, "pages", lambda _, operation, *__, **___: mapped.get(operation, []))
    found = sources.check_sources(ops, "analysis-worker")[-1]
    assert (found.status, found.cause) == (status, cause)


def test_a_queue_whose_worker_is_named_and_that_is_handed_to_nobody_is_the_cause(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "pages", lambda *_, **__: [])
    found = sources.check_sources(ops)
    assert {f.status for f in found} == {"critical"}
    assert found.causes == {"event-source-off"}
    assert "bluemoxon-staging-analysis of analysis-worker" in found[0].check
    assert sources.check_sources(ops, "scraper").worst == "ok"


def points(**metrics: list[float]) -> Any:
    at = [NOW - timedelta(minutes=5 * each) for each in range(12, 0, -1)]
    rows = [
        {"time": when, "function": "api", "metric": metric, "value": value}
        for metric, values in metrics.items()
        for when, value in zip(at, values, strict=False)
    ]
    return frame(rows, POINTS)


@pytest.mark.parametrize(
    ("invocations_", "errors", "status"),
    [
        ([100.0] * 12, [0.0] * 12, "ok"),
        ([100.0] * 12, [1.0] * 12, "ok"),
        ([2.0, 2.0], [2.0, 2.0], "critical"),  # four of four
        ([1.0], [1.0], "warn"),  # it runs once a day, and failed
        ([1.0] * 12, [0.0] * 11 + [1.0], "ok"),
        ([0.0], [0.0], "ok"),
        # an outage of a quarter of an hour, two in a hundred over all
        ([100.0] * 12, [0.0] * 9 + [8.0, 8.0, 8.0], "warn"),
    ],
)
def test_errors_are_judged_by_their_share_also_of_few_and_in_a_quarter_of_an_hour(
    invocations_: list[float], errors: list[float], status: str
) -> None:
    read = points(Invocations=invocations_, Errors=errors)
    within = Window(NOW - timedelta(hours=1), NOW)
    use = invocations.used("api", read, None, within)
    assert invocations._invoked(use, {"Version": "7"}, within).status == status


def configuration(version: str = "7", hours: float = 50, **changes: str) -> dict[str, Any]:
    modified = f"{NOW - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S.000+0000}"
    return {"Version": version, "LastModified": modified, **changes}


@pytest.mark.parametrize(
    ("live", "latest", "status"),
    [
        ({}, {}, "ok"),
        ({"LastUpdateStatus": "InProgress", "hours": 0.1}, {}, "ok"),
        ({"LastUpdateStatus": "InProgress", "hours": 2}, {}, "warn"),
        ({"State": "Failed"}, {}, "critical"),
        ({"State": "Inactive"}, {}, "warn"),
        ({"State": "ActiveNonInvocable"}, {}, "unknown"),
        ({}, {"LastUpdateStatus": "Failed"}, "warn"),
        ({}, {"State": "Inactive"}, "warn"),
    ],
)
def test_the_state_of_what_is_called_and_of_what_comes_next(
    live: Any, latest: Any, status: str
) -> None:
    both = configuration(**live), configuration("$LATEST", **latest)
    assert states.judge_state("api", *both, NOW).status == status


def alias(own: str, **others: float) -> dict[str, Any]:
    weights = {name.removeprefix("v"): share for name, share in others.items()}
    routing = {"AdditionalVersionWeights": weights}
    return {"Name": "live", "FunctionVersion": own, "RoutingConfig": routing}


def traffic(*rows: tuple[str, float, int]) -> Any:
    names = ["version", "errors_per_100", "errors"]
    return pd.DataFrame(rows, columns=names).assign(requests=1000)


def shared(ops: Connection, monkeypatch: pytest.MonkeyPatch, found: Any, made: Any) -> None:
    """The API's alias is split, the versions' traffic is this, the newest is of that time."""

    def read(self: Any) -> Any:
        return made if self.key == "api" else {"FunctionVersion": "3"}

    monkeypatch.setattr(Function, "alias", read)
    monkeypatch.setattr(trials, "traffic", lambda *_: found)


@pytest.mark.parametrize(
    ("split", "rows", "hours", "statuses"),
    [
        (alias("6", v7=0.1), [("6", 0.1, 2), ("7", 0.2, 3)], 2, ["ok", "ok"]),
        (alias("6", v7=0.1), [("6", 0.1, 2), ("7", 0.2, 3)], 90, ["warn", "ok"]),
        (alias("7", v6=0.4), [("6", 0.1, 2), ("7", 0.1, 3)], 2, ["warn", "ok"]),
        (alias("6", v7=0.1), [("6", 0.1, 2), ("7", 30.0, 300)], 2, ["ok", "critical"]),
        (alias("7", v6=0.4), [("6", 0.1, 2), ("7", 30.0, 300)], 2, ["warn", "critical"]),
        (alias("6", v7=0.1), [("6", 30.0, 300), ("7", 31.0, 310)], 2, ["ok", "warn"]),
        (alias("6", v7=0.1), [("6", 0.1, 2)], 2, ["ok", "unknown"]),
    ],
)
def test_a_share_is_a_trial_of_a_newer_version_that_does_as_well(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    split: Any,
    rows: Any,
    hours: float,
    statuses: list[str],
) -> None:
    shared(ops, monkeypatch, traffic(*rows), split)
    monkeypatch.setattr(ops, "now", lambda: NOW)
    made = configuration(hours=hours)
    monkeypatch.setattr(Function, "configuration", lambda *_: made)
    found = [f for f in trials.check_shares(ops) if f.check.endswith(" api")]
    assert [f.status for f in found] == statuses
    bad = {trials.BAD_VERSION} if "critical" in statuses else set()
    assert {f.cause for f in found if f.cause and f.status != "ok"} == bad


def test_the_versions_are_compared_over_the_hours_that_are_asked_for(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = traffic(("6", 0.1, 2), ("7", 0.2, 3))
    shared(ops, monkeypatch, rows, alias("6", v7=0.1))
    asked: list[Window] = []

    def read(*given: Any) -> Any:
        asked.append(given[-1])
        return rows

    monkeypatch.setattr(trials, "traffic", read)
    trials.check_shares(ops, hours=3)
    assert [within.end - within.start for within in asked] == [timedelta(hours=3)]


def test_without_a_share_each_function_is_whole(ops: Connection) -> None:
    (found,) = trials.check_shares(ops)
    assert (found.status, found.seen) == ("ok", "6 functions, each one version")


@pytest.mark.parametrize(
    ("split", "rows", "to", "wanted"),
    [
        (alias("6", v7=0.4), [("6", 0.1, 2), ("7", 30.0, 300)], "", "6"),
        # the alias's own version is the one that fails: not all traffic to it
        (alias("7", v6=0.4), [("6", 0.1, 2), ("7", 30.0, 300)], "", "6"),
        (alias("7", v6=0.4), [("6", 0.1, 2), ("7", 30.0, 300)], "6", "6"),
        (alias("7", v6=0.4), [("6", 0.1, 2), ("7", 30.0, 300)], "5", "5"),
        (alias("7", v6=0.4), [("6", 30.0, 300), ("7", 30.0, 300)], "", Refused),
        (alias("7", v6=0.4), [("7", 30.0, 300)], "", Refused),
        (alias("6", v7=0.4), [("6", 0.1, 2), ("7", 30.0, 300)], "7", Refused),
    ],
)
def test_a_rollback_under_a_split_gives_all_to_a_version_that_does_not_fail(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, split: Any, rows: Any, to: str, wanted: Any
) -> None:
    monkeypatch.setattr(trials, "traffic", lambda *_: traffic(*rows))
    if wanted is Refused:
        with pytest.raises(Refused, match="Nothing was changed"):
            trials.choose(ops, "api", split, to)
    else:
        assert trials.choose(ops, "api", split, to) == wanted


@pytest.mark.parametrize(("readings", "lasts"), [(0, False), (2, False), (99, True)])
def test_a_plan_waits_for_an_update_that_is_in_progress_and_is_refused_when_it_lasts(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, readings: int, lasts: bool
) -> None:
    going = [configuration("$LATEST", 0, LastUpdateStatus="InProgress")] * readings
    ended = configuration("$LATEST")
    monkeypatch.setattr(Function, "configuration", lambda _: going.pop() if going else ended)
    monkeypatch.setattr(configurations, "UPDATE_SECONDS", 0.3 if lasts else 5)
    function = Function(ops, "api")
    if lasts:
        with pytest.raises(Refused, match="An update of bluemoxon-staging-api is in progress"):
            configurations.settled(function)
        assert going
    else:
        assert configurations.settled(function) == ended


@pytest.mark.parametrize(("had", "most"), [(0.0, 1.0), (0.4, 1.4), (3.0, 6.0), (28.0, 29.0)])
def test_that_many_failed_before_excuses_nothing(had: float, most: float) -> None:
    assert most_errors(SimpleNamespace(errors_per_100=had)) == most


@pytest.mark.parametrize(
    ("took", "status"), [(51_500, "warn"), (48_000, "ok"), (float("nan"), "ok")]
)
def test_runs_that_take_nearly_as_long_as_they_may_are_told(took: float, status: str) -> None:
    within = Window(NOW - timedelta(hours=24), NOW)
    use = invocations.Use("index", None, 0, 400, 3, usual_ms=took)
    found = invocations._invoked(use, {"Version": "7", "Timeout": 60}, within)
    assert (found.status, found.next == "functions/latency") == (status, status == "warn")
    assert ("are ended at 60 s" in found.seen) == (status == "warn")
