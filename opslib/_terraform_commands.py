"""Terraform's own commands, with the target's names filled in: for the operator to run; nothing here runs them."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslib._terraform_plans import MAKE_JSON
from opslib.errors import UsageError

if TYPE_CHECKING:
    from opslib.connections import Connection

_LOCK = "-lock-timeout=60s"


@dataclass(frozen=True)
class Commands:
    """Lines for a shell, shown as they are."""

    lines: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": f"<pre>{html.escape(repr(self))}</pre>"}


def _begin(ops: Connection) -> list[str]:
    profile = [f"export AWS_PROFILE={ops.target.profile}"] if ops.target.profile and not ops.target.lab else []
    return [f"cd {ops.target['terraform']['directory']}", *profile, "terraform init -input=false"]


def _plan() -> list[str]:
    return [f"terraform plan -out=tfplan {_LOCK}", MAKE_JSON]


_CLEAN = "rm tfplan plan.json                         # both hold secrets in clear text"


def to_plan(ops: Connection) -> Commands:
    """What makes a plan that can be read here."""
    return Commands((*_begin(ops), *_plan()))


def to_roll_back(ops: Connection, commit: str) -> Commands:
    """The way back by version control. `commit`: the one to take back. Raises UsageError when it cannot be one."""
    if commit and not re.fullmatch(r"[A-Za-z0-9][\w./-]{0,99}", commit):
        raise UsageError(f"commit={commit!r} is no commit of git's: give its hash, a branch or a tag.")
    lines = [
        *_begin(ops),
        "git log --oneline -15 -- .                  # which commit brought the trouble?",
        f"git revert --no-edit {commit or '<commit>'}",
        *_plan(),
        "                                            # run this procedure again with reverted=…/plan.json: is anything destroyed?",
        "terraform show tfplan                       # read every 'destroy' and 'must be replaced'",
        f"terraform apply {_LOCK} tfplan          # exactly the plan that was read",
        _CLEAN,
    ]
    return Commands(tuple(lines))


def to_push(ops: Connection) -> Commands:
    """The last resort: an earlier state made the present one. Reads the present one's serial and lineage."""
    from opslib import terraform_states

    state, at = terraform_states.versions(ops, 1)[0], terraform_states.place(ops)
    return Commands((
        "# Only when the state itself is damaged. A state that is pushed brings nothing back: it changes what Terraform",
        f"# believes is there. The present one has serial {state.serial} and lineage {state.lineage}.",
        *_begin(ops),
        f"aws s3api get-object --bucket {at.bucket} --key {at.key} --version-id <version_id> earlier.tfstate",
        f"# In earlier.tfstate the lineage must be that one, and serial raised by hand to {state.serial + 1}: otherwise the push",
        "# is refused. Do not use -force: it takes any state for this one.",
        f"terraform state push {_LOCK} earlier.tfstate",
        f"terraform plan {_LOCK}               # what it now wants to create is there already: import it, do not apply",
        "rm earlier.tfstate                          # it holds secrets in clear text",
    ))  # fmt: skip
