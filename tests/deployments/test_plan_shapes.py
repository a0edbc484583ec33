"""Plans of many shapes: what each would do, what it leaves unsaid, whom it lets in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from opslib.deployments import findings
from opslib.deployments.plans import TerraformPlan, parse

PLANS = Path(__file__).parent / "plans"
EXPECTED: dict[str, Any] = yaml.safe_load((PLANS / "expected.yaml").read_text())


def read(name: str) -> TerraformPlan:
    return parse((PLANS / f"{name}.json").read_bytes(), name)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_plan_is_said_as_it_is(name: str) -> None:
    """Nothing is ok of which a part was not planned, or not understood."""
    expected, plan = EXPECTED[name], read(name)
    would, drift = findings.judged(plan), findings.drifted(plan)
    todo = would[-1]
    assert todo.check == "To do"
    assert (findings.whole(plan).status, todo.status, drift.worst) == (
        expected["whole"],
        expected["todo"],
        expected["drift"],
    )
    assert expected["said"] in todo.seen
    assert expected.get("also", "") in " ".join(f.seen for f in would)
    assert expected.get("drift_said", "") in drift[0].seen
    assert would.evidence is not None
    assert expected.get("why", "") in " ".join(would.evidence["why"])


def test_every_plan_has_its_expectation() -> None:
    assert {path.stem for path in PLANS.glob("*.json")} == {*EXPECTED}


def test_what_is_told_of_actions_openings_and_losses_is_no_ok() -> None:
    for name in ("actions-only", "opened-by-the-plan", "forget"):
        assert findings.judged(read(name)).worst == "warn"
    for name in ("deferred-loss", "broken-entry"):
        assert findings.judged(read(name)).worst == "critical"


def test_both_sides_of_a_long_value_show_where_they_differ() -> None:
    (change,) = read("text-that-differs-late").drift
    (difference,) = change.differences
    assert difference.before.endswith("echo one exit 0")
    assert difference.after.endswith("echo one exit 1")
    assert max(map(len, (difference.before, difference.after))) <= 160
