"""The timeline: what the account, the records and the people say, merged without doubles."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from opslib.core import UNSURE, Finding, Json, OpsError, beside, cut
from opslib.core.findings import MIME
from opslib.core.text import plain
from opslib.core.times import as_iso
from opslib.incidents import clocks, incidents, looks, standing
from opslib.incidents.incidents import Incident
from opslib.records import copies, reading
from opslib.records.records import Record

_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_MARKUP = str.maketrans(
    {mark: f"\\{mark}" for mark in "`*_[]|#~"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    | {mark: f"`{mark}`" for mark in "$\\"}  # else what follows is set as a formula
)
_NEAR = timedelta(seconds=10)  # a call, and the event that CloudTrail has of it
_SAME = timedelta(minutes=2)  # a version, and who published it
_OFTEN = 3
_LONGEST = 4000  # characters of a row; JSON and CSV have all of them


@dataclass(frozen=True)
class Row:
    """`time`: when it happened; `known`: when it was written down, where that is another time.

    `record`: the id of the record that it links to; `place`: where in it.
    """

    time: datetime
    kind: str
    what: str
    source: str
    by: str = ""
    record: str = ""
    place: str = ""
    known: datetime | None = None

    @property
    def told(self) -> str:
        """With when it was known; of a log that somebody pasted the beginning."""
        known = f" (known {self.known:%Y-%m-%d %H:%M})" if self.known else ""
        return cut(self.what, _LONGEST) + known

    def as_dict(self) -> Json:
        """For JSON and CSV."""
        return as_iso(asdict(self) | {"known": self.known or ""})


COLUMNS = tuple(Row.__dataclass_fields__)


class Timeline(NamedTuple):
    """`looked`: the record of the newest look at the account; None: nobody has looked."""

    rows: list[Row]
    looked: Record | None
    unseen: list[str]  # what could not be read

    def as_dict(self, incident: Incident) -> Json:
        """For JSON, with its incident."""
        rows = [row.as_dict() for row in self.rows]
        return {**incident.as_dict(), "rows": rows, "unseen": self.unseen}


def timeline(incident: Incident) -> Timeline:
    """From its events, its records, and the newest look at the account that is kept."""
    found = [(record, reading.said(record)) for record in incidents.tied(incident)]
    looked, seen = looked_back(incident)
    calls = [call for _, of in found for call in of.get("calls") or ()]
    rows = [*_of_events(incident)]
    for record, of in found:
        rows += _of_record(record, of) if record.procedure != looks.POST_MORTEM else ()
    rows += together(without_doubles(seen, calls))
    rows.sort(key=lambda row: row.time)
    unseen = [f"{f.check}: {f.seen}" for f in standing.findings(looked) if _is_unseen(f)]
    lost = [f"record {r.id}: its file cannot be read" for r, of in found if not of]
    if looked is None:
        unseen.append("the account was not asked")
    return Timeline(rows, looked, [*unseen, *lost])


def _is_unseen(found: Finding) -> bool:
    """A source that could not be read; not a milestone that nobody marked."""
    of_response = {words for words, _, _ in clocks.TIMES}
    return found.status == "unknown" and found.check not in of_response


def looked_back(incident: Incident) -> tuple[Record | None, list[Row]]:
    """The newest record of reports/post-mortem for it that holds what happened, and that."""
    for record in reading.list_records(incident.target):
        mine = record.parameters.get("incident") == incident.id
        if record.procedure == looks.POST_MORTEM and mine and (rows := kept(record)) is not None:
            return record, [
                Row(
                    datetime.fromisoformat(row["time"]),
                    row["kind"],
                    row["what"],
                    row["source"],
                    row["by"] if isinstance(row["by"], str) else "",
                    record.id,
                    "What happened that our records do not hold?",
                )
                for row in rows
            ]
    return None, []


def kept(record: Record, what: str = looks.KEPT) -> list[Json] | None:
    """The rows of that name in the outputs of a record; None when it holds none."""
    try:
        copies.fetch_missing(record.path)
        cells = json.loads(record.path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, OpsError):
        return None
    for out in (out for cell in cells for out in cell.get("outputs", ())):
        ours = out.get("data", {}).get(MIME)
        if isinstance(ours, dict) and what in ours:
            return list(ours[what])
    return None


def without_doubles(rows: Sequence[Row], calls: Sequence[Json]) -> list[Row]:
    """Without what a run of ours did (the record says more), and without a version or deployment
    that CloudTrail tells with who did it.
    """
    ours = [
        (datetime.fromisoformat(c["started"]), c["operation"]) for c in calls if c.get("started")
    ]
    acts = [row for row in rows if row.source == "CloudTrail"]

    def is_ours(row: Row) -> bool:
        name = row.what.split(" ")[0]
        return any(name.startswith(of) and abs(row.time - at) <= _NEAR for at, of in ours)

    def told_better(row: Row) -> bool:
        return row.kind == "deployment" and any(
            act.kind == "deployment" and abs(act.time - row.time) <= _SAME
            for act in acts
            if act.what.split(" ")[-1] == row.what.split(" ")[-1]
        )

    kept = [row for row in acts if not is_ours(row)]
    return kept + [row for row in rows if row.source != "CloudTrail" and not told_better(row)]


def together(rows: Iterable[Row]) -> Iterator[Row]:
    """What the account says again and again (an alarm that swings) stands once, with how often and
    until when: its record holds each.
    """
    alike: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.time):
        alike[row.kind, row.what, row.by].append(row)
    for first, *more in alike.values():
        if len(more) < _OFTEN:
            yield from (first, *more)
        else:
            until = f"{more[-1].time:%Y-%m-%d %H:%M:%S}"
            yield replace(first, what=f"{first.what} ({len(more) + 1} times until {until})")


CORRECTED = " (corrected later)"  # at the end of a milestone that is marked at another time
_EVENTS: Json = beside(__file__, "events")


def _of_events(incident: Incident) -> Iterator[Row]:
    last = incident.milestones
    for event in incident.events:
        if event.what in _EVENTS:
            (kind, words), of = _EVENTS[event.what], event.said
            rings = f", alarm {of['alarm']}" if of.get("alarm") else ""
            now = last.get(of.get("milestone", ""), event)
            late = "" if now is event else CORRECTED
            known = event.known if abs(event.known - event.happened) > _SAME else None
            what, source = words.format(**of, rings=rings, late=late), f"incident {incident.id}"
            record = of.get("record") or ""
            yield Row(event.happened, kind, what, source, event.who, record, known=known)


def _of_record(record: Record, of: Json) -> Iterator[Row]:
    """A run with its verdict, what it applied or took back, and its notes."""
    told: Json = {"by": record.who, "record": record.id}
    verdict = f" — {cut(record.verdict, 200)}" if record.verdict else ""
    what = f"{record.name}: {record.outcome}{verdict}"
    yield Row(record.started, "run", what, "records", **told)
    undoes = (of.get("plan") or {}).get("undoes")
    for step in of.get("steps") or ():
        state = str(step.get("state"))
        kind = "undo" if undoes else "change"
        sure = " (whether it was done is not known)" if state in UNSURE else ""
        sure = sure or ("" if state == "applied" else f" ({state})")
        at = record.ended or record.started
        place = f"step {step.get('number')}"
        yield Row(at, kind, f"{step.get('title')}{sure}", "records", place=place, **told)
    for note in of.get("notes") or ():
        at = datetime.fromisoformat(note["at"])
        who = note.get("who") or record.who
        yield Row(at, "note", f"{note['kind']}: {note['text']}", "records", who, record.id)


def as_csv(rows: Sequence[Row]) -> str:
    """One line a row."""
    return written(COLUMNS, (row.as_dict().values() for row in rows))


def written(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """CSV; what a spreadsheet would take for a formula is text, and a number stays one."""
    out = io.StringIO()
    csv.writer(out).writerows([header, *(map(_no_formula, row) for row in rows)])
    return out.getvalue()


def _no_formula(value: Any) -> str:
    said = str(value)
    return f"'{said}" if said[:1] in "=+-@" and said[1:] and not _NUMBER.fullmatch(said) else said


def as_markdown(rows: Sequence[Row], link: Any = None) -> str:
    """A table. `link` makes the address of a record's page from its id."""
    lines = ["| time (UTC) | what | of | record |", "|---|---|---|---|"]
    for row in rows:
        id = row.record
        at = f"[{id}]({link(id)})" if id and link else id
        what, when = escape(row.told), f"{row.time:%Y-%m-%d %H:%M:%S}"
        lines.append(f"| {when} | {what} | {escape(row.kind)} | {at} |")
    return "\n".join(lines)


def escape(text: object) -> str:
    """Text of strangers in Markdown: no markup, HTML or formula, no new line, no column of a table,
    nothing that is not seen.
    """
    return " ".join(plain(text).split()).translate(_MARKUP)
