"""Functions: their health; a bad version, rolled back; configuration that drifted.

One variable changed; no alias.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from opslib import apply, connect
from opslib.core import redaction
from opslib.core.checks import plots
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, Refused, UsageError
from opslib.core.findings import Question
from opslib.core.reads.functions import Function, live_version
from opslib.functions import configurations, environments, invocations, versions
from opslib.functions.configurations import settled
from opslib.functions.versions import (
    _compared,
    check_alias,
    check_configuration,
    check_versions,
    list_versions,
    plan_rollback,
)
from tests.undoing import undo

TARGET = "lab/bluemoxon-staging"
LEDGER, LEDGER_PLACE = "lab/loglineos-production", "loglineos-production"
BAD, DRIFT, THROTTLED = "bad-version", "configuration-drift", "function-throttled"

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


def variables(ops: Connection, function: str, qualifier: str) -> dict[str, str]:
    name = ops.target["functions"][function]["name"]
    found = ops.call("lambda", "get_function_configuration", FunctionName=name, Qualifier=qualifier)
    return dict(found["Environment"]["Variables"])


def somebody_sets(ops: Connection, function: str, **what: Any) -> None:
    """Without a plan, in $LATEST."""
    name = ops.target["functions"][function]["name"]
    ops.call("lambda", "update_function_configuration", FunctionName=name, **what)
    settled(Function(ops, function))


def test_a_version_that_served_alone_brought_no_errors(ops: Connection) -> None:
    found = check_versions(ops, "api")
    assert (found.worst, found.causes) == ("ok", set())
    assert "served alone" in found[0].seen


@pytest.mark.slow
def test_what_others_write_into_a_function_s_log_is_of_no_version(fresh: Connection) -> None:
    ops = connect("lab/dms-dev")
    at = {"logGroupName": "/aws/lambda/dms-init-upload-dev", "logStreamName": "by-hand"}
    ops.call("logs", "create_log_stream", **at)
    now = int(ops.now().timestamp() * 1000)
    line = {"timestamp": now - 60_000, "message": '{"level": "ERROR", "message": "tried by hand"}'}
    ops.call("logs", "put_log_events", **at, logEvents=[line])
    found = check_versions(ops, "init-upload", 24)
    assert {each.status for each in found} == {"ok"}


def test_a_version_that_failed_from_its_start_is_the_cause(ops: Connection, lab: Any) -> None:
    with lab.broken(BAD):
        found = check_versions(ops, "api")
    assert (found.worst, found.causes) == ("critical", {BAD})
    assert found[0].next == "functions/rollback"
    live, before = found.evidence.itertuples()
    assert live.live
    assert live.errors_per_100 > 10 > before.errors_per_100


@pytest.mark.some(3)
@pytest.mark.parametrize("drill", ["vpc-endpoint-missing", "bucket-missing", "migration-pending"])
def test_what_the_surroundings_do_is_not_blamed_on_the_version(
    ops: Connection, lab: Any, drill: str
) -> None:
    with lab.broken(drill):
        assert BAD not in check_versions(ops, "api").causes


def test_a_version_that_was_well_at_first_is_not_the_cause() -> None:
    import pandas as pd

    rows = pd.DataFrame(
        [
            ("7", True, 1000, 200, 20.0, 0.1, pd.Timestamp("2026-11-22T08:00Z")),
            ("6", False, 5000, 5, 0.1, 0.1, pd.Timestamp("2026-11-21T12:00Z")),
        ],
        columns=[
            "version",
            "live",
            "requests",
            "errors",
            "errors_per_100",
            "early_per_100",
            "first",
        ],
    )
    now, before = rows.itertuples()
    found = _compared(Question("errors", source="logs"), now, before, "version 7 fails")
    assert (found.status, found.cause, found.next) == ("warn", "", "health/deep")


def test_a_rollback_moves_the_alias_and_nothing_else_and_undo_moves_it_back(
    ops: Connection, lab: Any
) -> None:
    with lab.broken(BAD):
        bad = live_version(ops, "api")
        versions = list_versions(ops, "api")
        applied = apply(ops, plan_rollback(ops, "api"), "now")
        assert int(live_version(ops, "api")) == int(bad) - 1
        assert list_versions(ops, "api").drop(columns="live").equals(versions.drop(columns="live"))
        assert [f.status for f in ops.findings if f.verifies] == ["ok"]
        assert BAD not in check_versions(ops, "api").causes
        undo(ops, applied)
        assert live_version(ops, "api") == bad


@pytest.mark.slow
def test_watching_after_a_rollback_sees_requests_that_succeed(ops: Connection, lab: Any) -> None:
    with lab.broken(BAD):
        applied = apply(ops, plan_rollback(ops, "api"), "now")
        asking = threading.Timer(1, lambda: [ops.http("GET", "/books?limit=1") for _ in range(5)])
        asking.start()
        found = applied.verify(check_alias, "api", 60)
        asking.join()
        assert all(f.status == "ok" and f.verifies for f in found)


def test_no_request_yet_is_unknown_and_not_ok(ops: Connection) -> None:
    found = {f.check: f.status for f in check_alias(ops, "db-sync")}
    assert found["requests to version 3"] == "unknown"


def test_an_unknown_version_offers_those_that_are(ops: Connection) -> None:
    with pytest.raises(UsageError, match=r"Unknown version '99' of bluemoxon-staging-api"):
        plan_rollback(ops, "api", "99")


def test_a_rollback_before_the_first_version_is_refused(ops: Connection, lab: Any) -> None:
    name = ops.target["functions"]["cleanup"]["name"]
    live = live_version(ops, "cleanup")
    ops.call("lambda", "update_alias", FunctionName=name, Name="live", FunctionVersion="1")
    try:
        with pytest.raises(Refused, match="no version before 1"):
            plan_rollback(ops, "cleanup")
    finally:
        ops.call("lambda", "update_alias", FunctionName=name, Name="live", FunctionVersion=live)


def test_a_rollback_takes_away_the_weights_of_a_split(ops: Connection) -> None:
    place = {"FunctionName": ops.target["functions"]["api"]["name"], "Name": "live"}
    ops.call(
        "lambda", "update_alias", **place, RoutingConfig={"AdditionalVersionWeights": {"5": 0.2}}
    )
    try:
        step = plan_rollback(ops, "api", "6").steps[0]
        assert step.do["parameters"]["RoutingConfig"] == {"AdditionalVersionWeights": {}}
        assert step.undo is not None
        assert step.undo[0]["parameters"]["RoutingConfig"] == {
            "AdditionalVersionWeights": {"5": 0.2}
        }
        assert "80 % to version 6 and 20 % to version 5, becomes all to version 6" in step.title
        with pytest.raises(Refused, match="splits its traffic"):
            environments.plan_environment(ops, "api", "DISABLE_FEATURE", "true")
    finally:
        ops.call("lambda", "update_alias", **place, RoutingConfig={"AdditionalVersionWeights": {}})


@pytest.fixture(params=[("6", "5"), ("5", "6")])
def canary(ops: Connection, request: pytest.FixtureRequest) -> Iterator[str]:
    """The alias sends 40 % to a version that is being tried, older or newer than its own."""
    own, tried = request.param
    place = {"FunctionName": ops.target["functions"]["api"]["name"], "Name": "live"}
    live = live_version(ops, "api")

    def point(version: str, others: dict[str, float]) -> None:
        routing = {"AdditionalVersionWeights": others}
        ops.call("lambda", "update_alias", **place, FunctionVersion=version, RoutingConfig=routing)

    point(own, {tried: 0.4})
    yield tried
    point(live, {})


@pytest.mark.slow
def test_a_rollback_during_a_trial_sends_all_to_the_aliass_own_version(
    ops: Connection, canary: str
) -> None:
    place = {"FunctionName": ops.target["functions"]["api"]["name"], "Name": "live"}
    own = live_version(ops, "api")
    (left,) = [f for f in check_alias(ops, "api") if f.status == "critical"]
    assert f"60 % to version {own} and 40 % to version {canary}" in left.seen
    with pytest.raises(Refused, match=f"does not give all of it to version {canary}"):
        plan_rollback(ops, "api", canary)
    applied = apply(ops, plan_rollback(ops, "api"), "now")
    after = ops.call("lambda", "get_alias", **place)
    assert (after["FunctionVersion"], configurations.weights(after)) == (own, {})
    assert "critical" not in {f.status for f in applied.verify(check_alias, "api")}


def test_the_errors_of_a_version_that_is_tried_are_its_own(
    ops: Connection, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = live_version(ops, "api")
    rows = pd.DataFrame(
        {"version": [own, canary], "errors_per_100": [0.0, 40.0], "errors": 40, "requests": 100}
    )
    monkeypatch.setattr(versions, "live_and_before", lambda *_: (rows, None, None))
    (found,) = check_versions(ops, "api")
    assert (found.status, found.next) == ("critical", "functions/rollback")
    monkeypatch.setattr(versions, "live_and_before", lambda *_: (rows.head(1), None, None))
    assert [f.status for f in check_versions(ops, "api")] == ["unknown"]


def test_a_configuration_as_described_passes(ops: Connection) -> None:
    found = check_configuration(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert len(found) == len(ops.target["functions"])


def test_drift_of_the_live_version_and_latest_alike_is_told_once(ops: Connection, lab: Any) -> None:
    with lab.broken(DRIFT):
        found = check_configuration(ops)
    assert (found.worst, found.causes) == ("critical", {DRIFT})
    assert {f.check for f in found if f.status != "ok"} == {"configuration of analysis-worker"}
    [live] = (f.seen for f in found if f.cause)
    assert "is live" in live
    assert "lacks BEDROCK_MODEL; time-out 60 s instead of 600 s" in live


def test_one_function_that_is_denied_leaves_the_others_checked(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Function.configuration

    def read(function: Function, qualifier: str = "$LATEST") -> dict[str, Any]:
        if function.key == "scraper":
            raise NotAllowed("Denied: lambda get_function_configuration")
        return plain(function, qualifier)

    monkeypatch.setattr(Function, "configuration", read)
    found = {f.check: f.status for f in check_configuration(ops)}
    assert found.pop("configuration of scraper") == "unknown"
    assert set(found.values()) == {"ok"}


def test_values_that_sound_secret_are_not_shown(ops: Connection) -> None:
    raw = variables(ops, "scraper", "live")
    shown = environments.list_variables(ops, "scraper").set_index("variable")["live"]
    assert shown["EBAY_CLIENT_SECRET"] == "(hidden)"
    assert raw["EBAY_CLIENT_SECRET"] not in str(
        environments.list_variables(ops, "scraper").to_dict()
    )
    assert shown["IMAGES_BUCKET"] == raw["IMAGES_BUCKET"]


def test_what_is_hidden_in_the_table_is_masked_everywhere(ops: Connection) -> None:
    raw = variables(ops, "api", "live")
    shown = environments.list_variables(ops, "api").set_index("variable")["live"]
    hidden = shown[shown == "(hidden)"].index
    assert "SENTRY_DSN" in hidden
    for name in hidden:
        assert redaction.mask(f"it is {raw[name]}").startswith("it is [secret ")


@pytest.mark.slow
def test_variables_that_are_lost_or_differ_in_latest_are_found(
    ops: Connection, lab: Any, clean: Any
) -> None:
    assert environments.check_variables(ops, "analysis-worker").worst == "ok"
    with lab.broken(DRIFT):
        found = environments.check_variables(ops, "analysis-worker")
        assert (found.worst, found[0].seen) == ("warn", "not set: BEDROCK_MODEL")
    before = variables(ops, "scraper", "$LATEST")
    somebody_sets(ops, "scraper", Environment={"Variables": before | {"EBAY_CLIENT_SECRET": "x"}})
    found = environments.check_variables(ops, "scraper")
    assert (found.worst, found[0].seen) == ("warn", "not the same in $LATEST: EBAY_CLIENT_SECRET")
    somebody_sets(ops, "scraper", Environment={"Variables": before})


@pytest.mark.slow
def test_a_variable_is_set_where_the_alias_serves_it_and_the_others_are_kept(
    fresh: Connection,
) -> None:
    before, live = variables(fresh, "api", "$LATEST"), live_version(fresh, "api")
    plan = environments.plan_environment(fresh, "api", "DISABLE_FEATURE", "true")
    assert not any(value in str(plan.as_dict()) for value in before.values() if len(value) > 12)
    applied = apply(fresh, plan, "now")
    assert (
        variables(fresh, "api", "live")
        == variables(fresh, "api", "$LATEST")
        == before | {"DISABLE_FEATURE": "true"}
    )
    assert live_version(fresh, "api") == str(int(live) + 1)
    assert {f.status for f in fresh.findings if f.verifies} == {"ok"}
    assert environments.plan_environment(fresh, "api", "DISABLE_FEATURE", "true").steps == ()
    forgotten = [f for f in check_configuration(fresh, "api") if f.status == "warn"]
    assert "DISABLE_FEATURE set on version" in forgotten[0].seen

    removed = apply(
        fresh, environments.plan_environment(fresh, "api", "DISABLE_FEATURE", remove=True), "now"
    )
    assert variables(fresh, "api", "live") == before
    undo(fresh, removed)
    undo(fresh, applied)
    assert variables(fresh, "api", "$LATEST") == before
    assert live_version(fresh, "api") == live


@pytest.mark.slow
def test_a_plan_made_before_somebody_else_changed_the_function_is_refused(
    ops: Connection, clean: Any
) -> None:
    approved = environments.plan_environment(ops, "api", "DISABLE_FEATURE", "true").id
    somebody_sets(ops, "api", Timeout=29)
    plan = environments.plan_environment(ops, "api", "DISABLE_FEATURE", "true")
    with pytest.raises(Refused, match="not what would be done now"):
        apply(ops, plan, approved)
    assert "ALSO CHANGED IN $LATEST: Timeout: 30 to 29" in plan.steps[2].after
    somebody_sets(ops, "api", Timeout=30)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("AWS_REGION", UsageError, "cannot be a variable"),
        ("DISABLE-FEATURE", UsageError, "cannot be a variable"),
        ("API_TOKEN", Refused, "looks like a secret"),
    ],
)
def test_a_name_that_cannot_or_should_not_be_set_is_refused(
    ops: Connection, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        environments.plan_environment(ops, "api", name, "value-of-it")


def test_an_environment_that_lambda_would_not_take_is_told_at_the_preview(ops: Connection) -> None:
    with pytest.raises(UsageError, match=r"environment of bluemoxon-staging-api has 4,\d+ bytes"):
        environments.plan_environment(ops, "api", "LONG", "x" * 4_000)
    assert environments.plan_environment(ops, "api", "LONG", "x" * 3_000).steps


@pytest.mark.slow
def test_code_that_was_not_released_is_not_released_with_a_variable(fresh: Connection) -> None:
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("main.py", "# tomorrow's\n")
    name = fresh.target["functions"]["api"]["name"]
    fresh.call("lambda", "update_function_code", FunctionName=name, ZipFile=archive.getvalue())
    with pytest.raises(Refused, match="holds other code than version 6"):
        environments.plan_environment(fresh, "api", "DISABLE_FEATURE", "true")


@pytest.fixture
def ledger(lab: Any) -> Connection:
    return connect(LEDGER)


@pytest.mark.usefixtures("uncalled")
@pytest.mark.parametrize("target", [TARGET, LEDGER])
def test_functions_are_well_also_those_that_nothing_calls(lab: Any, target: str) -> None:
    ops = connect(target)
    found = invocations.check_functions(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert len(found) == 3 * len(ops.target["functions"])
    idle = [f.seen for f in found if f.check.startswith("invocations") and "none in" in f.seen]
    assert idle
    assert all("no error by itself" in seen for seen in idle)
    assert list(found.evidence["function"]) == list(ops.target["functions"])


def test_all_functions_are_asked_for_in_one_call(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    pages = Connection.pages

    def watched(self: Connection, *names: Any, **given: Any) -> Any:
        asked.append(names[1])
        return pages(self, *names, **given)

    monkeypatch.setattr(Connection, "pages", watched)
    found = invocations.check_functions(ops)
    assert asked.count("get_metric_data") == 1
    assert len(found.panels) == 5  # type: ignore[attr-defined]
    assert plots.draw(found).png


def test_a_reservation_that_throttles_is_the_cause(ledger: Connection, lab: Any) -> None:
    with lab.broken(THROTTLED, LEDGER_PLACE):
        found = invocations.check_functions(ledger)
    assert (found.worst, found.causes) == ("critical", {THROTTLED})
    named = next(f for f in found if f.cause)
    assert (named.check, named.next) == ("throttles of loader", "functions/scale")
    row = found.evidence.set_index("function").loc["loader"]
    assert (row["reserved"], row["errors"]) == ("2", 0)  # it never ran, so nothing failed
    assert row["throttles"] > 20


@pytest.mark.some(4)
@pytest.mark.parametrize(
    "drill", ["cold-start", "timeout-too-low", "malformed-requests", "slow-query", DRIFT]
)
def test_another_trouble_is_no_throttling(ledger: Connection, lab: Any, drill: str) -> None:
    with lab.broken(drill, LEDGER_PLACE):
        assert not invocations.check_functions(ledger).causes


def test_errors_of_a_function_lead_to_their_kinds(ledger: Connection, lab: Any) -> None:
    with lab.broken(BAD, LEDGER_PLACE):
        found = invocations.check_functions(ledger, "loader")
    assert (found.worst, found.causes) == ("warn", set())
    assert next(f.next for f in found if f.status == "warn") == "logs/errors"


def test_a_denied_state_is_unknown_and_the_rest_is_told(ledger: Connection, lab: Any) -> None:
    with lab.denied("lambda:GetFunctionConfiguration", LEDGER_PLACE):
        found = invocations.check_functions(ledger)
    assert {f.check.split()[0] for f in found if f.status == "unknown"} == {"state"}
    assert found.causes == {"access-denied"}
    with lab.denied("lambda:GetFunctionConcurrency", LEDGER_PLACE):
        found = invocations.check_functions(ledger)
    assert {f.check.split()[0] for f in found if f.status == "unknown"} == {"throttles"}
    with lab.denied("cloudwatch:GetMetricData", LEDGER_PLACE):
        assert {f.status for f in invocations.check_functions(ledger)} == {"unknown"}


@pytest.mark.slow
def test_an_alias_of_another_name_is_rolled_back(ledger: Connection, lab: Any) -> None:
    with lab.broken(BAD, LEDGER_PLACE):
        found = check_versions(ledger, "loader")
        assert (found.causes, found[0].next) == ({BAD}, "functions/rollback")
        bad = live_version(ledger, "loader")
        applied = apply(ledger, plan_rollback(ledger, "loader"), "now", confirm=LEDGER)
        assert live_version(ledger, "loader") == str(int(bad) - 1)
        undo(ledger, applied)
        assert live_version(ledger, "loader") == bad


def test_drift_of_the_ledgers_loader_is_found(ledger: Connection, lab: Any) -> None:
    with lab.broken(DRIFT, LEDGER_PLACE):
        found = check_configuration(ledger)
    assert found.causes == {DRIFT}
    assert "lacks MAX_SPAN_BYTES; memory 256 MB instead of 1,024 MB" in found[0].seen
    assert not check_configuration(ledger).causes


@pytest.mark.usefixtures("uncalled")
def test_a_function_without_an_alias_runs_latest(ledger: Connection) -> None:
    assert live_version(ledger, "db-migration") == "$LATEST"
    found = check_alias(ledger, "db-migration")
    assert [f.status for f in found] == ["ok", "ok", "unknown"]  # nothing called it while we looked
    assert check_versions(ledger, "db-migration").worst == "ok"
    with pytest.raises(Refused, match="has no alias"):
        plan_rollback(ledger, "db-migration")


@pytest.mark.slow
def test_a_variable_of_a_function_without_an_alias_is_set_and_undone(
    ledger: Connection, lab: Any
) -> None:
    before = lab.state(LEDGER_PLACE)
    plan = environments.plan_environment(ledger, "db-migration", "LOG_LEVEL", "debug")
    assert len(plan.steps) == 2  # no version is published
    applied = apply(ledger, plan, "now", confirm=LEDGER)
    assert variables(ledger, "db-migration", "$LATEST")["LOG_LEVEL"] == "debug"
    undo(ledger, applied)
    assert lab.state(LEDGER_PLACE) == before
