"""IAM's simulation, which moto does not have: a principal's own policies, conditions not met.

What a boundary, an organisation or the thing itself allows is not part of it.
"""

from __future__ import annotations

from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

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
