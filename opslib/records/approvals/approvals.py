"""A second person's approval: an act of his own, under his own credentials, kept as a record.

Whom AWS cannot tell apart from somebody else is no second person.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from opslib.core import Connection, Json, OpsError, Refused, UsageError
from opslib.core.connections.identities import Identity
from opslib.records import reading
from opslib.records.records import Record

_CONFIGURE = (
    "AWS does not say who that is. A second person signs in as a user of IAM Identity Center (a "
    "profile with sso_session) or as an IAM user; a role's session name is chosen by its caller."
)


def holding(ops: Connection) -> AbstractContextManager[None]:
    """As `uses.holding`."""
    from opslib.records.approvals import uses

    return uses.holding(ops)


def spend(ops: Connection, approved: str, names: Sequence[str]) -> None:
    """As `uses.spend`."""
    from opslib.records.approvals import uses

    uses.spend(ops, approved, names)


def person(arn: str, account: str) -> tuple[str, str]:
    """The kind and name that AWS vouches for. Raises Refused with what to configure."""
    known = Identity(account, arn).person
    if known is None:
        raise Refused(f"{arn} cannot be told apart from others: {_CONFIGURE}")
    return known


def require_another(arn: str, other: str, account: str, what: str) -> None:
    """Raises Refused unless AWS tells both apart: people of one kind, by two names."""
    mine, theirs = person(arn, account), person(other, account)
    if mine == theirs:
        raise Refused(f"{arn} {what}: the second person is somebody else. Nothing was changed.")
    if mine[0] != theirs[0]:
        raise Refused(
            f"{arn} is an {mine[0]}, {other} an {theirs[0]}: whether they are two people cannot "
            "be told. Both sign in in the same way. Nothing was changed."
        )


def read_preview(ops: Connection, plan: str) -> tuple[Record, Json]:
    """The record that previewed a plan, by the record's id or the plan's name; and its plan.

    Raises UsageError (none), Refused (not as it was sealed).
    """
    rows = _rows(ops, plan=plan) or _rows(ops, id=plan)
    for row in reversed(rows):  # who made it was first
        said = reading.sealed(Record.of(row))
        made = said.get("plan") or {}
        if row["outcome"] == "previewed" and made.get("steps") and not said.get("approved"):
            return Record.of(row), made
    raise UsageError(
        f"{plan!r} is no preview on record of {ops.target.name}: it is kept when the procedure is "
        "run by `opslib run` (or papermill with --engine opslib), with the same index of records. "
        "List them: opslib records --outcome previewed."
    )


def approver(ops: Connection, plan: str) -> str:
    """The ARN of the second person who approved the plan. Raises Refused.

    Neither who applies nor who previewed it, within the target's `plan_minutes`.
    """
    who, account = ops.identity.arn, ops.identity.account
    how = (
        "opslib run changes/approve as the second person, "
        f"-t {ops.target.name} -p plan={plan}. Nothing was changed."
    )
    person(who, account)
    try:
        made, _ = read_preview(ops, plan)
    except UsageError as exc:
        raise Refused(f"{ops.target.name} wants a second person. {exc}") from exc
    reasons = []
    for row in _rows(ops, plan=plan):
        try:
            said = reading.sealed(Record.of(row)).get("approved") or {}
            if said.get("plan") != plan or said.get("arn") != row["arn"]:
                continue
            age = ops.now() - Record.of(row).started
            if age > timedelta(minutes=ops.target.policy.plan_minutes):
                raise Refused(f"Its approval {row['id']} has expired.")
            require_another(row["arn"], who, account, "approved it and would apply it")
            require_another(row["arn"], str(made.arn), account, "approved it and planned it")
            return str(row["arn"])
        except OpsError as exc:
            reasons.append(str(exc))
    why = " ".join(reasons) or "None is on record."
    raise Refused(
        f"{ops.target.name} wants a second person's approval of plan {plan}. {why} Next: {how}"
    )


def _rows(ops: Connection, **where: Any) -> list[Json]:
    from opslib.records import index

    found = index.rows(target=ops.target.name, account=ops.identity.account, **where)
    return [row for row in reversed(found) if row["seq"] is not None]
