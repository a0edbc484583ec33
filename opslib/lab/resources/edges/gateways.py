"""API Gateway before the function behind the API, as the address in the target's file has it.

Nothing goes through it: the app answers by itself. It is there to be looked at.
"""

from typing import Any
from urllib.parse import urlsplit

from moto.apigatewayv2.models import ApiMapping

from opslib.core.connections.identities import partition
from opslib.lab.forms.days import Traffic
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.edges import certificates

_STAGE = "prod"


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


def seed_described(place: Place) -> None:
    """What else the target's file names of API Gateway: each API, and the hosts that lead to it."""
    client, backend = place.client("apigatewayv2"), place.backend("apigatewayv2")
    kinds = {each["id"]: each.get("kind") for each in place.facts.get("apis", {}).values()}
    for id in names.gateways(place):
        if id not in backend.apis:
            kind = kinds.get(id) or "HTTP"
            made = client.create_api(Name=f"{place.called}-{id}", ProtocolType=kind)["ApiId"]
            api = backend.apis[id] = backend.apis.pop(made)
            api.api_id = id
            client.create_stage(ApiId=id, StageName="$default")
    for key, facts in place.facts.get("apis", {}).items():
        if facts.get("kind") == "REST":
            _rest(place, key, facts["id"])
        host = facts.get("host")
        if host and host not in backend.domain_names:
            arn = certificates.issue(place, host, place.region)
            shown = [{"CertificateArn": arn, "SecurityPolicy": "TLS_1_2"}]
            client.create_domain_name(DomainName=host, DomainNameConfigurations=shown)
            stage = _STAGE if facts.get("kind") == "REST" else "$default"
            _mapped(place, host, facts["id"], stage)


def _mapped(place: Place, host: str, id: str, stage: str) -> None:
    """moto's asks whether the API is one of its own kind: a REST API is none."""
    key = f"{id}{stage}"
    place.backend("apigatewayv2").api_mappings[key] = ApiMapping(id, "", key, host, stage)


def _rest(place: Place, key: str, id: str) -> None:
    """A REST API that hands all to the function behind the API, deployed, with a usage plan."""
    client, backend = place.client("apigateway"), place.backend("apigateway")
    made = client.create_rest_api(
        name=f"{place.called}-{key}", endpointConfiguration={"types": ["REGIONAL"]}
    )["id"]
    api = backend.apis[id] = backend.apis.pop(made)
    api.id = id
    [root] = client.get_resources(restApiId=id)["items"]
    proxy = client.create_resource(restApiId=id, parentId=root["id"], pathPart="{proxy+}")
    asked = {"restApiId": id, "resourceId": proxy["id"], "httpMethod": "ANY"}
    client.put_method(**asked, authorizationType="NONE", apiKeyRequired=True)
    given: dict[str, Any] = {"type": "MOCK"}
    for function in list(place.facts.get("functions", {}))[:1]:
        arn = names.arn(place, "lambda", f"function:{names.function(place, function)}")
        path = f"path/2015-03-31/functions/{arn}/invocations"
        uri = f"arn:{partition(place.region)}:apigateway:{place.region}:lambda:{path}"
        given = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": uri}
    client.put_integration(**asked, **given)
    client.create_deployment(restApiId=id, stageName=_STAGE)
    plan = client.create_usage_plan(
        name=f"{place.called}-{key}",
        apiStages=[{"apiId": id, "stage": _STAGE}],
        throttle={"rateLimit": 50.0, "burstLimit": 100},
        quota={"limit": 10_000, "period": "DAY"},
    )
    partner = client.create_api_key(name=f"{place.called}-partner", enabled=True)["id"]
    client.create_usage_plan_key(usagePlanId=plan["id"], keyId=partner, keyType="API_KEY")


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
