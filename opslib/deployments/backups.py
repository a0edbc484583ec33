"""A backup of Terraform's state, beside it in S3."""

from contextlib import suppress

from opslib.core import (
    Aws,
    Connection,
    Findings,
    NotFound,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    check,
    objects,
    planner,
    result,
)
from opslib.deployments.states import Place, State, find_lock, place, present, read_state


def _backup_of(at: Place, state: State) -> Place:
    """Where a copy of that state belongs.

    Named by its serial and time, so that no two states share one.
    """
    name = f"backup-serial-{state.serial}-{state.written:%Y%m%dT%H%M%SZ}"
    return Place(at.bucket, f"{at.key}.{name}")


_NOTES = [
    "It never overwrites: S3 refuses the copy when something of that name is there.",
    "A state holds secrets in clear text. The copy stays in the same bucket; "
    "delete it when all is well (undo does).",
    "Nothing else is changed by this procedure: git and Terraform are run by you.",
]


@planner
def plan_backup(ops: Connection) -> Planned:
    """Copy the present state to a key named by its serial and time, beside it.

    Raises Refused while a lock is held.
    """
    at = place(ops)
    if who := find_lock(ops):
        raise Refused(
            f"Terraform's lock is held by {who}. Nothing was changed. Wait for it; "
            "when that run is dead for certain: terraform force-unlock with that ID."
        )
    state = present(ops)
    backup, summary = _backup_of(at, state), f"back up state serial {state.serial}"
    with suppress(NotFound):
        ops.call("s3", "head_object", **backup.named)
        return Planned(summary, notes=[f"{backup} is there already; below it is compared."])
    to = backup.named
    source, made = at.named, backup.named
    if state.version_id:
        source["VersionId"], made["VersionId"] = state.version_id, result("copied.VersionId")
    # encrypted as it is: a copy would otherwise take the bucket's default
    as_it_is = objects.properties(ops.call("s3", "head_object", **at.named))
    step = Step(
        f"Copy state serial {state.serial} to {backup}",
        do=Aws("s3", "copy_object", **to, CopySource=source, IfNoneMatch="*", **as_it_is),
        before="absent",
        after=f"{state.size} bytes",
        undo=[Aws("s3", "delete_object", **made)],
        observe=Read("s3", "head_object", "join(' ', [to_string(ContentLength), 'bytes'])", **to),
        name="copied",
    )
    return Planned(summary, [step], _NOTES)


@check("Is the backup there, and the same?")
def check_backup(ops: Connection) -> Findings:
    """The present state against its backup: checksum, serial, lineage."""
    state = present(ops)
    backup = _backup_of(place(ops), state)
    wanted = f"serial {state.serial}, lineage {state.lineage}, SHA-256 {state.sha256[:12]}…"
    asked = Question(f"Backup of state serial {state.serial}", wanted, "s3 GetObject of both")
    try:
        copy = read_state(ops, backup)
    except NotFound:
        return Findings(asked.critical(f"no {backup}", next="deployments/rollback"))
    same = (copy.sha256, copy.serial, copy.lineage) == (state.sha256, state.serial, state.lineage)
    seen = f"{backup}: serial {copy.serial}, lineage {copy.lineage}, SHA-256 {copy.sha256[:12]}…"
    return Findings(asked.judged(same, seen))
