"""What a plan of Terraform's would do, as findings: what is lost is said first, and loudest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from opslib.core.findings import Finding, Findings
from opslib.core.tables import frame
from opslib.core.text import count
from opslib.deployments.plans import Change, TerraformPlan
from opslib.deployments.values import LATER

CHANGES = {
    "action": "str",
    "address": "str",
    "attribute": "str",
    "before": "str",
    "after": "str",
    "why": "str",
}
SHOWN = 10  # resources that get a finding of their own
_STATEFUL = (
    "db_instance",
    "rds_cluster",
    "rds_global_cluster",
    "docdb_cluster",
    "neptune_cluster",
    "redshift_cluster",
    "dynamodb_table",
    "s3_bucket",
    "s3_object",
    "efs_file_system",
    "ebs_volume",
    "fsx_",
    "elasticache_cluster",
    "elasticache_replication_group",
    "opensearch_domain",
    "elasticsearch_domain",
    "kms_key",
    "secretsmanager_secret",
    "cognito_user_pool",
    "cloudwatch_log_group",
    "sqs_queue",
    "kinesis_stream",
    "msk_cluster",
    "ecr_repository",
    "backup_vault",
    "route53_zone",
    "sql_database",
    "storage_bucket",
    "storage_account",
    "bigquery_",
    "managed_disk",
)
_STATEFUL_NOT = (
    "_policy",
    "_policy_attachment",
    "_rotation",
    "_acl",
    "_versioning",
    "_public_access_block",
    "_notification",
)


def judged(read: TerraformPlan, where: str, cause: str) -> Findings:
    """What an apply would do. `cause` is named by what is destroyed. Evidence: CHANGES, the worst first."""
    lost = sorted(
        (c for c in read.changes if c.destroys), key=lambda c: (not stateful(c), c.address)
    )
    keeps = [c for c in lost if stateful(c)]
    found = [_destroyed(change, cause, where) for change in keeps[:SHOWN]]
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
    anew = ", and made anew EMPTY" if change.kind == "replace" else ""
    why = [change.reason] if change.reason else []
    if change.forces:
        why.append(f"because of {', '.join(sorted(change.forces))}")
    said = [f"DESTROYED with all that it holds{anew}" + (f" ({', '.join(why)})" if why else "")]
    if change.before("skip_final_snapshot"):
        said.append("skip_final_snapshot is set: no snapshot is left")
    if change.before("force_destroy"):
        said.append("force_destroy is set: what is in it goes too")
    if change.before("deletion_protection"):
        said.append("deletion protection is on: AWS refuses, and the apply stops half-way")
    name = next(
        (str(change.before(key)) for key in _NAMES if isinstance(change.before(key), str)), ""
    )
    question = f"{change.address} {name}".rstrip()
    return Finding(
        "critical", question, "; ".join(said), "it stays", where, cause, "databases/snapshot"
    )


_NAMES = ("identifier", "cluster_identifier", "bucket", "function_name", "name", "id")


def _named(changes: Sequence[Change]) -> str:
    by_kind = [
        f"{c.address} ({c.kind}{': ' + c.reason if c.reason else ''})" for c in changes[:SHOWN]
    ]
    return (
        f"{count(len(changes), 'resource')}: "
        + ", ".join(by_kind)
        + (", …" if len(changes) > SHOWN else "")
    )


def _summary(plan: TerraformPlan) -> str:
    words = (
        ("create", "to create"),
        ("update", "to change in place"),
        ("replace", "to replace"),
        ("destroy", "to destroy"),
        ("import", "to import"),
        ("move", "moved"),
        ("forget", "to forget"),
    )
    said = [f"{number} {text}" for kind, text in words if (number := len(plan.of_kind(kind)))]
    return ", ".join(said) or (
        "outputs only" if plan.outputs else "nothing: the infrastructure is as configured"
    )


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
        forced = any(
            d.attribute == path or d.attribute.startswith((f"{path}.", f"{path}["))
            for path in forces
        )
        if change.kind == "update" or forced or d.after != LATER:  # a new one has everything anew
            why = "forces the replacement" if forced else change.reason
            yield row | {"attribute": d.attribute, "before": d.before, "after": d.after, "why": why}
