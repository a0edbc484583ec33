from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.projects import JOURNAL, Project

REPORT = """\
from pathlib import Path
from opslib.core import paths
status = Path(paths.project_root(), "status").read_text()
finding = {"status": status, "check": "orders", "seen": "hunter2 of 7", "cause": "stuck"}
journal.write("secret", value="hunter2", label="of the orders")
journal.write("findings", findings=[finding])
journal.write("verdict", sentence=f"orders are {status}: hunter2", evidence=[])"""


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self, text: str) -> None:
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def goes_on(self, minutes: float) -> None:
        self.at += timedelta(minutes=minutes)


class Scheduled:
    """A project with a report on a schedule, and a channel that writes down what it is told."""

    def __init__(self, project: Project) -> None:
        self.project, self.told_to = project, project.home / "told.jsonl"
        project.procedure("daily", JOURNAL, REPORT)
        self.status("ok")

    def status(self, status: str) -> None:
        (self.project.home / "status").write_text(status)

    def write(self, text: str, name: str = "ours") -> Path:
        path = self.project.home / "parameters" / "schedules" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def every(self, cron: str, *, late: int = 60, targets: str = "lab/bluemoxon-staging") -> Path:
        tee = json.dumps(["tee", "-a", str(self.told_to)])
        return self.write(f"""\
channels:
  on-call: {{command: {tee}}}
schedules:
  - name: ours
    run: tests/daily
    targets: ["{targets}"]
    when: {{cron: "{cron}"}}
    late_minutes: {late}
    notify: [on-call]
""")

    def told(self) -> list[str]:
        """The first line of each message."""
        text = self.told_to.read_text() if self.told_to.exists() else ""
        kinds = ("critical", "unknown", "failed", "missed", "recovered")
        return [
            line for line in text.splitlines() if line.startswith(tuple(f"{k}: " for k in kinds))
        ]


@pytest.fixture
def scheduled(project: Project) -> Scheduled:
    return Scheduled(project)


@pytest.fixture
def clock() -> Callable[[str], Clock]:
    return Clock
