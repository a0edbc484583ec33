"""The app's HTTP API: its routes, and what its log says of each request."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from opslib.lab.estates.bluemoxon import catalogue, health, lines, maintenance
from opslib.lab.traffic import apis
from opslib.lab.traffic.requests import Answer, Request, Routes


class Api(apis.Api):
    """The collection's."""

    key = "api"
    breakable = r"/books/\d+|/health/ready"
    routes: ClassVar[Routes] = {
        ("GET", r"/health/live"): health.live,
        ("GET", r"/health/ready"): health.ready,
        ("GET", r"/health/info"): health.info,
        ("GET", r"/health/version"): health.version,
        ("GET", r"/health/deep"): health.deep,
        ("POST", r"/health/migrate"): health.migrate,
        **catalogue.routes(),
        **maintenance.routes(),
    }

    def line(self, request: Request, when: datetime, id: str, answer: Answer, taken_ms: float) -> str:
        status, body = answer
        path = urlsplit(request.place.facts["api"]["url"]).path + request.path
        told = {"request_id": id, "method": request.method, "path": path, "status": status, "latency_ms": taken_ms}
        if status >= 400:
            told["message"] = body.get("detail") or _reasons(body)
        return lines.entry("INFO" if status < 400 else "WARN" if status < 500 else "ERROR", when, **told)

    def thrown(self, when: datetime, id: str) -> str:
        return lines.TRACEBACK


def _reasons(answer: dict[str, Any]) -> str:
    """What a failing health answer says, in a line."""
    checks = answer.get("checks", answer)
    said = {name: check.get("reason", "") if isinstance(check, dict) else check for name, check in checks.items()}
    return "; ".join(f"{name}: {text}" for name, text in said.items() if text and text != "ok")


API = Api()
