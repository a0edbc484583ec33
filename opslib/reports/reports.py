"""The daily report: independent checks run at once, what changed since the last report first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from opslib import alarms, databases, functions, health, jobs, logs, metrics, queues, records
from opslib.core.checks.checks import check, keep
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError
from opslib.core.findings import SEVERITY, Finding, Findings
from opslib.core.tables import UTC_TIME, frame
from opslib.core.text import count
from opslib.core.times import clock, window
from opslib.records import Record
from opslib.reports import certificates, secrets

PROCEDURE = "reports/daily"
CHANGED = {"change": "str", "check": "str", "was": "str", "now": "str"}
DEPLOYED = {"function": "str", "version": "str", "published": UTC_TIME}
RUNS = {
    "started": UTC_TIME,
    "who": "str",
    "name": "str",
    "outcome": "str",
    "verdict": "str",
    "record": "str",
}
_BROKEN_OFF = ("failed", "timed out", "kernel died", "interrupted")


Check = Callable[[], Findings]


def _checks(ops: Connection, hours: float) -> dict[str, list[Check]]:
    """The checks of each section, for what the target's file describes."""
    kinds, api = ops.target.facts.get("jobs", {}), ops.target.facts.get("api", {})
    answers = {"probes": health.check_probes, "deep": health.check_dependencies}
    every: dict[
        str, tuple[str, list[Check]]
    ] = {  # section: the part of the file it needs, its checks
        "health": ("api", [partial(look, ops) for fact, look in answers.items() if fact in api]),
        "metrics": ("metrics", [partial(metrics.check_metrics, ops, hours=hours)]),
        "alarms": ("alarms", [partial(alarms.check_alarms, ops)]),
        "queues": ("queues", [partial(queues.check_dead_letters, ops)]),
        "jobs": ("jobs", [partial(jobs.check_stale, ops, kind) for kind in kinds]),
        "functions": (
            "functions",
            [partial(functions.check_configuration, ops), partial(_deployments, ops, hours)],
        ),
        "database": (
            "database",
            [
                partial(look, ops)
                for look in (
                    databases.check_status,
                    databases.check_connections,
                    databases.check_load,
                )
            ],
        ),
        "errors": ("functions", [partial(logs.check_errors, ops, minutes=hours * 60)]),
        "backups": ("database", [partial(databases.check_backups, ops)]),
        "secrets": ("secrets", [partial(secrets.check_ages, ops)]),
        "certificates": ("certificates", [partial(certificates.check_expiry, ops)]),
    }
    described = {
        name: checks for name, (needs, checks) in every.items() if needs in ops.target.facts
    }
    if not described:
        needed = ", ".join(dict.fromkeys(needs for needs, _ in every.values()))
        raise UsageError(
            f"parameters/targets/{ops.target.key}.yaml describes nothing to look at: none of {needed}. Add what it has."
        )
    return described | {"changes": [partial(check_changes, ops, hours)]}


@dataclass
class Daily:
    """A report: its findings by section, and what is different from the last one."""

    parts: Mapping[str, list[Findings]]
    since_last: Findings
    described_in: str
    findings: Findings = field(init=False)

    def __post_init__(self) -> None:
        self.findings = Findings(chain.from_iterable(chain.from_iterable(self.parts.values())))

    def __getitem__(self, section: str) -> Findings:
        """The findings of a section without the tables they were read from."""
        if section not in self.parts:
            return Findings(note=f"Not described in {self.described_in}, so not looked at.")
        found = self.parts[section]
        return Findings(
            chain.from_iterable(found), note=" ".join(part.note for part in found if part.note)
        )

    def whole(self, section: str) -> Findings:
        """The findings of a section as its check made them, with evidence and plots."""
        return self.parts[section][0] if section in self.parts else self[section]

    @property
    def troubles(self) -> Findings:
        """What is not ok, worst first, under the headline."""
        bad = self.findings.troubles
        bad.note = self.headline
        return bad

    @property
    def headline(self) -> str:
        counts = {status: sum(f.status == status for f in self.findings) for status in SEVERITY}
        said = ", ".join(
            f"{counts[status]} {status}"
            for status in sorted(SEVERITY, key=SEVERITY.__getitem__, reverse=True)
        )
        return f"{len(self.findings)} checks: {said}."

    def __repr__(self) -> str:
        return self.headline


def daily(ops: Connection, hours: float = 24) -> Daily:
    """Run every check that the target's file describes something for, all at the same time.

    A call that is denied, or an address that does not answer, gives one unknown finding; the rest goes on.
    """
    asked = [(name, one) for name, checks in _checks(ops, hours).items() for one in checks]
    before = len(ops.findings)
    results = ops.gather(
        *(lambda name=name, one=one: _independent(ops, name, one) for name, one in asked)
    )
    parts: dict[str, list[Findings]] = {}
    for (name, _), found in zip(asked, results, strict=True):
        parts.setdefault(name, []).append(found)
    ops.findings[before:] = chain.from_iterable(
        results
    )  # in the report's order, not in that of the answers
    return Daily(
        parts,
        _since_last(ops, list(chain.from_iterable(results))),
        f"parameters/targets/{ops.target.key}.yaml",
    )


def _independent(ops: Connection, name: str, one: Check) -> Findings:
    """A check whose own bad input does not end the report."""
    try:
        return one()
    except (UsageError, Refused) as exc:
        return keep(ops, Findings([Finding("unknown", name, str(exc), source=type(exc).__name__)]))


@check("Was a new version deployed?")
def check_deployments(ops: Connection, hours: float = 24) -> Findings:
    """Functions whose live version was published within the window (Lambda ListVersionsByFunction). Evidence: DEPLOYED."""
    within = window(ops, hours * 60)
    named = [name for name, facts in ops.target["functions"].items() if "alias" in facts]
    found = ops.gather(*(lambda name=name: functions.list_versions(ops, name) for name in named))
    rows = [
        {"function": name, "version": row.version, "published": row.published}
        for name, versions in zip(named, found, strict=True)
        for row in versions.itertuples()
        if row.live and row.published >= within.start
    ]
    said = ", ".join(
        f"{row['function']} {row['version']} at {clock(row['published'], within.end)}"
        for row in rows
    )
    seen = f"{len(rows)} of {len(named)} functions in {hours:g} h{f': {said}' if said else ''}"
    finding = Finding(
        "ok",
        "new versions live",
        seen,
        "errors do not begin with one",
        "lambda ListVersionsByFunction",
    )
    return Findings([finding], frame(rows, DEPLOYED))


def _deployments(ops: Connection, hours: float) -> Findings:
    """New versions, and for each whether errors came with it."""
    found = check_deployments(ops, hours)
    fresh = [] if found.evidence is None else list(found.evidence["function"])
    judged = ops.gather(
        *(lambda name=name: functions.check_versions(ops, name, hours) for name in fresh)
    )
    return Findings([*found, *chain.from_iterable(judged)])


def _since_last(ops: Connection, found: list[Finding]) -> Findings:
    """What is different from the last report of this target that was kept. Evidence: CHANGED."""
    last = last_before(ops.target.name, ops.now())
    if last is None:
        return Findings(
            note=f"This is the first report of {ops.target.name} that can be compared: no earlier one is kept."
        )
    record, earlier = last
    rows = list(compare(earlier, found))
    same = sum(f.status != "ok" for f in found) - sum(
        row["change"] in ("new", "worse", "better") for row in rows
    )
    note = f"Since {record.started:%Y-%m-%d %H:%M} UTC (record {record.id}): "
    note += count(len(rows), "difference") if rows else "nothing is different"
    note += f"; {count(same, 'trouble')} as before." if same > 0 else "."
    return Findings(evidence=frame(rows, CHANGED) if rows else None, note=note)


def last_before(target: str, moment: datetime) -> tuple[Record, list[dict[str, Any]]] | None:
    """The last report of a target that was begun before a moment and came to its end, with its findings."""
    for record in records.list_records(target=target):
        if (
            record.procedure == PROCEDURE
            and record.outcome in ("ok", "attention")
            and record.started < moment
        ):
            try:
                return record, list(records.details(record)["findings"])
            except (UsageError, KeyError):  # altered or removed; `opslib records verify` says so
                continue
    return None


def compare(
    earlier: Iterable[Mapping[str, Any]], now: Iterable[Finding]
) -> Iterator[dict[str, str]]:
    """Rows of CHANGED, worst first: new, worse, better and ended troubles."""
    was = {str(f["check"]): f for f in earlier}
    order = {"new": 0, "worse": 1, "better": 2, "ended": 3}
    rows = [row for finding in now if (row := _difference(was.pop(finding.check, None), finding))]
    for check_name, gone in was.items():
        if gone["status"] != "ok":
            before = f"{gone['status']}: {gone['seen']}"
            rows.append(
                {"change": "ended", "check": check_name, "was": before, "now": "no longer reported"}
            )
    return iter(sorted(rows, key=lambda row: order[row["change"]]))


def _difference(was: Mapping[str, Any] | None, now: Finding) -> dict[str, str] | None:
    before = SEVERITY[was["status"]] if was else 0
    after = SEVERITY[now.status]
    if before == after:
        return None
    change = (
        "new" if before == 0 else "ended" if after == 0 else "worse" if after > before else "better"
    )
    said = f"{was['status']}: {was['seen']}" if was else "not reported"
    return {"change": change, "check": now.check, "was": said, "now": f"{now.status}: {now.seen}"}


@check("What was changed here?")
def check_changes(ops: Connection, hours: float = 24) -> Findings:
    """Runs that changed something, from the records. One that broke off in the middle is a warning. Evidence: RUNS."""
    within = window(ops, hours * 60)
    runs = records.list_records(target=ops.target.name, since=within.start)
    broken = [run for run in runs if run.outcome in _BROKEN_OFF and run.plan and _begun(run)]
    done = [run for run in runs if run.outcome == "changed"]
    found = [
        Finding(
            "warn",
            f"change by {run.name}",
            f"{run.outcome} at {clock(run.started, within.end)}: {run.verdict or 'no verdict'}",
            "finished",
            f"record {run.id}",
            next="changes/undo",
        )
        for run in broken
    ]
    if not broken:
        names = ", ".join(dict.fromkeys(run.name for run in done))
        seen = f"{count(len(done), 'change')}{f': {names}' if names else ''}"
        found = [Finding("ok", "changes made", seen, "all finished", "records")]
    told = [*broken, *done]
    return Findings(found, frame(_runs(told), RUNS) if told else None)


def _begun(run: Record) -> bool:
    try:
        return bool(records.details(run).get("steps"))
    except UsageError:
        return True


def _runs(runs: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for run in runs:
        yield {
            "started": run.started,
            "who": run.who,
            "name": run.name,
            "outcome": run.outcome,
            "verdict": run.verdict or "",
            "record": run.id,
        }
