"""What is said of a run when it has ended: findings, verdict, plan and how to apply it, where the
record is; and of several a table of them, then each one's troubles and plan.
"""

import shlex
import textwrap
from collections.abc import Iterable, Sequence

import click

from opslib.catalogue import runbooks
from opslib.cli import streams
from opslib.core import Json, console, redaction, text
from opslib.core.plans.plans import short
from opslib.pages.pages import findings
from opslib.records import index, outcomes, reading
from opslib.records.records import Record
from opslib.runs.summaries import Line, headline, several_names, summarise, write_summary

_FEW = 30  # what passed is listed up to here
_COUNTED = ("critical", "unknown", "warn", "ok")


def name_strangers(among: Iterable[tuple[str, str]]) -> None:
    """Say on stderr which entries are of another system's runbook than that of their target."""
    systems = runbooks.systems()
    for name, target in among:
        system = name.split("/")[0]
        if system in systems and f"/{system}-" not in f"/{target}":
            click.echo(
                f"{name} is of {system}'s runbook, {target} is not: its parameters were set for "
                f"{system}, and may mean other things here.",
                err=True,
            )


def shown(record: Record, *, everything: bool = False) -> Json:
    """For JSON: the record with its findings, plan, changes and next; or all of its file.

    And its own `exit_status`, of several.
    """
    details = reading.details(record)
    names = [*details] if everything else ["findings", "plan", "steps", "changed", "next"]
    status = {"exit_status": outcomes.exit_status(record.outcome, record.status)}
    return {name: details.get(name) for name in names} | record.as_dict() | status


def as_text(record: Record, given: list[str] | None = None) -> str:
    """Findings worst first, the verdict, what comes next, and where the record is.

    `given`: the run's -p, for the plan. Of a report that has just run only what is not ok, or only
    told, is listed, and the rest counted.
    """
    details = reading.details(record)
    here = (record.name, details.get("procedure"), None)  # nobody is sent where he is
    found = [f | {"next": "" if f.get("next") in here else f["next"]} for f in findings(details)]
    plain = [f for f in found if f.get("status") != "ok" or not f.get("threshold")]
    passed = len(found) - len(plain) if given is not None else 0
    if passed > _FEW or (passed and record.procedure.startswith("reports/")):
        found = plain
    else:
        passed = 0
    header = ["status", "check", "seen", "threshold"] + ["next"] * any(f["next"] for f in found)
    rows = [[f.get(key) or "" for key in header] for f in found]
    table = console.table(header, rows) if rows else ""
    return streams.written(
        "run",
        parts=[shown_work(details.get("evidence")), table],
        passed=passed,
        record=record,
        said=details,
        outcome=console.coloured(record.outcome),
        plan=plan(record, given),
        broken_off=broken_off(record, details),
    )


def shown_work(evidence: Sequence[Sequence[str]] | None) -> str:
    """What proves the cause, what was ruled out, what is not known: wrapped lines."""
    lines = [(label, console.plain(redaction.mask(said))) for label, said in evidence or ()]
    return "\n".join(
        textwrap.fill(f"{label + ':':<11}{said}", 110, subsequent_indent=" " * 11)
        for label, said in lines
    )


def plan(record: Record, given: list[str] | None = None) -> list[str]:
    """Lines for a preview: its steps, what else it says, its plan, and how to apply it."""
    if record.outcome != "previewed" or not record.plan:
        return []
    details = reading.details(record)
    steps = [
        f"step {i}:  {console.plain(_told(step))}"
        for i, step in enumerate(details["plan"].get("steps", ()), 1)
    ]
    notes = [f"note:    {console.plain(note)}" for note in details["plan"].get("notes", ())]
    said = dict(pair.split("=", 1) for pair in given or ())
    if given is None:
        now = record.parameters.items()
        said = {k: v for k, v in now if k not in ("target", "approved") and v != ""}
    said |= {"approved": record.plan}
    if details.get("production"):
        said.setdefault("confirm", details.get("confirm") or record.target)
    return [
        *steps,
        *notes,
        f"plan:    {record.plan}",
        f"apply:   {console.plain(text.command('run', record.name, record.target, said))}",
    ]


def _told(step: Json) -> str:
    lasting = "" if step.get("undo", ()) is not None else " (cannot be undone)"
    states = [step.get("before"), step.get("after")]
    said = " → ".join(short(each) for each in states if each is not None and each is not True)
    return f"{step.get('title')}{lasting}{said and ': '}{said}"


def broken_off(record: Record, details: Json) -> list[str]:
    """Of a change that did not reach its end: what goes on with it, and what takes it back."""
    steps = details.get("steps") or ()
    if record.outcome in ("changed", "running", "refused") or not steps:
        return []
    done = [step for step in steps if step.get("state") == "applied"]
    planned = (details.get("plan") or {}).get("steps") or steps
    words = f"-t {shlex.quote(record.target)} -p record={record.id}"
    lines = [f"go on:   opslib run changes/resume {words}"] * (len(done) < len(planned))
    return [*lines, f"go back: opslib run changes/undo {words}"]


def listed(found: list[Record]) -> str:
    if not found:
        return "No record fits. All of them: opslib records" if index.ids() else "No records."
    header = ("outcome", "id", "name", "target", "started (UTC)", "took", "verdict")
    rows = [
        (
            r.outcome,
            r.id,
            r.name,
            r.target,
            f"{r.started:%Y-%m-%d %H:%M:%S}",
            f"{r.seconds:.0f} s",
            textwrap.shorten(r.verdict or "", 100),
        )
        for r in found
    ]
    return console.table(header, rows)


def unlisted(names: list[str]) -> str:
    """Files of records that the index does not know."""
    return (
        f"{len(names)} files of records have no row in the index, so they are not listed "
        f"({names[0]}{' …' if names[1:] else ''}). Look: opslib records verify. "
        "When the index was lost or is an older copy: opslib records index --rebuild"
    )


def exit_status(found: list[Record]) -> int:
    """Of several runs what most wants a look: interrupted, failed, refused, critical, unknown."""
    statuses = {outcomes.exit_status(record.outcome, record.status) for record in found}
    return next((status for status in (130, 1, 3, 4, 5) if status in statuses), 0)


def kept(records: Sequence[Record]) -> tuple[str, str]:
    """What is said of them (the table of runs, then each one's verdict, troubles, plan, and where
    its page is), and the page of it that is kept.
    """
    lines = summarise(records)
    page = write_summary(lines)
    parts = [_table(lines), *map(_told_of, lines)]
    return "\n\n".join([*parts, f"{headline(lines)}\nsummary: {page}"]), str(page)


def _table(lines: Sequence[Line]) -> str:
    """Worst first; of reports, what is different from the last one."""
    header = ["worst", "run" if several_names(lines) else "target", *_COUNTED]
    compared = any(line.is_report for line in lines)
    header += ["since the last report", "took"] if compared else ["took"]
    rows = []
    for line in lines:
        counts = [line.counts[status] for status in _COUNTED]
        since = [line.since_last] if compared else []
        rows.append([line.worst, line.title, *counts, *since, f"{line.record.seconds:.0f} s"])
    return console.table(header, rows)


def _told_of(line: Line) -> str:
    rows = [(f.status, f.check, f.seen, f.next) for f in line.findings.troubles]
    told = [f"{line.title}: {console.plain(line.record.verdict)}"]
    told += filter(None, [shown_work(line.evidence)])
    told += [console.table(("status", "check", "seen", "next"), rows)] if rows else []
    return "\n".join([*told, *plan(line.record), f"page:    {line.record.page}"])
