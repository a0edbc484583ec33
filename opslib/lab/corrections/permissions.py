"""IAM's simulation, which moto does not have: a principal's own policies, conditions not met.

What a boundary, an organisation or the thing itself allows is not part of it. Its credential
report: moto's has no row of root, no region and no service of a key's use. And who may assume a
role, for how long, with which policy.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from moto.iam.access_control import IAMPolicy, IAMPolicyStatement, PermissionResult

from opslib.lab.aws.operations import AwsError, Call, Result, answers


@answers("iam", "SimulatePrincipalPolicy")
def simulate(call: Call) -> Result:
    backend, arn = call.backend(), call.params["PolicySourceArn"]
    role = next((each for each in backend.roles.values() if each.arn == arn), None)
    if role is None:
        raise AwsError(
            "NoSuchEntity", f"The role with name {arn.rpartition('/')[2]} cannot be found."
        )
    policies = [*role.policies.values(), *role.managed_policies.values()]
    found = [
        {
            "EvalActionName": action,
            "EvalResourceName": on,
            "EvalDecision": _decided(policies, action, on),
            "MatchedStatements": [],
        }
        for action in call.params["ActionNames"]
        for on in call.params.get("ResourceArns") or ["*"]
    ]
    return {"EvaluationResults": found, "IsTruncated": False}


def _decided(policies: list[Any], action: str, on: str) -> str:
    said = {IAMPolicy(policy).is_action_permitted(action, on) for policy in policies}
    if PermissionResult.DENIED in said:
        return "explicitDeny"
    return "allowed" if PermissionResult.PERMITTED in said else "implicitDeny"


_KEY = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
_COLUMNS = (
    *("user", "arn", "user_creation_time", "password_enabled", "password_last_used"),
    *("password_last_changed", "password_next_rotation", "mfa_active"),
    *(f"access_key_{key}_{name}" for key in (1, 2) for name in _KEY),
    *("cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated"),
)
_NONE = ("false", *["N/A"] * 4)
_CERTIFICATES = ("false", "N/A", "false", "N/A")


@answers("iam", "GetCredentialReport")
def get_credential_report(call: Call) -> Result:
    iam = call.backend()
    if not iam.credential_report:
        raise AwsError("ReportNotPresent", "No report is available.", 410)
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(_COLUMNS)
    root = (
        "<root_account>",
        f"arn:{call.partition}:iam::{call.account}:root",
        _time(call.received),
    )
    password = ("not_supported", "no_information", "not_supported", "not_supported", "true")
    rows.writerow((*root, *password, *_NONE, *_NONE, *_CERTIFICATES))
    rows.writerows(list(_row(user)) for user in iam.users.values())
    content = written.getvalue().encode()
    return {"Content": content, "ReportFormat": "text/csv", "GeneratedTime": call.received}


def _row(user: Any) -> Iterator[str]:
    yield from (user.name, user.arn, _time(user.create_date))
    used = user.password_last_used
    yield "true" if user.password else "false"
    yield (_time(used) if used else "no_information") if user.password else "N/A"
    yield _time(user.create_date) if user.password else "N/A"
    yield from ("N/A", "true" if user.mfa_devices else "false")
    keys = sorted(user.access_keys, key=lambda key: key.create_date)[:2]
    for key in keys:
        yield from ("true" if key.status == "Active" else "false", _time(key.create_date))
        last = key.last_used
        yield from (_time(last.timestamp), last.region, last.service) if last else ["N/A"] * 3
    yield from _NONE * (2 - len(keys))
    yield from _CERTIFICATES


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}+00:00"


_MOST, _SHORTEST = 2048, 900  # characters of a session policy; seconds of a session


@answers("sts", "AssumeRole")
def assume_role(call: Call) -> Result:
    """moto gives anybody a session of any role, that does not have to be there."""
    role = next(
        (r for r in call.backend("iam").roles.values() if r.arn == call.params["RoleArn"]), None
    )
    if role is None or not _trusts(role, call):
        raise AwsError(
            "AccessDenied",
            f"User: {call.user_arn} is not authorized to perform: sts:AssumeRole on resource: "
            f"{call.params['RoleArn']}",
            403,
        )
    if len(call.params.get("Policy") or "") > _MOST:
        raise _invalid("policy", f"Member must have length less than or equal to {_MOST}")
    seconds = int(call.params.get("DurationSeconds") or 3600)
    most = int(role.max_session_duration)
    if not _SHORTEST <= seconds <= most:
        raise _invalid("durationSeconds", f"Member must be between {_SHORTEST} and {most}")
    return call.moto()


def _invalid(member: str, why: str) -> AwsError:
    said = f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {why}"
    return AwsError("ValidationError", said, 400)


def _trusts(role: Any, call: Call) -> bool:
    """Whether its trust policy names the caller, or the caller's account."""
    whom = {call.user_arn, call.account, f"arn:{call.partition}:iam::{call.account}:root", "*"}
    for each in json.loads(role.assume_role_policy_document).get("Statement", ()):
        named = each.get("Principal", {})
        named = named.get("AWS", []) if isinstance(named, dict) else named
        if whom & set([named] if isinstance(named, str) else named):
            return bool(each["Effect"] == "Allow")
    return False


def install() -> None:
    """moto takes a policy's patterns for regular expressions, for a denial what does not apply,
    and for met every condition but StringEquals."""
    statement, plain = IAMPolicyStatement, IAMPolicyStatement.is_action_permitted

    def is_action_permitted(self: Any, *asked: Any) -> PermissionResult:
        told = asked[3] if len(asked) > 3 else None
        if not self._check_conditions(told):
            return PermissionResult.NEUTRAL
        return plain(self, *asked)

    def check_conditions(self: Any, told: dict[str, str] | None) -> bool:
        # AWS's own clients ask with TLS; the lab is HTTP on this machine alone
        known = {key.lower(): value for key, value in (told or {}).items()}
        known |= {"aws:securetransport": "true"}
        said = self._statement.get("Condition") or {}
        return all(
            _met(operator, wanted, known.get(key.lower()))
            for operator, of in said.items()
            for key, wanted in of.items()
        )

    statement.is_action_permitted = is_action_permitted
    statement._check_conditions = check_conditions
    statement._match = staticmethod(_match)


def _met(operator: str, wanted: Any, known: str | None) -> bool:
    """A condition of one key. What is not known fits no condition but those that deny."""
    every = [str(each) for each in (wanted if isinstance(wanted, list) else [wanted])]
    if operator == "Null":
        return str(known is None).lower() in map(str.lower, every)
    if known is None:
        return operator.endswith("IfExists") or "Not" in operator
    if operator.startswith("Bool"):
        return known.lower() in map(str.lower, every)
    return any(_match(each, known) for each in every) != ("Not" in operator)


def _match(pattern: str, text: str) -> re.Match[str] | None:
    signs = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(signs, text)
