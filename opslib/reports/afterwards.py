"""After an incident: what happened outside of our records, read from the account and kept."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from opslib import alarms, changes
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Line,
    Plotted,
    Question,
    UsageError,
    Window,
    check,
    clock,
    count,
    dtypes,
    frame,
    metrics,
    number,
)
from opslib.core.findings import MIME
from opslib.core.times import as_iso
from opslib.incidents import clocks, incidents, looks
from opslib.incidents.incidents import Incident

HAPPENED = dtypes("""
    time   utc
    kind   str
    what   str
    source str
    by     str
""")
IMPACT = {"metric": "str", "beyond": "bool"}
_ALARMS = "CloudWatch DescribeAlarmHistory"
_BEFORE, _AFTER = timedelta(hours=1), timedelta(minutes=30)
_POINTS = 300  # at most of a series, so that a long incident is no large record


class Happened(Findings):
    """Findings whose evidence is kept in the record as rows, too: a timeline is made of them."""

    def _repr_mimebundle_(self, **given: Any) -> Json:
        bundle = super()._repr_mimebundle_(**given)
        bundle[MIME][looks.KEPT] = [as_iso(row) for row in _rows(self)]
        return bundle


class Measured(Plotted):
    """Findings with the panels of the key metrics, whose series are kept in the record, too."""

    def _repr_mimebundle_(self, **given: Any) -> Json:
        bundle = super()._repr_mimebundle_(**given)
        around = {"around": [at.isoformat() for at in (self.within.start, self.within.end)]}
        bundle[MIME][looks.MEASURED] = [
            vars(panel) | {"lines": [_kept(line) for line in panel.lines]} | row | around
            for panel, row in zip(self.panels, _rows(self), strict=True)
        ]
        return bundle


def _kept(line: Line) -> Json:
    points = [[at.isoformat(), value] for at, value in line.values.items()]
    return {"label": line.label, "points": points}


def find_incident(ops: Connection, incident: str = "") -> Incident | None:
    """The incident of that id; without one the open one of this target, else its newest; None where
    there was none. Raises UsageError: no such one, or another target's.
    """
    if not incident and not incidents.every(ops.target.name):
        return None
    found = incidents.find(incident, "" if incident else ops.target.name)
    if found.target != ops.target.name:
        raise UsageError(f"Incident {found.id} is of {found.target}, not of {ops.target.name}.")
    return found


def _none(ops: Connection) -> Findings:
    return Findings(note=f"No incident of {ops.target.name} is known: there is nothing to read.")


@check("How was it responded to?")
def check_response(ops: Connection, incident: Incident | None) -> Findings:
    """The times to detect, acknowledge and mitigate; *unknown* where nobody marked them."""
    if incident is None:
        return _none(ops)
    found = []
    for words, start, end in clocks.TIMES:
        asked = Question(words, f"{start} and {end} are marked", f"incident {incident.id}")
        long = clocks.between(incident, start, end)
        found.append(asked.answer("unknown" if long.startswith("unknown") else "ok", long))
    return Findings(found, note="; ".join(clocks.told(incident, ops.now())))


def check_happened(ops: Connection, incident: Incident | None) -> Findings:
    """Changes of state of the target's alarms, versions and deployments (also those that were taken
    back since), other people's changes: from two hours before it began to its end.
    Evidence: HAPPENED.

    *unknown* for a source that could not be read.
    """
    if incident is None:
        return _none(ops)
    span = incident.span
    recent = changes.check_recent(ops, since=span.start.isoformat(), until=span.end.isoformat())
    rang = _check_history(ops, span)
    rows = [
        {**row, "what": " ".join(filter(None, [row["what"], row["resource"]]))}
        for row in _rows(recent)
        if row["source"] != "records"  # which say more of it themselves
    ]
    rows += _rows(rang)
    rows.sort(key=lambda row: row["time"])
    return Happened([*recent, *rang], frame(rows, HAPPENED))


def _rows(found: Findings) -> list[Json]:
    return [] if found.evidence is None else list(found.evidence.to_dict("records"))


@check("Which alarms rang, and for how long?")
def _check_history(ops: Connection, span: Window) -> Findings:
    if not ops.target.at("alarms", "patterns"):
        return Findings(note="No alarms are described.")
    states = alarms.list_states(ops, Window(span.start - _BEFORE, span.end))
    names = sorted({name for _, name, said in states if said.endswith("to ALARM")})
    asked = Question("alarms that rang", "at least one tells of it", _ALARMS)
    seen = ", ".join(names) or f"no alarm rang, {span}"
    found = [asked.answer("ok" if names else "warn", seen, next="" if names else "alarms/review")]
    rows = [
        {"time": when, "kind": "alarm", "what": f"{name}: {said}", "source": _ALARMS, "by": ""}
        for when, name, said in states
    ]
    return Findings([*found, *_in_alarm(ops, states, span)], frame(rows, HAPPENED))


def _in_alarm(
    ops: Connection, states: list[tuple[datetime, str, str]], span: Window
) -> Iterator[Finding]:
    """For how long each alarm was on within the incident, by its changes of state."""
    listed = alarms.list_alarms(ops)
    now = {row.alarm: row for row in listed.itertuples()}
    for name in sorted({name for _, name, _ in states} | set(now)):
        mine = [(when, said) for when, of, said in states if of == name]
        if mine:
            begun = mine[0][1].startswith("ALARM")
        else:
            begun = now[name].state == "ALARM" and now[name].since <= span.end
        total, on = timedelta(), span.start if begun else None
        for when, said in [*mine, (span.end, "ALARM")]:  # what still rings is counted until then
            if on and said.startswith("ALARM"):
                total, on = total + max(timedelta(), when - max(on, span.start)), None
            if said.endswith("to ALARM"):
                on = when
        if total:
            minutes = round(total / timedelta(minutes=1)) or "less than 1"
            asked = Question(f"minutes in ALARM: {name}", "counted", _ALARMS)
            yield asked.ok(f"{minutes} of {span.minutes:.0f} min")


@check("What did it cost?")
def check_impact(ops: Connection, incident: Incident | None) -> Findings:
    """Each key metric within the incident: the worst, since when and for how long it was beyond its
    threshold, and the amounts that a share is of (GetMetricData). *unknown* without data. Panels of
    each, from an hour before it began to half an hour after it. Evidence: IMPACT.
    """
    if incident is None or not ops.target.at("metrics"):
        return _none(ops) if incident is None else Findings(note="No key metrics are described.")
    span = incident.span
    around = Window(span.start - _BEFORE, min(ops.now(), span.end + _AFTER))
    asked = metrics.described(ops)
    period = max(1, -(-around.minutes // (5 * _POINTS))) * metrics.PERIOD
    answers = metrics.answered(ops, asked, around, int(period))
    inside = answers[(answers["time"] >= span.start) & (answers["time"] <= span.end)]
    told = [_impact(m, metrics.points(m, inside, span), span, inside) for m in asked]
    drawn = [metrics.panel(m, metrics.points(m, answers, around)) for m in asked]
    rows = [
        {"metric": m.key, "beyond": f.status == "warn"} for m, f in zip(asked, told, strict=True)
    ]
    return Measured(told, frame(rows, IMPACT), f"{span}.", drawn, around)


def _impact(metric: Any, values: Frame, span: Window, found: Any) -> Finding:
    rule = metrics.thresholds(metric) or "no threshold"
    told = Question(f"impact: {metric.title}", rule, "CloudWatch GetMetricData")
    points = values.dropna(subset="value").to_dict("records")
    if not points:
        return told.unknown(f"no data, {span}")
    worst = (min if metric.below else max)(points, key=lambda p: p["value"])
    beyond = [p for p in points if metric.status(p["value"]) != "ok"]
    seen = f"worst {number(worst['value'], metric.unit)} at {clock(worst['time'], span.end)}"
    if metric.share:
        sums = {
            name: found.loc[found["label"] == each.key, "value"].sum()
            for name, each in metric.amounts.items()
        }
        seen += f"; in all {', '.join(f'{name} {number(float(v))}' for name, v in sums.items())}"
    if not beyond:
        return told.ok(f"{seen}; within its threshold")
    since = f"beyond its threshold from {clock(beyond[0]['time'], span.end)}"
    seen += f"; {since} to {clock(beyond[-1]['time'], span.end)}, {count(len(beyond), 'value')}"
    return told.warn(seen)
