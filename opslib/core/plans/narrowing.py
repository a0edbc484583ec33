"""A step done by a session of its own: of the role that the target names, allowed that step alone.

What is read is read by the login that reads; all else goes through the session. So a defect of ours
in a step, or an answer that leads it elsewhere, meets IAM.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jmespath

from opslib.core.actions.actions import Action
from opslib.core.connections import calls
from opslib.core.connections.connection import READS, Connection
from opslib.core.connections.sending import Sharing
from opslib.core.errors import OpsError, Refused
from opslib.core.plans.plans import Step
from opslib.core.rights import rights
from opslib.core.rights.rights import MOST_OF_A_SESSION, document, written
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json

Made: TypeAlias = tuple[str, str, Json]  # service, operation and parameters of a call
_SHORT, _LONG = 900, 3600  # seconds of a session: the fewest, and what each role allows
_MAY_TAKE = 600  # a step that may take longer has a long one
_TABLE = beside(__file__, "narrowing")
_OWN: dict[str, list[tuple[str, str, str]]] = _TABLE["own"]
_NO_OWN = {*_TABLE["none"]}


def made(do: Action) -> Iterator[Made]:
    """The AWS calls that a step makes and that are no reads. Raises Refused: nobody knows them."""
    if do["kind"] not in _OWN and do["kind"] not in _NO_OWN:
        raise Refused(f"What a step of kind {do['kind']!r} calls is not known: see narrowing.yaml.")
    for service, named, on in _OWN.get(do["kind"], ()):
        operation = named.format_map(do).lower()
        if not READS.match(operation):
            yield service, operation, jmespath.search(on, do)
    yield from within(do)


def within(value: Any) -> Iterator[Made]:
    """The AWS calls that stand in it, reads left out."""
    if isinstance(value, dict):
        if value.get("kind") == "aws" and not READS.match(value["operation"]):
            yield value["service"], value["operation"], value["parameters"]
        for part in value.values():
            yield from within(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from within(part)


def policy(ops: Connection, do: Action) -> str:
    """The session policy of a step; empty when it takes none.

    Raises Refused: it does not fit; OpsError: what it takes is not known.
    """
    asked = [need for each in made(do) for need in _needs(ops, do, *each)]
    if not asked:
        return ""
    text = written(document(asked))
    if len(text) > MOST_OF_A_SESSION:
        raise Refused(
            f"What the step {do} needs is a policy of {len(text):,} characters, and that of a "
            f"session may have {MOST_OF_A_SESSION:,}. Nothing was changed. Plan fewer things at "
            f"a time, or take policy.apply_role out of parameters/targets/{ops.target.key}.yaml."
        )
    return text


def _needs(
    ops: Connection, do: Action, service: str, operation: str, parameters: Json
) -> Iterator[tuple[rights.Need, str]]:
    region = do.get("region") or ops.target.region
    if service == "es":
        parameters = {"DomainName": ops.target["search"].get("domain", rights.ANY)}
        name = f"ESHttp{operation.capitalize()}"
    else:
        name = ops.client(service).meta.method_to_api_mapping[operation]
    named = rights.named(parameters)
    for need in rights.needs(service, name, named, region, ops.target.account):
        yield need, region


def narrowed(ops: Connection, do: Action) -> Connection:
    """The connection by which a step is done: it reads as this one does, and makes every other
    call by a session of the target's role. Raises Refused, NotAllowed: nothing was done.
    """
    role = ops.target.policy.apply_role
    allowed = policy(ops, do) if role else ""
    if not allowed:
        return ops
    longest = max(do.get("timeout_seconds") or 0, do.get("seconds") or 0)
    name = re.sub(r"[^\w@+=,.-]", "-", ops.identity.user)[:64]
    at = {"RoleArn": role, "RoleSessionName": name, "Policy": allowed}
    seconds = _LONG if longest > _MAY_TAKE else _SHORT
    keys = ops.call("sts", "assume_role", **at, DurationSeconds=seconds)["Credentials"]
    held = [keys[part] for part in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    session, _ = calls.session(ops.target, (held[0], held[1]) if ops.target.lab else None)
    session._session.set_credentials(*held)
    calls.record_calls(session, ops.journal, Sharing(), role=role)
    return ops.by(session)


def require(ops: Connection, actions: Sequence[Action]) -> None:
    """That each fits a session of the role, and that the role is to be had.

    Raises Refused, NotAllowed: nothing was changed.
    """
    role, where = ops.target.policy.apply_role, f"parameters/targets/{ops.target.key}.yaml"
    if not role:
        return
    if role.split(":")[4] != ops.target.account:
        raise Refused(
            f"policy.apply_role of {where} is of another account than {ops.target.account}. "
            "Nothing was changed."
        )
    if writing := [do for do in actions if policy(ops, do)]:
        try:
            narrowed(ops, writing[0])
        except OpsError as exc:
            raise type(exc)(
                f"{exc} Changes are made by {role} (policy.apply_role of {where}). It has to trust "
                f"{ops.identity.arn}, which needs sts:AssumeRole on it. Nothing was changed."
            ) from exc


def notes(ops: Connection, steps: Sequence[Step]) -> Iterator[str]:
    """What a plan says of it."""
    role = ops.target.policy.apply_role
    if not (role and steps):
        return
    try:
        needed = [policy(ops, step.do) for step in steps]
    except OpsError as exc:
        yield f"It cannot be applied as it is: {exc}"
    else:
        if any(needed):
            yield f"Each step is done by a session of {role} that may do that step alone."
