"""What was deployed and changed: new versions with what came of them, and our own runs."""

from functools import partial
from itertools import chain

from opslib import (
    functions,
    records,
)
from opslib.core import (
    UTC_TIME,
    Connection,
    Findings,
    Question,
    UsageError,
    check,
    clock,
    count,
    dtypes,
    frame,
    window,
)
from opslib.records import Record

DEPLOYED = {"function": "str", "version": "str", "published": UTC_TIME}
RUNS = dtypes("""
    started utc
    who     str
    name    str
    outcome str
    verdict str
    record  str
""")


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
    seen = f"{len(rows)} of {len(listed)} functions in {hours:g} h" + ": " * bool(told)
    asked = Question(
        "new versions live", "errors do not begin with one", "lambda ListVersionsByFunction"
    )
    found = [asked.ok(seen + ", ".join(told))] if listed or not named else []
    return Findings(found, frame(rows, DEPLOYED))


def judged_deployments(ops: Connection, hours: float) -> Findings:
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
    broken = [run for run in runs if run.outcome in records.BROKEN and run.plan and _begun(run)]
    done = [run for run in runs if run.outcome == "changed"]
    found = []
    for run in broken:
        asked = Question(f"change by {run.name}", "finished", f"record {run.id}")
        when = clock(run.started, within.end)
        seen = f"{run.outcome} at {when}: {run.verdict or 'no verdict'}"
        found.append(asked.warn(seen, next="changes/undo"))
    if not broken:
        names = ", ".join(dict.fromkeys(run.name for run in done))
        seen = count(len(done), "change") + (f": {names}" if names else "")
        found = [Question("changes made", "all finished", "records").ok(seen)]
    told = [vars(run) | {"record": run.id, "verdict": run.verdict or ""} for run in broken + done]
    return Findings(found, frame(told, RUNS) if told else None)


def _begun(run: Record) -> bool:
    try:
        return bool(records.details(run).get("steps"))
    except UsageError:
        return True
