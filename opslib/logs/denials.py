"""What functions and services may not do: by the lines that say so, and by what roles allow."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Frame,
    Json,
    OpsError,
    Question,
    answer,
    beside,
    clock,
    count,
    services,
)

STORAGE, ROLE = "storage-denied", "role-denied"  # the causes that findings name
_REFUSED = re.compile(
    r"authorized to perform:? (?P<action>[\w-]+:\w+)"
    r"(?: on resource: \W{0,2}(?P<on>arn:[^\s\"'\\]+))?"
)
_SIMULATED = "FilterLogEvents, iam SimulatePrincipalPolicy"
_OBJECTS = Question("permissions for objects", "nothing that is asked for is denied", _SIMULATED)
_OTHERS = Question("other permissions", "nothing that is asked for is denied", _SIMULATED)

_STARTS = Question("what tasks begin with", "their execution roles may read it", _SIMULATED)


class Denied(NamedTuple):
    """What the lines say that a function or service may not do."""

    function: str
    action: str
    on: str  # the newest that they name
    lines: int
    last: datetime

    def told(self, ops: Connection, role: str) -> str:
        """In words, with what its role says of it now."""
        try:
            allowed = "allowed" in _simulated(ops, role, [self.action], self.on)
        except OpsError as exc:
            why = f"its role was not asked: {exc}"
        else:
            why = "its role does not allow it"
            if allowed:
                why = "its role allows it: the bucket, key or endpoint does not, or it was mended"
        told = f"{count(self.lines, 'line')}, last {clock(self.last, ops.now())} UTC"
        return f"{self.function}: {self.action} on {self.on} denied ({told}); {why}"


def _denied(live: dict[str, Json], lines: Frame) -> list[Denied]:
    """By function, action and what it is on, without the key of an object."""
    found: dict[tuple[str, str, str], Denied] = {}
    for row in lines.itertuples():
        for said in _REFUSED.finditer(row.message) if row.source in live else ():
            on = (said["on"] or "*").rstrip(").,:;")
            each = (row.source, said["action"], on.partition("/")[0])
            seen = found[each].lines if each in found else 0
            found[each] = Denied(row.source, said["action"], on, seen + 1, row.time)
    return list(found.values())


def judged(
    ops: Connection, live: dict[str, Json], buckets: dict[str, list[str]], lines: Frame
) -> Iterator[Finding]:
    """What they may do with objects, and all else. `live`, `buckets`: by function."""
    told: dict[bool, list[str]] = {True: [], False: []}
    for each in _denied(live, lines):
        told[each.action.startswith("s3:")].append(each.told(ops, live[each.function]["Role"]))
    yield answer(_OBJECTS, _objects, ops, live, buckets, told[True])
    seen = "; ".join(told[False])
    yield _OTHERS.judged(
        not seen, seen or "no line of a denial", cause=ROLE, next="changes/configuration"
    )
    if of := [key for key in live if key in ops.target.at("services")]:
        yield answer(_STARTS, _starts, ops, of)


def _objects(
    ops: Connection, live: dict[str, Json], needs: dict[str, list[str]], wrong: list[str]
) -> Finding:
    """S3: what the lines say; without one, whether each may use the buckets that it needs."""
    known, asked = ops.target.at("buckets"), 0
    for key, of in needs.items() if not wrong else ():
        for name in (known[what]["name"] for what in of):
            asked += 1
            role = live[key]["Role"]
            on = f"arn:{role.split(':')[1]}:s3:::{name}/*"
            if "allowed" not in _simulated(ops, role, ["s3:GetObject", "s3:PutObject"], on):
                wrong.append(f"{key}: its role may neither read nor write objects of {name}")
    seen = "; ".join(wrong) or f"no line of a denial; {count(asked, 'role')} asked of buckets"
    return _OBJECTS.judged(not wrong, seen, cause=STORAGE, next="changes/configuration")


def _starts(ops: Connection, keys: list[str]) -> Finding:
    """What ECS reads by the execution role (denials.yaml); tasks that run go on without it."""
    wrong = []
    for key in keys:
        definition = services.Service(ops, key).definition()
        text, role = json.dumps(definition["containerDefinitions"]), definition["executionRoleArn"]
        for pattern, action in beside(__file__, "denials").items():
            for on in sorted({*re.findall(pattern, text)}) if role else ():
                if "allowed" not in _simulated(ops, role, [action], on or "*"):
                    wrong.append(f"{key}: {role} may not {action} on {on or '*'}")
    seen = "; ".join(wrong) or "all of it"
    return _STARTS.judged(not wrong, seen, cause=ROLE, next="changes/configuration")


def _simulated(ops: Connection, role: str, actions: list[str], on: str) -> list[str]:
    """What a role's own policies say; what the thing's policy says is not asked.

    One decision for each action: allowed, explicitDeny, implicitDeny.
    """
    if not role:  # of tasks that have none: nothing is allowed
        return ["implicitDeny" for _ in actions]
    given: Json = {"PolicySourceArn": role, "ActionNames": actions, "ResourceArns": [on]}
    path = "EvaluationResults[].EvalDecision"
    return list(ops.pages("iam", "simulate_principal_policy", path, **given))
