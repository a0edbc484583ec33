"""An API that several functions serve: each has its own requests, log, metrics and versions."""

from __future__ import annotations

from typing import Any

from opslib import connect
from opslib.core.reads import functions, logs
from opslib.core.times import window

TARGET = "lab/dms-dev"
LISTS, SEARCH, UPLOADS = "list-documents", "search", "init-upload"


def test_each_function_has_the_requests_of_its_routes_and_the_gateway_all(lab: Any) -> None:
    ops = connect(TARGET)
    within = window(ops, 60)
    points = functions.read_points(ops, [LISTS, SEARCH, UPLOADS], within)
    calls = points[points["metric"] == "Invocations"].groupby("function")["value"].sum()
    assert calls[LISTS] > calls[SEARCH] > calls[UPLOADS] * 0.5 > 0
    said = logs.search(ops, SEARCH, "", within)
    told = said["message"][said["message"].str.contains('"path"')]
    assert abs(len(told) - calls[SEARCH]) <= 15  # a period at each edge
    assert told.str.contains('"path": "/search"').all()


def test_a_bad_version_of_one_fails_its_requests_and_no_others(lab: Any) -> None:
    ops = connect(TARGET)
    with lab.broken("bad-version", "dms-dev"):
        points = functions.read_points(ops, [LISTS, SEARCH, UPLOADS], window(ops, 30))
    errors = points[points["metric"] == "Errors"].groupby("function")["value"].sum()
    assert errors[LISTS] > 20
    assert errors[SEARCH] + errors[UPLOADS] == 0


def test_the_gateway_leads_each_route_to_its_function_with_a_token(lab: Any) -> None:
    ops = connect(TARGET)
    routes = ops.call("apigatewayv2", "get_routes", ApiId="dms4dev001")["Items"]
    assert {each["RouteKey"] for each in routes} == {
        "$default",
        "GET /documents",
        "GET /search",
        "GET /tenants/usage",
    }
    assert len({each["Target"] for each in routes}) == 3
    assert all(each["AuthorizerId"] for each in routes)


def test_a_role_is_simulated_with_its_own_policies_an_explicit_denial_first(lab: Any) -> None:
    """moto has no SimulatePrincipalPolicy."""
    ops = connect(TARGET)
    role = functions.live(ops, UPLOADS)["Role"]

    def decided(*actions: str) -> list[str]:
        given = {"PolicySourceArn": role, "ActionNames": list(actions)}
        found = ops.call("iam", "simulate_principal_policy", **given)["EvaluationResults"]
        return [each["EvalDecision"] for each in found]

    assert decided("s3:PutObject", "rds:DeleteDBCluster") == ["allowed", "implicitDeny"]
