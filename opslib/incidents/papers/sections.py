"""The sections of a post-mortem: facts, each with the record that proves it, and questions.

What nobody read is *unknown*. It asks how it came about, not who: names stand only where a change
had to be approved. The text is templates/post-mortem.md.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from opslib.core import Finding, Findings, count
from opslib.core.checks.causes import BACKLOG
from opslib.core.plans.plans import short
from opslib.core.text import templates
from opslib.incidents import causes, clocks, incidents, looks, practice, standing, timelines
from opslib.incidents.incidents import Incident
from opslib.incidents.papers import pictures
from opslib.incidents.papers.pictures import TABLE, Pictures
from opslib.incidents.standing import Change
from opslib.incidents.timelines import Row, Timeline, escape
from opslib.records.records import Record

FACTS = "facts"
FOR_AUTHORS = "Cells of facts are made again; what you write is kept."
_BEFORE = timedelta(hours=1)
_CELL = 200  # characters of a state in a table
_BEGINS = re.compile(r"^<!-- ([\w-]+): (\w+) -->$", re.MULTILINE)
_ODD = ("failed", "refused", "timed out", "kernel died", "interrupted")


class Part(NamedTuple):
    """A cell: `kind` says whether it is made again, or somebody's words that are kept."""

    name: str
    kind: str
    text: str


class PostMortem:
    """All that is known of an incident at one moment. `link`: the address of a record's page."""

    def __init__(self, incident: Incident, link: Callable[[str], str]) -> None:
        self.incident, self._link = incident, link

    @cached_property
    def records(self) -> list[Record]:
        return incidents.tied(self.incident)

    @cached_property
    def timeline(self) -> Timeline:
        return timelines.timeline(self.incident)

    @cached_property
    def findings(self) -> Findings:
        """Of the look at the account; empty where nobody looked."""
        return standing.findings(self.timeline.looked)

    @cached_property
    def changes(self) -> list[Change]:
        return standing.changes(self.records)

    @cached_property
    def pictures(self) -> Pictures:
        return pictures.pictures(self.incident, self.timeline)

    @cached_property
    def last_try(self) -> Incident | None:
        return practice.last_try(self.incident)

    def parts(self) -> Iterator[Part]:
        """In their order."""
        made = templates(Path(__file__).parent, autoescape=True, finalize=_escaped)
        made.filters |= {"minute": _minute, "state": _state}
        text = made.get_template("post-mortem.md").render(
            of=self,
            i=self.incident,
            looked=self.timeline.looked,
            link=self._link,
            timeline=lambda rows: Markup(timelines.as_markdown(rows, self._link)),
            for_authors=FOR_AUTHORS,
            table=TABLE,
            times=clocks.TIMES,
            between=clocks.between,
            practised=practice,
            causes=causes,
            count=count,
        )
        _, *cells = _BEGINS.split(text)
        for name, kind, said in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            yield Part(name, kind, said.strip())

    @property
    def impact(self) -> list[Finding]:
        about = ("impact:", "minutes in ALARM")
        return [f for f in self.findings if f.check.startswith(about)]

    @property
    def critical(self) -> list[Record]:
        return [r for r in self.records if r.status == "critical" and r.ended]

    @property
    def critical_minutes(self) -> int:
        last = max(r.ended or r.started for r in self.critical)
        return round((last - self.critical[0].started) / timedelta(minutes=1))

    @property
    def lost(self) -> tuple[str, list[Finding]]:
        """What the last record said of dead letters, and that record's id."""
        for record in reversed(self.records):
            of = standing.findings(record)
            named = [f for f in of if BACKLOG in (f.cause, f.rules_out)]
            seen = [f for f in named if not f.check.startswith("alarm ")]  # counts no job
            if seen:
                return record.id, list({(f.check, f.seen): f for f in seen}.values())
        return "", []

    @property
    def rang(self) -> Finding | None:
        return next((f for f in self.findings if f.check == "alarms that rang"), None)

    @property
    def before(self) -> list[Row]:
        """What changed in the hour before."""
        began, kinds = self.incident.began, ("deployment", "change")
        rows = self.timeline.rows
        return [r for r in rows if began - _BEFORE <= r.time <= began and r.kind in kinds]

    @cached_property
    def gaps(self) -> list[tuple[str, str]]:
        """Where the runbook did not help: what failed, was refused, or could not be seen; and the
        record that says so.
        """
        found = [
            (f"{r.name}: {r.outcome}, {r.verdict or 'no verdict'}", r.id)
            for r in self.records
            if r.outcome in _ODD
        ]
        for record in self.records:
            of = standing.findings(record)
            dark = dict.fromkeys(f.check for f in of if f.status == "unknown")
            if dark and record.procedure != looks.POST_MORTEM:
                found.append((f"could not be seen: {', '.join(dark)}", record.id))
        began = self.incident.began
        beside = [r for r in self.timeline.rows if r.source == "CloudTrail" and r.time > began]
        found += [(f"changed outside of any record: {row.what}", "") for row in beside]
        if missing := ", ".join(self.incident.missing):
            found.append((f"not marked: {missing} (opslib incident mark)", ""))
        return list(dict.fromkeys(found))


def _escaped(value: object) -> Markup:
    return value if isinstance(value, Markup) else Markup(escape(value))


def _minute(when: object) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _state(value: object) -> str:
    return short(value)[:_CELL] or "nothing"
