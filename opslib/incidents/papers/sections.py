"""The sections of a post-mortem: facts, each with the record that proves it, and questions.

What nobody read is *unknown*. It asks how it came about, not who: names stand only where a change
had to be approved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

from opslib.core import Json, count
from opslib.core.checks.causes import BACKLOG
from opslib.core.plans.plans import short
from opslib.incidents import causes, clocks, incidents, looks, practice, standing, timelines
from opslib.incidents.incidents import Incident
from opslib.incidents.papers import pictures
from opslib.incidents.papers.pictures import TABLE, Pictures
from opslib.incidents.standing import Change
from opslib.incidents.timelines import Timeline, escape
from opslib.records.records import Record

FACTS, WORDS = "facts", "words"
FOR_AUTHORS = "Cells of facts are made again; what you write is kept."
_BEFORE = timedelta(hours=1)
_CELL = 200  # characters of a state in a table
_QUESTIONS = {
    "surprised": "What surprised us?",
    "well": "What went well?",
    "badly": "What went badly?",
    "lucky": "Where were we lucky?",
}


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
    def findings(self) -> list[Json]:
        """Of the look at the account; empty where nobody looked."""
        looked = self.timeline.looked
        return list(standing.said(looked).get("findings") or ()) if looked else []

    @cached_property
    def changes(self) -> list[Change]:
        return standing.changes(self.records)

    def parts(self) -> Iterator[Part]:
        """In their order."""
        yield Part("head", FACTS, self._head())
        yield Part(
            "summary",
            WORDS,
            "## Summary\n\n*Not written yet: what users met, what led to it, what ended it.*",
        )
        yield Part("impact", FACTS, self._impact())
        yield Part("metrics", FACTS, self._metrics())
        yield Part("times", FACTS, self._times())
        yield Part("detection", FACTS, self._detection())
        yield Part("trigger", FACTS, self._trigger())
        yield Part(
            "cause",
            WORDS,
            "### What led to it?\n\n*Not written yet: how did it come about? Candidates are not "
            "causes: what proves it, and what had to be there besides?*",
        )
        yield Part("resolution", FACTS, self._resolution())
        yield Part("gaps", FACTS, self._gaps())
        yield Part("earlier", FACTS, self._earlier())
        for name, question in _QUESTIONS.items():
            yield Part(name, WORDS, f"## {question}\n\n*Not written yet.*")
        yield Part("actions", WORDS, self._actions())
        table = timelines.as_markdown(self.timeline.rows, self._link)
        yield Part("timeline", FACTS, f"## Timeline\n\n{table}")

    def _at(self, id: str) -> str:
        return f"[{id}]({self._link(id)})"

    def _table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        lines = [" | ".join(header), "|".join(["---"] * len(header)), *map(" | ".join, rows)]
        return "\n".join(f"| {line} |" for line in lines)

    def _head(self) -> str:
        i = self.incident
        end = f"{i.ended:%Y-%m-%d %H:%M} UTC" if i.ended else "it is open"
        rows = [
            ("incident", i.id),
            ("target", escape(i.target)),
            ("severity", escape(i.severity)),
            ("began", f"{i.began:%Y-%m-%d %H:%M} UTC"),
            ("ended", end),
            ("records", str(len(self.records))),
        ]
        table = self._table(("", ""), rows)
        asks = "It asks how it came about, not who."
        return f"# Post-mortem: {escape(i.title)}\n\n{asks} {FOR_AUTHORS}\n\n{table}"

    def _impact(self) -> str:
        looked = self.timeline.looked
        rows = [
            (escape(f["check"]), _unknown(f), self._at(looked.id))
            for f in self.findings
            if looked and f["check"].startswith(("impact:", "minutes in ALARM"))
        ]
        critical = [r for r in self.records if r.status == "critical" and r.ended]
        seen = "no record found anything critical"
        if critical:
            last = max(r.ended or r.started for r in critical)
            passed = round((last - critical[0].started) / timedelta(minutes=1))
            seen = f"{passed} min from the first record that was critical to the last"
        proves = ", ".join(self._at(r.id) for r in critical[:1] + critical[1:][-1:])
        rows.append(("seen critical", seen, proves))
        if not any("; in all " in seen for _, seen, _ in rows):
            rows.append(("requests that failed, of all", "*unknown*: nobody read it", ""))
        rows.append(("jobs that did not go through", *self._lost()))
        return f"## Impact\n\n{self._table(('what', 'how much', 'proved by'), rows)}"

    @cached_property
    def pictures(self) -> Pictures:
        return pictures.pictures(self.incident, self.timeline)

    def _metrics(self) -> str:
        made, head = self.pictures, "## Key metrics"
        if not made.table:
            return f"{head}\n\n*unknown*: nobody measured them, or none is described."
        read = "The ground is shaded from its beginning to its end; a line is what happened then."
        shown = [f"![{_alt(each.words)}]({each.name})" for each in made.drawn]
        more = f"Not drawn: {escape(', '.join(made.others))}. "
        values = f"{more if made.others else ''}All values: [{TABLE}]({TABLE})"
        proof = (
            f", measured by {self._at(self.timeline.looked.id)}." if self.timeline.looked else ""
        )
        return "\n\n".join([head, read, *shown, values + proof])

    def _lost(self) -> tuple[str, str]:
        """What the last record said of dead letters; and that record."""
        for record in reversed(self.records):
            of = standing.said(record).get("findings") or ()
            seen = [f for f in of if BACKLOG in (f.get("cause"), f.get("rules_out"))]
            if seen:
                said = dict.fromkeys(f"{f['check']}: {_unknown(f)}" for f in seen)
                return "; ".join(said), self._at(record.id)
        return "*unknown*: nobody read it", ""

    def _times(self) -> str:
        rows = []
        for words, start, end in clocks.TIMES:
            long = clocks.between(self.incident, start, end)
            shown = long.replace("unknown", "*unknown*", 1)
            rows.append((words, f"{start} to {end}", shown))
        times = f"## Times\n\n{self._table(('what', 'from', 'how long'), rows)}"
        return "\n\n".join([times, *self._practised()])

    def _practised(self) -> list[str]:
        """Beside the last try of the same drill, where it is practice."""
        drill, last = self.incident.drill, practice.last_try(self.incident)
        if last is None:
            first = f"Practice of the drill {drill}: the first try, nothing to compare it with."
            return [first] if drill else []
        table = self._table(practice.HEADER, practice.compared(self.incident, last))
        return [f"Practice of the drill {drill}, beside the last try ({last.id}):", table]

    def _detection(self) -> str:
        i, marks = self.incident, self.incident.milestones
        rang = next((f for f in self.findings if f["check"] == "alarms that rang"), None)
        lines = [f"- began: {_marked(i, 'began')}", f"- detected: {_marked(i, 'detected')}"]
        lines.append(f"- by the alarm {escape(i.alarm)}" if i.alarm else "- by no alarm, as told")
        if rang is None:
            lines.append("- alarms: *unknown*, the account was not asked")
        else:
            lines.append(f"- alarms that rang: {_unknown(rang)}")
            if rang["status"] == "warn":
                beyond = (f for f in self.findings if "beyond it from" in f["seen"])
                lines += [f"- {escape(f['check'])}: {escape(f['seen'])}" for f in beyond]
        if "detected" in marks and marks["detected"].known > i.started:
            lines.append(f"- written down at {marks['detected'].known:%Y-%m-%d %H:%M} UTC")
        return "## Detection\n\n" + "\n".join(lines)

    def _trigger(self) -> str:
        head = "## What changed in the hour before\n\n"
        if self.timeline.looked is None:
            return f"{head}*unknown*: the account was not asked."
        began = self.incident.began
        found = [
            row
            for row in self.timeline.rows
            if began - _BEFORE <= row.time <= began and row.kind in ("deployment", "change")
        ]
        unseen = [f"\n\n*unknown*: {escape(line)}" for line in self.timeline.unseen]
        table = timelines.as_markdown(found, self._link) if found else "No change was seen."
        return f"{head}{table}{''.join(unseen)}"

    def _resolution(self) -> str:
        rows = []
        for change in self.changes:
            by = change.approval.get("second") or change.approval.get("by") or "*unknown*"
            for step in change.steps:
                state = f"{_state(step, 'before')} → {_state(step, 'after')}"
                undone = change.undone.replace("no", "no, it stands", 1)
                of = (
                    escape(step.get("title", "")),
                    state,
                    str(change.record.plan),
                    escape(by),
                    undone,
                )
                rows.append((self._at(change.record.id), *of))
        header = ("record", "step", "before → after", "plan", "approved by", "undone")
        table = self._table(header, rows) if rows else "No run of ours changed anything."
        return f"## Resolution\n\n{table}\n\n{self._named()}"

    def _named(self) -> str:
        named = causes.named(self.records)
        lines = [f"- {escape(cause)}: {self._at(ids[0])}" for cause, ids in named.items()]
        return "Causes that findings named:\n\n" + ("\n".join(lines) or "- none")

    @cached_property
    def gaps(self) -> list[str]:
        """Where the runbook did not help: what failed, was refused, or could not be seen."""
        odd = ("failed", "refused", "timed out", "kernel died", "interrupted")
        found = [
            f"{escape(r.name)}: {r.outcome}, {escape(r.verdict or 'no verdict')} ({self._at(r.id)})"
            for r in self.records
            if r.outcome in odd
        ]
        for record in self.records:
            of = standing.said(record).get("findings") or ()
            dark = list(dict.fromkeys(f["check"] for f in of if f.get("status") == "unknown"))
            if dark and record.procedure != looks.POST_MORTEM:
                found.append(
                    f"could not be seen: {escape(', '.join(dark))} ({self._at(record.id)})"
                )
        began = self.incident.began
        beside = [r for r in self.timeline.rows if r.source == "CloudTrail" and r.time > began]
        found += [f"changed outside of any record: {escape(row.what)}" for row in beside]
        marks = [f"not marked: {name}" for name in self.incident.missing]
        return list(dict.fromkeys([*found, *marks]))

    def _gaps(self) -> str:
        lines = [f"- {gap}" for gap in self.gaps] or ["- none was seen"]
        return "## Gaps in the runbook\n\n" + "\n".join(lines)

    def _earlier(self) -> str:
        found = causes.alike(self.incident)
        lines = [f"- {id}: {escape(', '.join(same))}" for id, same in found.items()]
        told = count(len(found), "incident") if found else "No incident"
        told += " before had one of these causes, or its alarm."
        return "\n\n".join(
            ["## Earlier incidents like it", told, *filter(None, ["\n".join(lines)])]
        )

    def _actions(self) -> str:
        stands = [f"- [ ] take back, or keep? {escape(str(c))}" for c in self.changes if c.stands]
        lines = [*stands, *(f"- [ ] {gap}" for gap in self.gaps)]
        seeds = "\n".join(lines) or "- [ ] …"
        asks = "*Not decided yet: what would have ended it sooner, who does it, until when?*"
        return f"## Action items\n\n{asks}\n\n{seeds}"


def _alt(text: str) -> str:
    return escape(text).replace("(", "\\(").replace(")", "\\)")


def _unknown(finding: Json) -> str:
    dark = "*unknown*: " if finding.get("status") == "unknown" else ""
    return f"{dark}{escape(finding.get('seen', ''))}"


def _marked(incident: Incident, name: str) -> str:
    mark = incident.milestones.get(name)
    return f"{mark.happened:%Y-%m-%d %H:%M} UTC" if mark else "*unknown*, not marked"


def _state(step: Json, name: str) -> str:
    return escape(short(step.get(name))[:_CELL] or "nothing")
