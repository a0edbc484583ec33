"""API Gateway before the function behind the API, as the address in the target's file has it.

Nothing goes through it: the app answers by itself. It is there to be looked at.
"""

from typing import Any
from urllib.parse import urlsplit

from opslib.lab.forms.days import Traffic
from opslib.lab.places import Place
from opslib.lab.resources import names


def seed(place: Place, about: Traffic, authorizer: bool) -> None:
    """An HTTP API with a route to each function; its own domain, or API Gateway's with a stage."""
    client, id = place.client("apigatewayv2"), names.gateway(place)
    url = urlsplit(str(place.facts["api"]["url"]))
    own = not (url.hostname or "").endswith("amazonaws.com")
    made = client.create_api(Name=f"{place.called}-api", ProtocolType="HTTP")["ApiId"]
    backend = place.backend("apigatewayv2")
    api = backend.apis[id] = backend.apis.pop(made)  # by the id that its metrics have
    api.api_id, api.api_endpoint = id, f"https://{id}.execute-api.{place.region}.amazonaws.com"
    client.create_stage(
        ApiId=id, StageName="$default" if own else url.path.strip("/") or "$default"
    )
    routes = {"$default": about.function, **about.behind}
    tokens = _authorizer(place, id) if authorizer else {}
    behind = {
        key: _integration(place, id, key)
        for key in dict.fromkeys(routes.values())
        if key in place.facts.get("functions", {})
    }
    for route, key in routes.items():
        if key in behind:
            client.create_route(ApiId=id, RouteKey=route, Target=behind[key], **tokens)
    if own and url.hostname:
        client.create_domain_name(DomainName=url.hostname)
        client.create_api_mapping(
            ApiId=id, DomainName=url.hostname, Stage="$default", ApiMappingKey=url.path.strip("/")
        )


def _integration(place: Place, id: str, key: str) -> str:
    """What a route to a function names."""
    uri = names.arn(place, "lambda", f"function:{names.function(place, key)}")
    given = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0"}
    made = place.client("apigatewayv2").create_integration(ApiId=id, IntegrationUri=uri, **given)
    return f"integrations/{made['IntegrationId']}"


def _authorizer(place: Place, id: str) -> dict[str, Any]:
    """Tokens of the users' pool, for its app clients; what a route says of it."""
    pool = place.memory["pool"]
    clients = place.backend("cognito-idp").user_pools[pool].clients
    issuer = f"https://cognito-idp.{place.region}.amazonaws.com/{pool}"
    made = place.client("apigatewayv2").create_authorizer(
        ApiId=id,
        Name="users",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Audience": [*clients], "Issuer": issuer},
    )
    return {"AuthorizationType": "JWT", "AuthorizerId": made["AuthorizerId"]}
