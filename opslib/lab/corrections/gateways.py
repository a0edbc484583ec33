"""API Gateway. moto makes authorizers and does not list them."""

from typing import Any

from opslib.lab.aws.operations import Call, answers


@answers("apigatewayv2", "GetAuthorizers")
def authorizers(call: Call) -> dict[str, Any]:
    api = call.backend().get_api(call.params["ApiId"])
    return {"Items": [_told(each) for each in api.authorizers.values()]}


def _told(each: Any) -> dict[str, Any]:
    jwt = each.jwt_config or {}
    about = {"AuthorizerId": each.id, "Name": each.name, "AuthorizerType": each.authorizer_type}
    said = {"Issuer": jwt.get("issuer"), "Audience": jwt.get("audience")}
    return about | ({"JwtConfiguration": said} if jwt else {})
