"""API Gateway. moto lists no authorizers of an API: none is made in the lab."""

from __future__ import annotations

from typing import Any

from opslib.lab.aws.operations import Call, answers


@answers("apigatewayv2", "GetAuthorizers")
def authorizers(call: Call) -> dict[str, Any]:
    return {"Items": []}
