"""What every notebook keeps to.

The cadence, cells that ask one question, no outputs, links that lead somewhere.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest

from opslib.catalogue import procedures
from opslib.catalogue.procedures import Procedure

PROCEDURES = procedures.list_procedures()
EVERY = pytest.mark.parametrize("procedure", PROCEDURES, ids=[p.name for p in PROCEDURES])


def cells(procedure: Procedure, kind: str) -> list[dict[str, Any]]:
    notebook = json.loads(procedure.path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


@EVERY
def test_a_notebook_in_git_holds_no_outputs(procedure: Procedure) -> None:
    assert all(
        not cell["outputs"] and cell["execution_count"] is None for cell in cells(procedure, "code")
    )


@EVERY
def test_a_cell_asks_one_question_in_ten_lines_without_def_loop_or_branch(
    procedure: Procedure,
) -> None:
    for cell in cells(procedure, "code"):
        source = "".join(cell["source"])
        assert len(source.splitlines()) <= 10, source
        forbidden = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, forbidden)], (
            source
        )


@EVERY
def test_the_first_parameter_is_a_practice_target(procedure: Procedure) -> None:
    first = procedure.parameters[0]
    assert (first.name, first.type) == ("target", "str")
    assert first.default.startswith("lab/")
    assert all(p.help for p in procedure.parameters)


@EVERY
def test_it_connects_first_and_concludes_last(procedure: Procedure) -> None:
    code = ["".join(cell["source"]) for cell in cells(procedure, "code")]
    assert "ops = connect(target)" in code[1]
    assert code[-1] == "conclude(ops)"


@EVERY
def test_what_changes_something_is_applied_through_the_gate(procedure: Procedure) -> None:
    code = "\n".join("".join(cell["source"]) for cell in cells(procedure, "code"))
    asked = "decided = await decide(ops, plan, approved, confirm)" in code
    gated = asked and "apply(ops, plan, *decided)" in code
    assert gated == (procedure.effect != "read")
    assert gated == ({"approved", "confirm"} <= {p.name for p in procedure.parameters})


@EVERY
def test_its_links_lead_to_notebooks_that_exist(procedure: Procedure) -> None:
    text = "\n".join("".join(cell["source"]) for cell in cells(procedure, "markdown"))
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in link or (procedure.path.parent / link).is_file(), link


def test_every_effect_is_there() -> None:
    assert {p.effect for p in PROCEDURES} == set(procedures.EFFECTS)
