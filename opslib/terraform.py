"""Terraform, looked at and never run: what a plan would do, what was changed outside it, and the state with its backup."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import _terraform_plans, terraform_states
from opslib._frames import frame
from opslib._terraform_commands import to_plan, to_push, to_roll_back
from opslib._terraform_plans import Change, TerraformPlan
from opslib._terraform_values import LATER
from opslib._wording import count
from opslib.errors import UsageError
from opslib.findings import Finding, Findings, answer, check

if TYPE_CHECKING:
    from opslib.connections import Connection

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
CHANGES = {"action": "str", "address": "str", "attribute": "str", "before": "str", "after": "str", "why": "str"}
_SHOWN = 10  # resources that get a finding of their own
_STATEFUL = (
    "db_instance", "rds_cluster", "rds_global_cluster", "docdb_cluster", "neptune_cluster", "redshift_cluster",
    "dynamodb_table", "s3_bucket", "s3_object", "efs_file_system", "ebs_volume", "fsx_", "elasticache_cluster",
    "elasticache_replication_group", "opensearch_domain", "elasticsearch_domain", "kms_key", "secretsmanager_secret",
    "cognito_user_pool", "cloudwatch_log_group", "sqs_queue", "kinesis_stream", "msk_cluster", "ecr_repository",
    "backup_vault", "route53_zone", "sql_database", "storage_bucket", "storage_account", "bigquery_", "managed_disk",
)  # fmt: skip
_STATEFUL_NOT = (
    "_policy",
    "_policy_attachment",
    "_rotation",
    "_acl",
    "_versioning",
    "_public_access_block",
    "_notification",
)
# What services change by themselves: no hand was at work.
_BY_THEMSELVES = {
    "latest_restorable_time", "last_modified", "last_updated_date", "last_accessed_date", "status", "updated_at",
    "modified_date", "approximate_number_of_messages", "estimated_number_of_users",
}  # fmt: skip


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
        return _terraform_plans.parse(content, path.name), str(path), datetime.fromtimestamp(path.stat().st_mtime, UTC)
    facts = ops.target["terraform"]
    found = ops.call("s3", "get_object", Bucket=facts["bucket"], Key=facts["plan"])
    where = f"s3://{facts['bucket']}/{facts['plan']}"
    return _terraform_plans.parse(found["Body"].read(), where), where, found["LastModified"].astimezone(UTC)


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
            "warn", question, "something is put off to another round: plan again after applying", threshold, where
        )
    return Finding("ok", question, "the whole configuration", threshold, where)


def _outdated(ops: Connection, made: datetime | None, where: str) -> Finding:
    question, written = "Nothing was applied after the plan", terraform_states.written(ops)
    state = f"the state is of {written:%Y-%m-%d %H:%M} UTC"
    if made is None:
        return Finding("unknown", question, f"the plan does not say when it was made; {state}", "", where)
    if made < written:
        seen = f"{state}, newer than the plan: it says nothing of today, and Terraform refuses to apply it. Plan again"
        return Finding("unknown", question, seen, "the plan is newer than the state", "s3 HeadObject")
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
    found = [_drifted(read, change, where) for change in drifted[:_SHOWN]]
    if len(drifted) > _SHOWN:
        seen = f"{len(drifted) - _SHOWN} more resources; they are in the table"
        found.append(Finding("warn", "Changed outside Terraform", seen, "nothing", where, DRIFT))
    if not drifted:
        of = f" ({count(len(read.drift), 'resource')} with values that change by themselves)" if read.drift else ""
        found.append(Finding("ok", "Changed outside Terraform", f"nothing{of}", "nothing", where))
    return Findings(found, frame(rows, DRIFTED), _HELP if drifted else "")


_HELP = (
    "Who changed it, and why? CloudTrail knows. Was it meant: write it into the configuration. If not: the next apply "
    "puts back what the configuration sets. Applying without deciding undoes somebody's repair, or keeps a hole open."
)


def _by_hand(change: Change) -> bool:
    if change.kind != "update":
        return True
    return any(d.attribute.split(".")[0].split("[")[0] not in _BY_THEMSELVES for d in change.differences())


def _drifted(plan: TerraformPlan, change: Change, where: str) -> Finding:
    seen = "it is gone" if change.kind == "destroy" else _brief([str(d) for d in change.differences()])
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
        yield {"address": change.address, "attribute": "", "recorded": "there", "now": "gone", "then": then}
        return
    for d in change.differences():
        yield {"address": change.address, "attribute": d.attribute, "recorded": d.before, "now": d.after, "then": then}


@check("What would it do?")
def check_changes(ops: Connection, plan: str = "") -> Findings:
    """What an apply of the plan would create, change, replace and destroy. Evidence: CHANGES, the worst first."""
    read, where, _ = read_plan(ops, plan)
    return _judged(read, where)


@check("What would the reverted configuration do?")
def check_reverted(ops: Connection, plan: str) -> Findings:
    """A plan made after a commit was taken back: is it whole and of now, and what would it do? Evidence: CHANGES."""
    if not plan:
        return Findings(
            note="No plan of the reverted configuration yet: make it as shown, and give its path as `reverted`."
        )
    read, where, written = read_plan(ops, plan)
    newer = answer("Nothing was applied after the plan", lambda: _outdated(ops, read.made or written, where))
    judged = _judged(read, where)
    return Findings([_whole(read, where), newer, *judged], judged.evidence, judged.note)


def _judged(read: TerraformPlan, where: str) -> Findings:
    cause = DRIFT if any(map(_by_hand, read.drift)) else ""
    lost = sorted((c for c in read.changes if c.destroys), key=lambda c: (not stateful(c), c.address))
    keeps = [c for c in lost if stateful(c)]
    found = [_destroyed(change, cause, where) for change in keeps[:_SHOWN]]
    rest = lost[len(found) :]
    if rest:
        found.append(Finding("critical", "Destroyed", _named(rest), "nothing", where, cause))
    if forgotten := read.of_kind("forget"):
        question = "Forgotten: it goes on, and Terraform no longer knows of it"
        found.append(Finding("warn", question, _named(forgotten), "nothing", where))
    if not lost:
        found.append(Finding("ok", "Destroyed or replaced", "nothing", "nothing", where))
    found.append(Finding("ok", "To do", _summary(read), "", where))
    return Findings(found, frame(_rows(read), CHANGES), _outputs(read))


def stateful(change: Change) -> bool:
    """Does it hold something that does not come back when the resource is made anew?"""
    plain = change.type.partition("_")[2]
    return any(plain.startswith(kind) for kind in _STATEFUL) and not plain.endswith(_STATEFUL_NOT)


def _destroyed(change: Change, cause: str, where: str) -> Finding:
    done = "REPLACED: destroyed, and made anew EMPTY" if change.kind == "replace" else "DESTROYED"
    why = [change.reason] if change.reason else []
    if change.forces:
        why.append(f"because of {', '.join(sorted(change.forces))}")
    said = [f"{done}, with all that it holds" + (f" ({', '.join(why)})" if why else "")]
    if change.before("skip_final_snapshot"):
        said.append("skip_final_snapshot is set: no snapshot is left")
    if change.before("force_destroy"):
        said.append("force_destroy is set: what is in it goes too")
    if change.before("deletion_protection"):
        said.append("deletion protection is on: AWS refuses, and the apply stops half-way")
    return Finding("critical", change.address, "; ".join(said), "it stays", where, cause, "databases/snapshot")


def _named(changes: Sequence[Change]) -> str:
    by_kind = [f"{c.address} ({c.kind}{': ' + c.reason if c.reason else ''})" for c in changes[:_SHOWN]]
    return f"{count(len(changes), 'resource')}: " + ", ".join(by_kind) + (", …" if len(changes) > _SHOWN else "")


def _summary(plan: TerraformPlan) -> str:
    words = (
        ("create", "to create"), ("update", "to change in place"), ("replace", "to replace"), ("destroy", "to destroy"),
        ("import", "to import"), ("move", "moved"), ("forget", "to forget"),
    )  # fmt: skip
    said = [f"{number} {text}" for kind, text in words if (number := len(plan.of_kind(kind)))]
    return ", ".join(said) or ("outputs only" if plan.outputs else "nothing: the infrastructure is as configured")


def _outputs(plan: TerraformPlan) -> str:
    said = ", ".join(f"{name} ({kind})" for name, kind in sorted(plan.outputs.items()))
    return f"Outputs that change, values not shown: {said}." if said else ""


_WORST_FIRST = ("destroy", "replace", "forget", "update", "create", "import", "move")


def _rows(plan: TerraformPlan) -> Iterable[dict[str, Any]]:
    for kind in _WORST_FIRST:
        for change in sorted(plan.of_kind(kind), key=lambda c: c.address):
            yield from _change_rows(change)


def _change_rows(change: Change) -> Iterator[dict[str, Any]]:
    row = {
        "action": change.kind,
        "address": change.address,
        "attribute": "",
        "before": "",
        "after": "",
        "why": change.reason,
    }
    if change.kind not in ("update", "replace"):
        moved = (
            f"was {change.moved_from}"
            if change.moved_from
            else "a leftover of an earlier replacement"
            if change.deposed
            else ""
        )
        yield row | ({"why": moved} if moved else {})
        return
    forces = change.forces
    for d in change.differences():
        forced = any(d.attribute == path or d.attribute.startswith((f"{path}.", f"{path}[")) for path in forces)
        if change.kind == "update" or forced or d.after != LATER:  # a new one has everything anew
            why = "forces the replacement" if forced else change.reason
            yield row | {"attribute": d.attribute, "before": d.before, "after": d.after, "why": why}


def _brief(parts: Sequence[str]) -> str:
    return "; ".join(parts[:3]) + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")
