"""API Gateway. moto makes authorizers and does not list them; it counts no use of keys."""

from typing import Any

from opslib.lab.aws.operations import Call, answers


@answers("apigatewayv2", "GetAuthorizers")
def authorizers(call: Call) -> dict[str, Any]:
    api = call.backend().get_api(call.params["ApiId"])
    return {"Items": [_told(each) for each in api.authorizers.values()]}


@answers("apigateway", "GetUsage")
def usage(call: Call) -> dict[str, Any]:
    """Of each key of the plan a day's requests, and what is left: none was made yet."""
    backend, plan = call.backend(), call.params["usagePlanId"]
    left = backend.get_usage_plan(plan).quota.get("limit", 2**31)
    keys = backend.get_usage_plan_keys(plan)
    spent = call.world.settings.get(f"spent {plan}", 0)
    of = [[int(spent), int(left) - int(spent)]]
    return {
        "usagePlanId": plan,
        "startDate": call.params["startDate"],
        "endDate": call.params["endDate"],
        "items": {key.id: of for key in keys},
    }


def _told(each: Any) -> dict[str, Any]:
    jwt = each.jwt_config or {}
    about = {"AuthorizerId": each.id, "Name": each.name, "AuthorizerType": each.authorizer_type}
    said = {"Issuer": jwt.get("issuer"), "Audience": jwt.get("audience")}
    return about | ({"JwtConfiguration": said} if jwt else {})
