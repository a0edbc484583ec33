"""Terraform, looked at and never run.

What a plan would do, what was changed outside it, and the commands to run.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Question,
    UsageError,
    answer,
    check,
    count,
    frame,
)
from opslib.core.reads import objects
from opslib.core.text import Text
from opslib.deployments import plans, states
from opslib.deployments.findings import (
    CHANGES,
    DRIFT,
    SHOWN,
    by_hand,
    change_rows,
    judged,
    lets_all_in,
)
from opslib.deployments.plans import Change, TerraformPlan


def read_plan(ops: Connection, plan: str = "") -> TerraformPlan:
    """A plan. `plan`: a local file; empty: the target's newest in S3.

    Raises UsageError (no file, no plan), NotFound, NotAllowed.
    """
    if plan:
        path = _file(plan)
        try:
            content, written = path.read_bytes(), path.stat().st_mtime
        except OSError as exc:
            raise UsageError(
                f"{path} cannot be read: {exc.strerror}. "
                "Give plan the path of a file on this machine."
            ) from exc
        return plans.parse(content, str(path), datetime.fromtimestamp(written, UTC))
    at = states.place(ops, "plan")
    found = objects.read_object(ops, at.bucket, at.key)
    return plans.parse(found["Body"], str(at), found["LastModified"])


def _file(plan: str) -> Path:
    """The path as the operator's shell means it: a kernel runs in the notebook's folder."""
    path = Path(plan).expanduser()
    beside = Path(os.environ.get("PWD", "")) / path
    return beside if not path.exists() and beside.exists() else path.absolute()


@check("Is the plan whole and up to date?")
def check_file(ops: Connection, plan: str = "", hours: float = 24) -> Findings:
    """Could Terraform plan everything, is nothing newer, and is it no older than so many hours?"""
    read = read_plan(ops, plan)
    age = (ops.now() - read.made).total_seconds() / 3600
    aged = Question("The plan is of today", f"at most {hours:g} hours old", read.where)
    today = aged.judged(age <= hours, f"{age:.1f} hours old", otherwise="warn")
    note = f"{read.where}, by Terraform {read.version}, made {read.made:%Y-%m-%d %H:%M} UTC."
    return Findings([_whole(read), _newest(ops, read), today], note=note)


def _whole(plan: TerraformPlan) -> Finding:
    asked = Question("Terraform could plan everything", "no error, nothing put off", plan.where)
    if plan.errored:
        seen = "it met an error while planning: what is listed below is only a part"
        return asked.answer("critical", seen)
    if plan.failed_checks:
        failed = ", ".join(plan.failed_checks[:5])
        return asked.answer("warn", f"checks that do not hold: {failed}")
    if not plan.complete:
        seen = "something is put off to another round: plan again after applying"
        return asked.answer("warn", seen)
    return asked.answer("ok", "the whole configuration")


_NEWEST = Question(
    "Nothing was applied after the plan", "the plan is newer than the state", "s3 HeadObject"
)


def _newest(ops: Connection, plan: TerraformPlan) -> Finding:
    def look() -> Finding:
        written = states.written(ops)
        seen = f"the state is of {written:%Y-%m-%d %H:%M} UTC"
        if plan.made >= written:
            return _NEWEST.answer("ok", seen)
        seen += ", newer than the plan: it says nothing of today, and Terraform refuses to "
        return _NEWEST.answer("unknown", f"{seen}apply it. Plan again")

    return answer(_NEWEST.words, look)


_HELP = (
    "Who changed it, and why? CloudTrail knows. Was it meant: write it into the configuration. "
    "If not: the next apply puts back what the configuration sets. Applying without deciding "
    "undoes somebody's repair, or keeps a hole open."
)


@check("Was something changed outside Terraform?")
def check_drift(ops: Connection, plan: str = "") -> Findings:
    """What differs from what Terraform recorded, attribute by attribute. Evidence: CHANGES.

    Attributes that services change by themselves (a last-modified time) are no drift.
    """
    read = read_plan(ops, plan)
    drifted = [change for change in read.drift if by_hand(change)]
    rows = [row for change in drifted for row in change_rows(change, _then(read, change))]
    found = [_drifted(read, change) for change in drifted[:SHOWN]]
    asked = Question("Changed outside Terraform", "nothing", read.where)
    if more := len(drifted[SHOWN:]):
        seen = f"{more} more resources; they are in the table"
        found.append(asked.answer("warn", seen, cause=DRIFT))
    if not drifted:
        those = f"{count(len(read.drift), 'resource')} with values that change by themselves"
        seen = f"nothing ({those})" if read.drift else "nothing"
        found.append(asked.answer("ok", seen, cause=DRIFT))
    return Findings(found, frame(rows, CHANGES), _HELP if drifted else "")


def _drifted(plan: TerraformPlan, change: Change) -> Finding:
    told = [str(d) for d in change.differences[:3]]
    if more := len(change.differences[3:]):
        told.append(f"and {more} more")
    if change.kind == "destroy":
        told = ["it is gone"]
    opened = lets_all_in(change)
    if opened:
        told.append("IT LETS EVERY ADDRESS IN")
    seen = "; ".join((*told, _then(plan, change)))
    asked = Question(f"{change.address} changed outside Terraform", "as recorded", plan.where)
    return asked.answer("critical" if opened else "warn", seen, cause=DRIFT)


def _then(plan: TerraformPlan, change: Change) -> str:
    if plan.refresh_only:
        return "a refresh-only plan takes it over into the state"
    if change.address in plan.touched:
        return "an apply puts it right"
    return "an apply leaves it so: the configuration does not set it"


@check("What would it do?")
def check_changes(ops: Connection, plan: str = "") -> Findings:
    """What an apply of the plan would create, change, replace and destroy.

    Evidence: CHANGES, the worst first.
    """
    return judged(read_plan(ops, plan))


@check("What would the reverted configuration do?")
def check_reverted(ops: Connection, plan: str) -> Findings:
    """A plan made after a commit was taken back.

    Is it whole and of now, and what would it do? Evidence: CHANGES.
    """
    if not plan:
        return Findings(
            note="No plan of the reverted configuration yet: make it as shown, "
            "and give its path as reverted = …"
        )
    read = read_plan(ops, plan)
    would = judged(read)
    return Findings([_whole(read), _newest(ops, read), *would], would.evidence, would.note)


# Terraform's own commands, with the target's names in them: the operator runs them, nothing here.

_PLAN = f"terraform plan -out=tfplan -lock-timeout=60s\n{plans.MAKE_JSON}"
_ROLL_BACK = """\
{begin}
git log --oneline -15 -- .                    # which commit was it?
git revert --no-edit {commit}
{plan}
                                              # now this procedure again, with reverted=…/plan.json
terraform show tfplan                         # read every 'destroy' and 'must be replaced'
terraform apply -lock-timeout=60s tfplan      # the very plan that was read
rm tfplan plan.json                           # both hold secrets in clear text"""
_PUSH = """\
# Only when the state itself is damaged. A pushed state brings nothing back: \
it changes what Terraform believes.
{begin}
# Earlier states, and the <version_id> of each:
{known}
aws s3api get-object --bucket {at.bucket} --key {at.key} \\
    --version-id <version_id> earlier.tfstate
# Its lineage must be {lineage}. Raise its serial by hand to {serial}.
# Otherwise the push is refused. Do not use -force: it takes any state for this one.
terraform state push -lock-timeout=60s earlier.tfstate
terraform plan -lock-timeout=60s              # what it wants to create is there already:
                                              # import it (terraform import), do not apply
rm earlier.tfstate                            # it holds secrets in clear text"""


def _begin(ops: Connection) -> str:
    profile = "" if ops.target.lab else ops.target.profile
    login = f"\nexport AWS_PROFILE={profile}" if profile else ""
    return f"cd {ops.target['terraform']['directory']}{login}\nterraform init -input=false"


def to_plan(ops: Connection) -> Text:
    """What makes a plan that can be read here."""
    return Text(f"{_begin(ops)}\n{_PLAN}")


def to_roll_back(ops: Connection, commit: str) -> Text:
    """The way back by version control. `commit`: the one to take back.

    Raises UsageError when it cannot be one.
    """
    if commit and not re.fullmatch(r"[A-Za-z0-9][\w./-]{0,99}", commit):
        raise UsageError(
            f"commit={commit!r} is no commit of git's: give its hash, a branch or a tag."
        )
    return Text(_ROLL_BACK.format(begin=_begin(ops), commit=commit or "<commit>", plan=_PLAN))


def to_push(ops: Connection, newest: int = 10) -> Text:
    """The last resort: an earlier state made the present one. Reads which there are."""
    state, *earlier = states.versions(ops, newest)
    known = [
        f"#   serial {s.serial} of {s.written:%Y-%m-%d %H:%M}: {s.version_id}" for s in earlier
    ]
    said = {"begin": _begin(ops), "known": "\n".join(known), "at": states.place(ops)}
    return Text(_PUSH.format(**said, lineage=state.lineage, serial=state.serial + 1))
