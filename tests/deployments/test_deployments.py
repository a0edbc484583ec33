"""After a deployment.

Versions told, a test record made and taken away again, and nothing left when it stops half-way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opslib import OpsError, Refused, apply, changes, connect
from opslib.core import redaction
from opslib.core.actions import actions
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.deployments import releases
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
VISIBLE = "SELECT count(*) FROM ledger.visible_timeline WHERE entity_type = 'test'"


def visible(ops: Connection) -> int:
    return int(sql.value(ops, VISIBLE))


def test_the_live_versions_are_told_with_what_was_built(ops: Connection) -> None:
    found = releases.check_releases(ops)
    assert (found.worst, len(found)) == ("ok", len(ops.target["functions"]) + 1)  # and the schema
    assert found.evidence is not None
    loader = found.evidence.set_index("function").loc["loader"]
    assert loader["live"] == loader["newest"]
    assert "schema 0007" in loader["description"]
    assert str(found.evidence["published"].dtype) == "datetime64[us, UTC]"


@pytest.mark.slow
def test_a_version_that_is_published_and_not_live_is_a_warning(
    ops: Connection, clean: dict[str, Any]
) -> None:
    ops.call(
        "lambda",
        "update_alias",
        FunctionName="loglineos-stage0-loader-production",
        Name="production",
        FunctionVersion="5",
    )
    found = {f.check: f for f in releases.check_releases(ops)}
    assert found["version of loader"].status == "warn"
    assert "rolled back, or not yet released" in found["version of loader"].seen


def test_code_that_is_ahead_of_the_schema_is_critical(ops: Connection, lab: PracticeLab) -> None:
    assert not releases.check_releases(ops).causes
    with lab.broken("migration-pending", "loglineos-production"):
        found = releases.check_releases(ops)
    assert found.causes == {"migration-pending"}
    assert found.worst == "critical"


def test_a_function_that_cannot_be_read_is_unknown_and_names_why(
    lab: PracticeLab, ops: Connection
) -> None:
    with lab.denied("lambda:GetFunctionConfiguration", KEY):
        found = releases.check_releases(connect(TARGET))
    assert {f.status for f in found} == {"unknown"}
    assert {f.cause for f in found} == {"access-denied"}


def test_a_preview_makes_no_record(
    ops: Connection, lab: PracticeLab, clean: dict[str, Any]
) -> None:
    left = notebooks.run("deployments/verify")
    assert left["ops"].findings.worst == "ok"
    assert len(left["plan"].steps) == 3
    assert lab.state(KEY) == clean


@pytest.mark.slow
def test_a_test_record_is_made_read_back_and_taken_out_of_every_view(
    ops: Connection, lab: PracticeLab, clean: dict[str, Any]
) -> None:
    left = notebooks.run("deployments/verify", approved="now", confirm=TARGET)
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert left["applied"].changed
    assert visible(ops) == 0
    changed = set(differences(clean, lab.state(KEY)))
    assert {path.split(".")[0] for path in changed} == {"sql"}
    assert all("universal_registry" in path for path in changed)
    rows = [
        state["sql"]["loglineos_production"]["ledger.universal_registry"][0]
        for state in (clean, lab.state(KEY))
    ]
    assert rows[1] - rows[0] == 1


def test_production_wants_its_name_typed(
    ops: Connection, lab: PracticeLab, clean: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="is production"):
        apply(ops, releases.plan_test_record(ops), "now")
    assert lab.state(KEY) == clean


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [KeyboardInterrupt, OpsError])
def test_when_it_stops_half_way_undo_takes_the_record_away(
    ops: Connection,
    clean: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    stopped: type[BaseException],
) -> None:
    def stop(*_: Any) -> None:
        raise stopped("while reading back")

    kinds = actions.Action.kinds
    monkeypatch.setitem(kinds, "appears", kinds["appears"]._replace(do=stop))
    with pytest.raises(stopped):
        apply(ops, releases.plan_test_record(ops), "now", TARGET)
    assert visible(ops) == 1
    record = reading.list_records(target=TARGET)[0].id
    other = connect(TARGET)
    apply(other, changes.plan_undo(other, record), "now", TARGET)
    assert visible(other) == 0


@pytest.mark.slow
def test_undoing_a_run_that_went_well_changes_nothing_and_does_not_fail(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, releases.plan_test_record(ops), "now", TARGET)
    after, record = lab.state(KEY), reading.list_records(target=TARGET)[0].id
    other = connect(TARGET)
    apply(other, changes.plan_undo(other, record), "now", TARGET)
    assert lab.state(KEY) == after


@pytest.mark.slow
def test_a_record_that_is_still_shown_is_critical(ops: Connection, clean: dict[str, Any]) -> None:
    plan = releases.plan_test_record(ops)
    applied = apply(ops, plan, "now", TARGET)
    id = releases._made(ops)
    sql.execute(
        ops,
        "UPDATE ledger.universal_registry SET is_deleted = false WHERE id = CAST(:id AS uuid)",
        {"id": id},
        1,
    )
    assert [f.status for f in applied.verify(releases.check_taken_away)] == ["critical", "critical"]


def test_nothing_made_is_unknown(ops: Connection) -> None:
    assert [f.status for f in releases.check_taken_away(ops)] == ["unknown"]


def test_a_system_without_a_test_record_says_what_to_describe(lab: PracticeLab) -> None:
    plan = releases.plan_test_record(connect("lab/bluemoxon-staging"))
    assert not plan.steps
    assert "smoke" in plan.notes[0]


def test_a_wrong_column_is_named(ops: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = ops.target["database"].plain()
    wrong = facts | {"soft_delete": facts["soft_delete"] | {"id": "uid"}}
    monkeypatch.setitem(ops.target.facts, "database", wrong)
    with pytest.raises(OpsError, match=r"ledger\.universal_registry has no column uid"):
        releases.plan_test_record(ops)


def test_the_targets_headers_go_with_every_request_and_secret_ones_are_masked(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = ops.target["api"]["headers"].plain()

    def with_headers(headers: dict[str, str]) -> None:
        api = replace(ops._access.api, headers=headers)
        monkeypatch.setattr(ops, "_access", replace(ops._access, api=api))

    assert ops.http("GET", "/spans?limit=1").status == 200
    with_headers({})
    assert ops.http("GET", "/spans?limit=1").status in (400, 401, 403)
    with_headers(described | {"X-Api-Key": "a-header-value-1"})
    assert ops.http("GET", "/spans?limit=1").status == 200
    assert redaction.mask("a-header-value-1") == "[secret header X-Api-Key]"


@pytest.mark.parametrize(
    "body",
    [
        {"id": "7"},
        [{"id": 7}],
        {"spans": [{"id": "1"}, {"id": "7", "x": 1}]},
        {"data": {"items": [{"span": {"id": 7}}]}},
    ],
)
def test_a_record_is_found_wherever_the_answer_has_it(body: Any) -> None:
    found = actions.find_object(body, "id", "7")
    assert found is not None
    assert str(found["id"]) == "7"
    assert actions.find_object(body, "id", "8") is None


def test_without_its_database_no_record_is_made_and_the_rest_is_told(
    lab: PracticeLab, ops: Connection, clean: dict[str, Any]
) -> None:
    with lab.denied("secretsmanager:GetSecretValue", KEY):
        left = notebooks.run("deployments/verify", approved="now", confirm=TARGET)
    assert left["plan"].steps == ()
    assert (
        left["plan"]
        .notes[0]
        .startswith("No test record is made, for it could not be taken away again: Denied")
    )
    assert not left["applied"].changed
    assert "version of loader" in {f.check for f in left["ops"].findings}
