"""The daily reports of several targets.

One page first, the target that most wants a look at its top.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from opslib.core.connections import targets
from opslib.core.errors import UsageError
from opslib.records import records, verification
from opslib.runs import runs, summaries
from tests.projects import JOURNAL, TARGET, Project

OTHER = "lab/bluemoxon-production"


def report(project: Project, *found: dict[str, str]) -> None:
    """A daily report that finds this in production, and all well elsewhere."""
    fine = [{"status": "ok", "check": "health", "seen": "200", "rules_out": "api-slow"}]
    tell = (
        f"journal.write('findings', findings={list(found)!r} if 'production' in target else "
        f"{fine!r})"
    )
    path = project.procedure("daily", JOURNAL, tell)
    (path.parent.parent / "reports").mkdir(exist_ok=True)
    path.replace(path.parent.parent / "reports" / "daily.ipynb")


def run(*names: str) -> list[records.Record]:
    return runs.run_many(["reports/daily"], names, progress=lambda *_: lambda *_: None)


CRITICAL = {
    "status": "critical",
    "check": "queue <b>",
    "seen": "12 letters",
    "next": "queues/redrive",
    "cause": "backlog",
}


def test_the_worst_target_comes_first(project: Project) -> None:
    report(project, CRITICAL)
    lines = summaries.summarise(run(TARGET, OTHER))
    assert [(line.record.target, line.worst) for line in lines] == [
        (OTHER, "critical"),
        (TARGET, "ok"),
    ]
    assert summaries.headline(lines) == "2 targets: 1 critical, 1 ok."
    assert [len(line.evidence) for line in lines] == [1, 0], "nothing is wrong in the second"


def test_a_report_that_did_not_end_comes_before_every_finding(project: Project) -> None:
    report(project, CRITICAL)
    found = run(TARGET, OTHER)
    path = project.procedure("daily", "raise SystemError(target)")
    path.replace(path.parent.parent / "reports" / "daily.ipynb")
    lines = summaries.summarise([*found, *run(TARGET)])
    assert [line.worst for line in lines] == ["failed", "critical", "ok"]
    assert lines[0].since_last == ""
    assert lines[0].changes is None
    assert "no longer reported" not in summaries.write_summary(lines).read_text()


def test_what_is_new_and_what_has_ended_is_told_by_target(project: Project) -> None:
    report(project, CRITICAL)
    assert {line.since_last for line in summaries.summarise(run(TARGET, OTHER))} == {"first report"}
    report(project, {**CRITICAL, "check": "another"})
    lines = {line.record.target: line for line in summaries.summarise(run(TARGET, OTHER))}
    assert lines[OTHER].since_last == "1 new, 1 ended"
    assert lines[TARGET].since_last == "as before"


def test_the_page_links_to_each_report_and_escapes_what_strangers_wrote(project: Project) -> None:
    report(project, CRITICAL)
    lines = summaries.summarise(run(TARGET, OTHER))
    page = summaries.write_summary(lines)
    text = page.read_text()
    for line in lines:
        assert f'href="{line.record.page.name}"' in text
        assert (page.parent / line.record.page.name).exists()
    assert "queue &lt;b&gt;" in text
    assert "<b>" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert verification.verify() == []


@pytest.mark.slow
def test_several_targets_are_named_by_a_pattern(project: Project) -> None:
    report(project, CRITICAL)
    done = project.command("report", "daily", "-t", "lab/*", "--json")
    rows = json.loads(done.stdout)
    assert [row["target"] for row in rows] == [OTHER, TARGET]
    assert {row["summary"] for row in rows} == {rows[0]["summary"]}
    assert done.returncode == 4
    shown = project.command("report", "daily", "-t", "lab/*").stdout
    assert shown.splitlines()[1].split()[:2] == ["critical", OTHER]
    assert shown.splitlines()[-1].startswith("summary: ")


@pytest.mark.slow
def test_one_target_has_no_summary(project: Project) -> None:
    report(project, CRITICAL)
    [row] = json.loads(project.command("report", "daily", "-t", TARGET, "--json").stdout)
    assert "summary" not in row


def test_a_pattern_names_each_target_once_and_never_mixes_practice_with_the_real_one(
    project: Project,
) -> None:
    assert targets.matching(["lab/*", TARGET]) == [OTHER, TARGET]
    assert targets.matching(["*-staging"]) == ["bluemoxon-staging"]
    with pytest.raises(UsageError, match="No target matches 'lab/moon-\\*'"):
        targets.matching(["lab/moon-*"])
    with pytest.raises(UsageError, match="lab/bluemoxon-staging"):
        targets.matching(["lab/bluemoxon-stagin"])


def test_a_record_whose_file_is_gone_is_still_in_the_summary(project: Project) -> None:
    report(project, CRITICAL)
    found = run(TARGET, OTHER)
    found[0].path.unlink()
    lines = summaries.summarise(found)
    assert [line.worst for line in lines] == ["critical", "unknown"]
    assert summaries.write_summary(lines).exists()


def test_runs_of_two_days_link_across_folders(project: Project) -> None:
    report(project, CRITICAL)
    [record] = run(TARGET)
    moved = records.Record(
        **{
            **vars(record),
            "id": "20200101T000000Z-abcdef",
            "path": record.path.parents[2] / "2020/01/x.ipynb",
            "started": datetime.now(UTC) - timedelta(days=900),
        }
    )
    moved.path.parent.mkdir(parents=True)
    page = summaries.write_summary(summaries.summarise([record, moved]))
    assert (
        f"../../{record.path.parent.relative_to(record.path.parents[2])}/{record.page.name}"
        in page.read_text()
    )
