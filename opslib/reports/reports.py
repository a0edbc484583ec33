"""The daily report: independent checks run at once, what changed since the last report first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain

from opslib import (
    alarms,
    buckets,
    changes,
    databases,
    deployments,
    functions,
    health,
    jobs,
    logs,
    metrics,
    network,
    queues,
    records,
    search,
    workflows,
)
from opslib.core import (
    SEVERITY,
    UTC_TIME,
    Connection,
    Findings,
    Json,
    Question,
    Refused,
    UsageError,
    check,
    clock,
    count,
    frame,
    window,
)
from opslib.core.checks.checks import keep
from opslib.records import Record
from opslib.reports import certificates, secrets
from opslib.reports.comparisons import since_last
from opslib.reports.undescribed import check_undescribed

DEPLOYED = {"function": "str", "version": "str", "published": UTC_TIME}
RUNS = {
    "started": UTC_TIME,
    "who": "str",
    "name": "str",
    "outcome": "str",
    "verdict": "str",
    "record": "str",
}
_LONG_SECONDS = 900  # a statement of this length is worth a line in a report of a day
_BROKEN_OFF = ("failed", "timed out", "kernel died", "interrupted")

Check = Callable[[Connection], Findings]


def _checks(ops: Connection, hours: float) -> list[tuple[str, Check]]:
    """The checks of each section, for what the target's file describes.

    They are those of the procedures: `tests/reports/test_sections.py` names each that a procedure
    makes and the report does not, with the reason.
    """
    facts, minutes = ops.target.facts, hours * 60
    api, database = facts.get("api", {}), facts.get("database", {})
    # By section, and the part of the file that it needs.
    every: dict[tuple[str, str], list[Check]] = {
        ("health", "api"): _if_in(api, probes=health.check_probes, deep=health.check_dependencies),
        ("metrics", "metrics"): [
            partial(metrics.check_metrics, hours=hours),
            metrics.check_silence,
            metrics.check_limits,
        ],
        ("metrics", "functions"): [metrics.check_silence] if "metrics" not in facts else [],
        ("metrics", "database"): [metrics.check_limits] if "metrics" not in facts else [],
        ("alarms", "alarms"): [
            alarms.check_alarms,
            alarms.check_reach,
            alarms.check_silences,
        ],
        ("queues", "queues"): [queues.check_dead_letters, queues.check_queues],
        ("jobs", "jobs"): [
            partial(look, kind=kind)
            for kind in facts.get("jobs", {})
            for look in (
                jobs.check_stale,
                partial(jobs.check_jobs, minutes=minutes),
                partial(jobs.check_states, minutes=minutes),
            )
        ],
        ("workflows", "workflows"): [partial(workflows.check_executions, minutes=minutes)],
        ("functions", "functions"): [
            functions.check_configuration,
            partial(functions.check_functions, minutes=minutes),
            functions.check_sources,
            partial(functions.check_shares, hours=hours),
            partial(_deployments, hours=hours),
        ],
        ("functions", "prefix"): [check_undescribed],
        ("database", "database"): [
            databases.check_status,
            databases.check_connections,
            databases.check_load,
            partial(databases.check_activity, seconds=_LONG_SECONDS),
            databases.check_statements,
            databases.check_catalogue,
            databases.check_conditions,
            partial(databases.check_events, hours=hours),
            databases.check_password,
            *_if_in(
                database,
                cluster=databases.check_capacity,
                instance=databases.check_storage,
                migrations_head=databases.check_migrations,
            ),
        ],
        ("errors", "functions"): [
            partial(logs.check_errors, minutes=minutes),
            partial(logs.check_needs, minutes=minutes),
        ],
        ("database", "quotas"): [
            partial(databases.check_quotas, quota=quota) for quota in facts.get("quotas", {})
        ],
        ("backups", "database"): [databases.check_backups],
        ("buckets", "buckets"): [
            partial(buckets.check_bucket, bucket=bucket) for bucket in facts.get("buckets", {})
        ],
        ("search", "search"): [
            search.check_domain,
            search.check_cluster,
            search.check_writes,
            search.check_searches,
            search.check_indices,
            search.check_snapshots,
        ],
        ("buckets", "uploads"): [
            partial(look, upload=upload)
            for upload in facts.get("uploads", {})
            for look in (buckets.check_cors, buckets.check_uploads)
        ],
        ("secrets", "secrets"): [secrets.check_ages],
        ("certificates", "certificates"): [certificates.check_expiry],
        ("network", "network"): [network.check_endpoints, network.check_routes],
        ("deployments", "terraform"): _if_in(
            facts.get("terraform", {}), state=deployments.check_states, plan=deployments.check_drift
        ),
    }
    described = [
        (name, look) for (name, part), looks in every.items() if part in facts for look in looks
    ]
    if not described:
        needed = ", ".join(dict.fromkeys(part for _, part in every))
        raise UsageError(
            f"parameters/targets/{ops.target.key}.yaml describes nothing to look at: "
            f"none of {needed}. Add what it has."
        )
    described += [("changes", partial(check_changes, hours=hours))]
    if changes.is_described(ops):
        remembered = partial(changes.check_configuration, next="changes/configuration")
        recent = partial(changes.check_recent, minutes=hours * 60)
        return [("configuration", remembered), *described, ("changes", recent)]
    return described


def _if_in(part: Json, **looks: Check) -> list[Check]:
    """The checks whose fact is in this part of the file."""
    return [look for fact, look in looks.items() if fact in part]


@dataclass
class Daily:
    """A report: its findings by section, and what is different from the last one."""

    parts: Mapping[str, list[Findings]]
    since_last: Findings
    described_in: str

    @property
    def findings(self) -> Findings:
        """Of all sections, in their order."""
        return Findings(chain.from_iterable(chain.from_iterable(self.parts.values())))

    def __getitem__(self, section: str) -> Findings:
        """The findings of a section without the tables they were read from."""
        if section not in self.parts:
            return Findings(note=f"Not described in {self.described_in}, so not looked at.")
        found = self.parts[section]
        notes = " ".join(part.note for part in found if part.note)
        return Findings(chain.from_iterable(found), note=notes)

    def whole(self, section: str) -> Findings:
        """The findings of a section as its check made them, with evidence and plots."""
        return self.parts[section][0] if section in self.parts else self[section]

    @property
    def troubles(self) -> Findings:
        """What is not ok, worst first, under the headline."""
        bad = self.findings.troubles
        bad.note = repr(self)
        return bad

    def __repr__(self) -> str:
        counts = Counter(f.status for f in self.findings)
        said = ", ".join(f"{counts[status]} {status}" for status in reversed(SEVERITY))
        return f"{len(self.findings)} checks: {said}."


def daily(ops: Connection, hours: float = 24) -> Daily:
    """Run every check that the target's file describes something for, all at the same time.

    A call that is denied, or an address that does not answer, gives one unknown finding; the rest
    goes on.
    """
    asked, before = _checks(ops, hours), len(ops.findings)
    asked.sort(key=lambda each: each[0] != "health")  # alone: how fast it answers is measured
    at_once = [partial(_independent, ops, name, look) for name, look in asked]
    alone = sum(name == "health" for name, _ in asked)
    with ops.reading_once():
        results = [*ops.gather(*at_once[:alone]), *ops.gather(*at_once[alone:])]
    found = list(chain.from_iterable(results))
    ops.findings[before:] = found  # in the report's order, not in that of the answers
    parts: dict[str, list[Findings]] = {}
    for (name, _), result in zip(asked, results, strict=True):
        parts.setdefault(name, []).append(result)
    return Daily(parts, since_last(ops, found), f"parameters/targets/{ops.target.key}.yaml")


def _independent(ops: Connection, name: str, look: Check) -> Findings:
    """A check whose own bad input does not end the report."""
    try:
        return look(ops)
    except (UsageError, Refused) as exc:
        asked = Question(name, source=type(exc).__name__)
        return keep(ops, Findings([asked.answer("unknown", str(exc))]))


@check("Was a new version deployed?")
def check_deployments(ops: Connection, hours: float = 24) -> Findings:
    """Functions whose live version was published within the window (Lambda ListVersionsByFunction).

    Evidence: DEPLOYED.
    """
    within = window(ops, hours * 60)
    named = [name for name, facts in ops.target["functions"].items() if "alias" in facts]
    listed = ops.each(partial(functions.list_versions, ops), named, "versions of {}")
    rows = [
        {"function": name, "version": row.version, "published": row.published}
        for name, versions in listed.items()
        for row in versions.itertuples()
        if row.live and row.published >= within.start
    ]
    told = [f"{r['function']} {r['version']} at {clock(r['published'], within.end)}" for r in rows]
    seen = f"{len(rows)} of {len(listed)} functions in {hours:g} h"
    asked = Question(
        "new versions live", "errors do not begin with one", "lambda ListVersionsByFunction"
    )
    finding = asked.answer("ok", ": ".join([seen, *([", ".join(told)] if told else [])]))
    return Findings([finding] if listed or not named else [], frame(rows, DEPLOYED))


def _deployments(ops: Connection, hours: float) -> Findings:
    """New versions, and for each whether errors came with it."""
    found = check_deployments(ops, hours)
    fresh = [] if found.evidence is None else found.evidence["function"]
    judged = ops.each(lambda name: functions.check_versions(ops, name, hours), fresh)
    return Findings(chain(found, *judged.values()))


@check("What was changed here?")
def check_changes(ops: Connection, hours: float = 24) -> Findings:
    """Runs that changed something, from the records. One that broke off in the middle is a warning.

    Evidence: RUNS.
    """
    within = window(ops, hours * 60)
    runs = records.list_records(target=ops.target.name, since=within.start)
    broken = [run for run in runs if run.outcome in _BROKEN_OFF and run.plan and _begun(run)]
    done = [run for run in runs if run.outcome == "changed"]
    found = []
    for run in broken:
        asked = Question(f"change by {run.name}", "finished", f"record {run.id}")
        when = clock(run.started, within.end)
        seen = f"{run.outcome} at {when}: {run.verdict or 'no verdict'}"
        found.append(asked.answer("warn", seen, next="changes/undo"))
    if not broken:
        names = ", ".join(dict.fromkeys(run.name for run in done))
        seen = count(len(done), "change") + (f": {names}" if names else "")
        found = [Question("changes made", "all finished", "records").answer("ok", seen)]
    told = [vars(run) | {"record": run.id, "verdict": run.verdict or ""} for run in broken + done]
    return Findings(found, frame(told, RUNS) if told else None)


def _begun(run: Record) -> bool:
    try:
        return bool(records.details(run).get("steps"))
    except UsageError:
        return True
