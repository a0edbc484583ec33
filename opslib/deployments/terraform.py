"""Terraform, looked at and never run: what a plan would do, what was changed outside it, and the state with its backup."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib.core.checks.checks import answer, check
from opslib.core.connections.connection import Connection
from opslib.core.errors import UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.reads import objects
from opslib.core.tables import frame
from opslib.core.text import count
from opslib.deployments import plans, states
from opslib.deployments.commands import to_plan, to_push, to_roll_back
from opslib.deployments.findings import SHOWN, judged
from opslib.deployments.plans import Change, TerraformPlan

__all__ = [
    "check_changes",
    "check_drift",
    "check_file",
    "check_reverted",
    "read_plan",
    "to_plan",
    "to_push",
    "to_roll_back",
]

DRIFT = "infrastructure-drift"
DRIFTED = {"address": "str", "attribute": "str", "recorded": "str", "now": "str", "then": "str"}
# What services change by themselves: no hand was at work.
_BY_THEMSELVES = {
    "latest_restorable_time",
    "last_modified",
    "last_updated_date",
    "last_accessed_date",
    "status",
    "updated_at",
    "modified_date",
    "approximate_number_of_messages",
    "estimated_number_of_users",
}


def read_plan(ops: Connection, plan: str = "") -> tuple[TerraformPlan, str, datetime | None]:
    """A plan, where it was found, and when that file was written. `plan`: a local file; empty: the target's newest in S3.

    Raises UsageError (no file, no plan), NotFound, NotAllowed.
    """
    if plan:
        path = _file(plan)
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise UsageError(
                f"{path} cannot be read: {exc.strerror}. Give plan the path of a file on this machine."
            ) from exc
        return (
            plans.parse(content, path.name),
            str(path),
            datetime.fromtimestamp(path.stat().st_mtime, UTC),
        )
    facts = ops.target["terraform"]
    found = objects.read_object(ops, facts["bucket"], facts["plan"])
    where = f"s3://{facts['bucket']}/{facts['plan']}"
    return plans.parse(found["Body"], where), where, found["LastModified"].astimezone(UTC)


def _file(plan: str) -> Path:
    """The path as the operator's shell means it: a kernel runs in the notebook's folder."""
    path = Path(plan).expanduser()
    beside = Path(os.environ.get("PWD", "")) / path
    return beside if not path.exists() and beside.exists() else path.absolute()


@check("Is the plan whole and up to date?")
def check_file(ops: Connection, plan: str = "", hours: float = 24) -> Findings:
    """Was Terraform able to plan everything, is nothing newer than the plan, and is it no older than so many hours?"""
    read, where, written = read_plan(ops, plan)
    made = read.made or written
    said = f"{where}, by Terraform {read.version or '(version not said)'}" + (
        f", made {made:%Y-%m-%d %H:%M} UTC" if made else ""
    )
    newer = answer("Nothing was applied after the plan", lambda: _outdated(ops, made, where))
    return Findings([_whole(read, where), newer, _aged(ops, made, hours, where)], note=f"{said}.")


def _whole(plan: TerraformPlan, where: str) -> Finding:
    question, threshold = "Terraform could plan everything", "no error, nothing put off"
    if plan.errored:
        seen = "it met an error while planning: what is listed below is only a part"
        return Finding("critical", question, seen, threshold, where)
    if plan.failed_checks:
        seen = f"checks that do not hold: {', '.join(plan.failed_checks[:5])}"
        return Finding("warn", question, seen, threshold, where)
    if not plan.complete:
        return Finding(
            "warn",
            question,
            "something is put off to another round: plan again after applying",
            threshold,
            where,
        )
    return Finding("ok", question, "the whole configuration", threshold, where)


def _outdated(ops: Connection, made: datetime | None, where: str) -> Finding:
    question, written = "Nothing was applied after the plan", states.written(ops)
    state = f"the state is of {written:%Y-%m-%d %H:%M} UTC"
    if made is None:
        return Finding(
            "unknown", question, f"the plan does not say when it was made; {state}", "", where
        )
    if made < written:
        seen = f"{state}, newer than the plan: it says nothing of today, and Terraform refuses to apply it. Plan again"
        return Finding(
            "unknown", question, seen, "the plan is newer than the state", "s3 HeadObject"
        )
    return Finding("ok", question, state, "the plan is newer than the state", "s3 HeadObject")


def _aged(ops: Connection, made: datetime | None, hours: float, where: str) -> Finding:
    question, threshold = "The plan is of today", f"at most {hours:g} hours old"
    if made is None:
        return Finding("unknown", question, "it does not say when it was made", threshold, where)
    age = (ops.now() - made).total_seconds() / 3600
    status = "ok" if age <= hours else "warn"
    return Finding(status, question, f"{age:.1f} hours old", threshold, where)


@check("Was something changed outside Terraform?")
def check_drift(ops: Connection, plan: str = "") -> Findings:
    """What differs from what Terraform recorded, attribute by attribute. Evidence: DRIFTED.

    Attributes that services change by themselves (a last-modified time) are no drift.
    """
    read, where, _ = read_plan(ops, plan)
    drifted = [change for change in read.drift if _by_hand(change)]
    rows = [row for change in drifted for row in _drift_rows(read, change)]
    found = [_drifted(read, change, where) for change in drifted[:SHOWN]]
    if len(drifted) > SHOWN:
        seen = f"{len(drifted) - SHOWN} more resources; they are in the table"
        found.append(Finding("warn", "Changed outside Terraform", seen, "nothing", where, DRIFT))
    if not drifted:
        of = (
            f" ({count(len(read.drift), 'resource')} with values that change by themselves)"
            if read.drift
            else ""
        )
        found.append(Finding("ok", "Changed outside Terraform", f"nothing{of}", "nothing", where))
    return Findings(found, frame(rows, DRIFTED), _HELP if drifted else "")


_HELP = (
    "Who changed it, and why? CloudTrail knows. Was it meant: write it into the configuration. If not: the next apply "
    "puts back what the configuration sets. Applying without deciding undoes somebody's repair, or keeps a hole open."
)


def _cause(plan: TerraformPlan) -> str:
    return DRIFT if any(map(_by_hand, plan.drift)) else ""


def _by_hand(change: Change) -> bool:
    if change.kind != "update":
        return True
    return any(
        d.attribute.split(".")[0].split("[")[0] not in _BY_THEMSELVES for d in change.differences()
    )


def _drifted(plan: TerraformPlan, change: Change, where: str) -> Finding:
    seen = (
        "it is gone" if change.kind == "destroy" else _brief([str(d) for d in change.differences()])
    )
    opened = any(d.opens for d in change.differences())
    seen += f"; {'IT LETS EVERY ADDRESS IN; ' if opened else ''}{_then(plan, change)}"
    return Finding(
        "critical" if opened else "warn",
        f"{change.address} changed outside Terraform",
        seen,
        "as recorded",
        where,
        DRIFT,
    )


def _then(plan: TerraformPlan, change: Change) -> str:
    if plan.refresh_only:
        return "a refresh-only plan takes it over into the state"
    return (
        "an apply puts it right"
        if plan.corrects(change)
        else "an apply leaves it so: the configuration does not set it"
    )


def _drift_rows(plan: TerraformPlan, change: Change) -> Iterator[dict[str, Any]]:
    then = _then(plan, change)
    if change.kind == "destroy":
        yield {
            "address": change.address,
            "attribute": "",
            "recorded": "there",
            "now": "gone",
            "then": then,
        }
        return
    for d in change.differences():
        yield {
            "address": change.address,
            "attribute": d.attribute,
            "recorded": d.before,
            "now": d.after,
            "then": then,
        }


@check("What would it do?")
def check_changes(ops: Connection, plan: str = "") -> Findings:
    """What an apply of the plan would create, change, replace and destroy. Evidence: CHANGES, the worst first."""
    read, where, _ = read_plan(ops, plan)
    return judged(read, where, _cause(read))


@check("What would the reverted configuration do?")
def check_reverted(ops: Connection, plan: str) -> Findings:
    """A plan made after a commit was taken back: is it whole and of now, and what would it do? Evidence: CHANGES."""
    if not plan:
        return Findings(
            note="No plan of the reverted configuration yet: make it as shown, and give its path as reverted = …"
        )
    read, where, written = read_plan(ops, plan)
    newer = answer(
        "Nothing was applied after the plan", lambda: _outdated(ops, read.made or written, where)
    )
    would = judged(read, where, _cause(read))
    return Findings([_whole(read, where), newer, *would], would.evidence, would.note)


def _brief(parts: Sequence[str]) -> str:
    return "; ".join(parts[:3]) + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")
