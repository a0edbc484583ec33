"""Jobs that a service takes out of the table by itself: no queue, and no function of their own."""

from __future__ import annotations

import pytest

from opslib import connect, jobs
from tests.conftest import PracticeLab
from tests.notebooks import run

PLACE = "ai-studio-production"

pytestmark = pytest.mark.usefixtures("records_folder")


def test_a_hanging_job_leads_to_the_entry_that_the_file_names(lab: PracticeLab) -> None:
    with lab.broken("stale-jobs", PLACE):
        ops = connect(f"lab/{PLACE}")
        assert {f.next for f in jobs.check_stale(ops, "jobs").troubles} == {
            "ai-studio/stuck-jobs-reset"
        }
        left = run("ai-studio/jobs", target=f"lab/{PLACE}")  # to its end
    assert {f.next for f in left["ops"].findings.troubles} == {"ai-studio/stuck-jobs-reset"}


def test_the_lines_of_the_service_that_works_on_them_are_read(lab: PracticeLab) -> None:
    found = jobs.check_worker(connect(f"lab/{PLACE}"), "jobs", minutes=1440)
    assert found[0].check == "lines of worker"
    assert found.worst == "ok"
