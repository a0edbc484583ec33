"""Two records compared."""

from __future__ import annotations

import json

import pytest

from tests.projects import JOURNAL, Project
from tests.records.test_seals import said

_FINDINGS = """journal.write('findings', findings=[
    {'status': 'ok', 'check': 'day', 'seen': 'as of 12:30, 2026-11-26', 'threshold': ''},
    {'status': status, 'check': 'errors', 'seen': seen, 'threshold': 'under 10'}])"""
_PLAN = "journal.write('plan', plan={'id': 'p', 'summary': what, 'steps': [{'title': what}]})"


@pytest.mark.slow
def test_what_is_different_is_told_by_its_part(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    given = "status: str = 'ok'\nseen: str = '1,000 ms'\nwhat: str = 'grow'"
    project.procedure("two", JOURNAL, _FINDINGS, _PLAN, parameters=given)
    one = project.run("two")
    again = project.run("two")
    assert said(capsys, "diff", one.id, again.id) == (
        0,
        f"{one.id} and {again.id} say the same.\n",
    )
    slower = project.run("two", seen="1,500 ms", what="shrink")
    project.procedure("two", JOURNAL, _FINDINGS, "1 + 1", parameters=given)
    worse = project.run("two", status="critical", seen="many")
    found = json.loads(said(capsys, "diff", one.id, slower.id, "--json")[1])
    by = {(each["part"], each["what"]): each for each in found}
    assert by["finding", "errors"]["change"] == "+50%"
    assert by["parameter", "what"]["after"] == "shrink"
    assert by["plan", "summary"]["before"] == "grow"
    assert (by["step", "grow"]["after"], by["step", "shrink"]["before"]) == ("(none)", "(none)")
    assert not {"version", "procedure"} & {each["part"] for each in found}
    status, shown = said(capsys, "diff", slower.id, worse.id)
    assert status == 0
    assert "procedure" in shown
    assert "critical · many" in shown
    assert said(capsys, "diff", one.id, "20991231")[0] == 2


def test_a_change_that_broke_half_way_offers_to_go_on_and_to_go_back(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = "journal.write('plan', plan={'id': 'p', 'steps': [{'title': 'x'}, {'title': 'y'}]})"
    step = "journal.write('step', number=1, title='x', state='applied')"
    begun = [JOURNAL, plan, "journal.write('applying', plan='p')", step]
    broken = project.run("breaks", *begun, "raise OSError('gone')")
    shown = said(capsys, "show", broken.id)[1]
    assert f"go on:   opslib run changes/resume -t {broken.target} -p record={broken.id}" in shown
    assert f"go back: opslib run changes/undo -t {broken.target} -p record={broken.id}" in shown
    assert "go back" not in said(capsys, "show", project.run("whole", *begun).id)[1]
