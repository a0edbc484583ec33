"""The app's HTTP API: its routes, and what its log says of each request."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import psycopg

from opslib.lab.estates.loglineos import lines, spans
from opslib.lab.traffic import apis
from opslib.lab.traffic.requests import Answer, Problem, Request, Routes
from opslib.lab.traffic.traffic import Request as Asked


class Api(apis.Api):
    """The ledger's."""

    key = "loader"
    breakable = "/spans|/timeline"
    routes: ClassVar[Routes] = {
        ("GET", "/health"): spans.health,
        ("GET", "/spans"): spans.listed,
        ("POST", "/spans"): spans.create,
        ("GET", "/timeline"): spans.timeline,
        ("POST", "/executions"): spans.execute,
    }

    def line(self, request: Request, when: datetime, id: str, answer: Answer, taken_ms: float) -> str:
        status, body = answer
        said = str(body.get("error", "")) if status >= 400 else ""
        if "disconnected" in body.values():
            said = lines.CONNECTION_FAILED + said
        user, message = request.headers.get("x-user-id", ""), said[:1].upper() + said[1:]
        return lines.served(when, Asked(id, 0, request.method, request.path, status, taken_ms, user, message=message))

    def thrown(self, when: datetime, id: str) -> str:
        return lines.thrown(when, id)

    def refused(self, problem: Problem) -> Any:
        return {"error": str(problem)}

    def failed(self, request: Request, exc: psycopg.Error, id: str) -> apis.Troubled:
        """The loader tells its log, and the caller nothing."""
        said = lines.CONNECTION_FAILED if isinstance(exc, psycopg.OperationalError) else "Query failed: "
        user, when = request.headers.get("x-user-id", ""), request.place.now()
        asked = Asked(id, 0, request.method, request.path, 500, 0.0, user, message=said + spans.reason(exc))
        return 500, {"message": "Internal Server Error"}, [lines.served(when, asked)]


API = Api()
