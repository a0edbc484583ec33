"""Terraform, looked at and never run.

What a plan would do, what was changed outside it, and the commands to run.
"""

import re

from opslib.core import (
    Connection,
    Finding,
    Findings,
    NotFound,
    Question,
    Text,
    UsageError,
    answer,
    check,
    objects,
    paths,
)
from opslib.deployments import plans, states
from opslib.deployments.findings import drifted, judged, whole
from opslib.deployments.plans import TerraformPlan


def read_plan(ops: Connection, plan: str = "") -> TerraformPlan:
    """A plan. `plan`: a local file; empty: the target's newest in S3.

    Raises UsageError (no file, no plan), NotFound, NotAllowed.
    """
    if plan:
        path = paths.typed(plan)
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise UsageError(
                f"{path} cannot be read: {exc.strerror}. "
                "Give plan the path of a file on this machine."
            ) from exc
        return plans.parse(content, str(path))
    at = states.place(ops, "plan")
    found = objects.read_object(ops, at.bucket, at.key)
    return plans.parse(found["Body"], str(at))


@check("Is the plan whole and up to date?")
def check_file(ops: Connection, plan: str = "", hours: float = 24) -> Findings:
    """Could Terraform plan everything, is nothing newer, and is it no older than so many hours?"""
    read = read_plan(ops, plan)
    made = f"{read.made:%Y-%m-%d %H:%M} UTC" if read.made else "at a time that it does not say"
    note = f"{read.where}, by Terraform {read.version}, made {made}."
    return Findings(
        [whole(read), answer(_NEWEST, _newest, ops, read), _aged(ops, read, hours)], note=note
    )


def _aged(ops: Connection, plan: TerraformPlan, hours: float) -> Finding:
    asked = Question("The plan is of today", f"at most {hours:g} hours old", plan.where)
    if plan.made is None:
        return asked.unknown(f"{_UNDATED}; its file's time is that of a copy")
    age = (ops.now() - plan.made).total_seconds() / 3600
    if age < -_AHEAD:
        return asked.unknown(f"made {-age:.1f} hours from now: a clock is wrong")
    return asked.judged(age <= hours, f"{max(age, 0):.1f} hours old", otherwise="warn")


_AHEAD = 0.1  # hours that two clocks may differ
_UNDATED = "it does not say when it was made (Terraform says so since 1.5)"


_NEWEST = Question(
    "Nothing was applied after the plan", "the plan is newer than the state", "s3 HeadObject"
)


def _newest(ops: Connection, plan: TerraformPlan) -> Finding:
    written = states.written(ops)
    seen = f"the state is of {written:%Y-%m-%d %H:%M} UTC"
    if plan.made is None:
        return _NEWEST.unknown(f"{seen}, and the plan's time is not known: {_UNDATED}")
    if plan.made >= written:
        return _NEWEST.ok(seen)
    seen += ", newer than the plan: it says nothing of today, and Terraform refuses to "
    return _NEWEST.unknown(f"{seen}apply it. Plan again")


@check("Was something changed outside Terraform?")
def check_drift(ops: Connection, plan: str = "") -> Findings:
    """What differs from what Terraform recorded, attribute by attribute. Evidence: CHANGES.

    Attributes that services change by themselves (a last-modified time) are no drift.
    """
    return drifted(read_plan(ops, plan))


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
    newest = answer(_NEWEST, _newest, ops, read)
    return Findings([whole(read), newest, *would], would.evidence, would.note)


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


def to_push(ops: Connection) -> Text:
    """The last resort: an earlier state made the present one. Reads which there are."""
    found = states.versions(ops, 10)
    readable = [state for state in found if isinstance(state, states.State)]
    if not readable:
        raise NotFound(
            f"None of the newest {len(found)} versions of {states.place(ops)} is a state."
        )
    said = {
        "begin": _begin(ops),
        "known": "\n".join(f"#   {_known(state)}" for state in found if state is not readable[0]),
        "at": states.place(ops),
        "lineage": readable[0].lineage,
        "serial": max(state.serial for state in readable) + 1,
    }
    return Text(_PUSH.format(**said))


def _known(state: states.State | states.Unreadable) -> str:
    when = f"{state.written:%Y-%m-%d %H:%M}"
    if isinstance(state, states.Unreadable):
        return f"not this one, of {when}: {state.note}"
    return f"serial {state.serial} of {when}: {state.version_id}"
