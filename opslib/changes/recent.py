"""What was changed shortly before a trouble began: candidates for its cause."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from opslib import functions
from opslib.changes import memory
from opslib.changes.resources import named
from opslib.changes.rules import accepted
from opslib.changes.trail import trails
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    OpsError,
    Question,
    Window,
    check,
    clock,
    count,
    cut,
    dtypes,
    frame,
    window,
)

RECENT = dtypes("""
    time     utc
    kind     str
    what     str
    resource str
    by       str
    source   str
""")
_BEFORE = timedelta(hours=2)
_SHOWN = 5
_DEPLOYED = "deployment"


@check("What was changed shortly before?")
def check_recent(
    ops: Connection, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """What was changed in the two hours before the trouble began, and since; deployments first.

    It began with the first finding of this run that knows since when it is so (an alarm, errors);
    where none does, with the window. From CloudTrail's writing events that name a resource of the
    target, deployments of services, versions of functions, Terraform's states, differences that
    reports found, and runs of ours. A change is a candidate, not a cause: ok, or unknown where one
    of these could not be looked at. Evidence: RECENT. Raises UsageError.
    """
    asked = window(ops, minutes, since, until)
    first = _first(ops, asked)
    onset = datetime.fromisoformat(first.began) if first else asked.start
    within = Window(onset - _BEFORE, asked.end)
    known = memory.last(ops) or memory.Memory()
    rows = [*_known(ops, within, known)]
    acts, trouble = trails.events(ops, within.start, within.end)
    unseen = [f"CloudTrail: {trouble}"] * bool(trouble)
    names = sorted(named(ops) | {name for _, name in known.now}, key=len, reverse=True)
    for act in acts:
        if about := next((name for name in names if act.names(name)), ""):
            kind = _DEPLOYED if act.deploys else "change"
            rows.append(_row(act.time, kind, act.what, about, act.by, "CloudTrail"))
    for read in (_versions, _services, _states):
        try:
            rows += (row for row in read(ops) if within.start <= row["time"] <= within.end)
        except OpsError as exc:
            unseen.append(f"deployments: {exc}")
    late = bool(first)  # what came after the beginning is no candidate
    rows.sort(key=lambda row: row["time"], reverse=True)
    rows.sort(key=lambda row: (late and row["time"] > onset, row["kind"] != _DEPLOYED))
    before = [row for row in rows if not late or row["time"] <= onset]
    told = [_told(row, within.end) for row in before[:_SHOWN]]
    seen = (
        f"it began {clock(onset, within.end)} ({cut(first.check, 60)}). Before: " if first else ""
    )
    seen += count(len(before), "change") + (f": {'; '.join(told)}" if told else " known")
    seen += f"; since then {len(rows) - len(before)}" if late else ""
    seen += f". Not seen: {'; '.join(unseen)}" * bool(unseen)
    question = Question(
        "changed shortly before",
        f"candidates since {clock(within.start, within.end)}",
        "CloudTrail",
    )
    taken = accepted(ops, ("read", "cloudtrail:LookupEvents", ""))
    dark = unseen and not (acts or taken)
    status = "unknown" if dark else "ok"
    found = question.answer(status, seen, next="changes/configuration" if rows else "")
    return Findings(found, frame(rows, RECENT) if rows else None)


def _first(ops: Connection, asked: Window) -> Finding | None:
    """What began first of this run's troubles, as far as they know; not what is much older."""
    start, end = (asked.start - _BEFORE).isoformat(), asked.end.isoformat()
    inside = (each for each in ops.findings.troubles if start <= each.began <= end)
    return min(inside, key=lambda each: each.began, default=None)


def _told(row: Json, near: datetime) -> str:
    by = f" by {row['by']}" if row["by"] else ""
    return f"{clock(row['time'], near)} {row['what']} {row['resource']}{by}"


def _row(*values: Any) -> Json:
    return dict(zip(RECENT, values, strict=True))


def _known(ops: Connection, within: Window, known: memory.Memory) -> Iterator[Json]:
    """By our own records: what runs applied, and what reports found different."""
    for act in trails.own(ops.target.name, within.start):
        if act.time <= within.end:
            yield _row(act.time, "change", act.what, "", act.by, "records")
    for (kind, name, path), (_, _, before, by, _) in known.since.items():
        found = datetime.fromisoformat(before)
        if within.start <= found <= within.end:
            of = f"{path or 'all of it'} found different", f"{kind} {name}"
            yield _row(found, "change", *of, by, "report")


def _versions(ops: Connection) -> Iterator[Json]:
    """Versions of functions, live or not: what led to it is mostly taken back soon."""
    facts = ops.target.at("functions")
    live = [name for name, about in facts.items() if "alias" in about]
    for name, versions in ops.each(partial(functions.list_versions, ops), live).items():
        for row in versions.itertuples():
            what = (
                f"version {row.version} ({row.description}) {'live' if row.live else 'published'}"
            )
            yield _row(row.published, _DEPLOYED, what, facts[name]["name"], "", "versions")


def _services(ops: Connection) -> Iterator[Json]:
    """The newest deployments of services (ECS ListServiceDeployments)."""
    for facts in ops.target.at("services").values():
        where = {"cluster": facts["cluster"], "service": facts["name"]}
        path = "serviceDeployments[].[createdAt, status]"
        for when, status in ops.pages("ecs", "list_service_deployments", path, 20, **where):
            what = f"deployment {status}"
            yield _row(when, _DEPLOYED, what, facts["name"], "", "ECS")


def _states(ops: Connection) -> Iterator[Json]:
    """When Terraform's state was written: the end of an apply (S3 ListObjectVersions)."""
    if facts := ops.target.facts.get("terraform"):
        where = {"Bucket": facts["bucket"], "Prefix": facts["state"]}
        path = "Versions[].LastModified"
        for when in ops.pages("s3", "list_object_versions", path, 20, **where):
            yield _row(when, _DEPLOYED, "Terraform's state written", facts["state"], "", "S3")
