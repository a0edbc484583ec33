"""Terraform's own commands, with the target's names filled in: for the operator to run; nothing here runs them."""

from __future__ import annotations

import re

from opslib.core.connections.connection import Connection
from opslib.core.errors import UsageError
from opslib.core.text import Text
from opslib.deployments import states
from opslib.deployments.plans import MAKE_JSON

_LOCK = "-lock-timeout=60s"
_WIDTH = 46  # where a remark begins


def _line(command: str, remark: str) -> str:
    return f"{command:<{_WIDTH}}# {remark}"


def _begin(ops: Connection) -> list[str]:
    profile = (
        [f"export AWS_PROFILE={ops.target.profile}"]
        if ops.target.profile and not ops.target.lab
        else []
    )
    return [f"cd {ops.target['terraform']['directory']}", *profile, "terraform init -input=false"]


_PLAN = (f"terraform plan -out=tfplan {_LOCK}", MAKE_JSON)


def to_plan(ops: Connection) -> Text:
    """What makes a plan that can be read here."""
    return Text("\n".join((*_begin(ops), *_PLAN)))


def to_roll_back(ops: Connection, commit: str) -> Text:
    """The way back by version control. `commit`: the one to take back. Raises UsageError when it cannot be one."""
    if commit and not re.fullmatch(r"[A-Za-z0-9][\w./-]{0,99}", commit):
        raise UsageError(
            f"commit={commit!r} is no commit of git's: give its hash, a branch or a tag."
        )
    return Text(
        "\n".join(
            (
                *_begin(ops),
                _line("git log --oneline -15 -- .", "which commit was it?"),
                f"git revert --no-edit {commit or '<commit>'}",
                *_PLAN,
                _line("", "now this procedure again, with reverted=…/plan.json"),
                _line("terraform show tfplan", "read every 'destroy' and 'must be replaced'"),
                _line(f"terraform apply {_LOCK} tfplan", "the very plan that was read"),
                _line("rm tfplan plan.json", "both hold secrets in clear text"),
            )
        )
    )


def to_push(ops: Connection, newest: int = 10) -> Text:
    """The last resort: an earlier state made the present one. Reads which there are."""
    at, (state, *earlier) = states.place(ops), states.versions(ops, newest)
    known = [
        f"#   serial {s.serial} of {s.written:%Y-%m-%d %H:%M}: {s.version_id}" for s in earlier
    ]
    return Text(
        "\n".join(
            (
                "# Only when the state itself is damaged. A pushed state brings nothing back: it changes what Terraform believes.",
                *_begin(ops),
                *(["# Earlier states, and the <version_id> of each:", *known] if known else []),
                f"aws s3api get-object --bucket {at.bucket} --key {at.key} \\",
                "    --version-id <version_id> earlier.tfstate",
                f"# Its lineage must be {state.lineage}. Raise its serial by hand to {state.serial + 1}.",
                "# Otherwise the push is refused. Do not use -force: it takes any state for this one.",
                f"terraform state push {_LOCK} earlier.tfstate",
                _line(f"terraform plan {_LOCK}", "what it wants to create is there already:"),
                _line("", "import it (terraform import), do not apply"),
                _line("rm earlier.tfstate", "it holds secrets in clear text"),
            )
        )
    )
