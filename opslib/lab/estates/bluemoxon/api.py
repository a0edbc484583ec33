"""The app's HTTP API behind its API Gateway, with what a drill does to either, its log lines and its counts."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg

from opslib.lab.estates.base import ApiHandler, Place
from opslib.lab.estates.bluemoxon import catalogue, health, journals, lines, maintenance, names
from opslib.lab.estates.bluemoxon.health import Answer
from opslib.lab.estates.bluemoxon.requests import Hanging, Problem, Request
from opslib.lab.estates.bluemoxon.traffic import Request as Asked
from opslib.lab.kit import functions

_JSON = "application/json"
HANG_SECONDS = 1.0  # in the lab; API Gateway gives up after 29
_ROUTES = {
    ("GET", r"/health/live"): health.live,
    ("GET", r"/health/ready"): health.ready,
    ("GET", r"/health/info"): health.info,
    ("GET", r"/health/version"): health.version,
    ("GET", r"/health/deep"): health.deep,
    ("POST", r"/health/migrate"): health.migrate,
    **catalogue.routes(),
    **maintenance.routes(),
}
_BREAKABLE = re.compile(r"/books/\d+|/health/ready")
_PARKED = (
    "<!doctype html>\n<html><head><title>This domain is parked</title></head>"
    "<body><h1>Welcome</h1><p>Nothing has been published here yet.</p></body></html>\n"
)


def handler(place: Place) -> ApiHandler:
    """What answers under the target's URL."""

    def handle(
        method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        fault = place.faults.get("api", {})
        if fault.get("kind") == "unreachable":
            raise SystemExit  # ends this connection's thread without an answer, and without a trace in the log
        if fault.get("kind") == "html":
            return 200, "text/html; charset=utf-8", _PARKED.encode()
        time.sleep(fault.get("seconds", 0))
        base = urlsplit(place.facts["api"]["url"]).path
        if fault.get("kind") == "404" or not path.startswith(f"{base}/"):
            return 404, _JSON, b'{"message":"Not Found"}'
        request = Request(place, method, path[len(base) :].rstrip("/") or "/", query, headers, body)
        status, answer = serve(request)
        return status, _JSON, health.encode(answer)

    return handle


def serve(request: Request) -> Answer:
    """The app's answer, with its lines in the log."""
    began, when = time.monotonic(), request.place.now()
    status, answer, trouble = _answer(request)
    taken = (time.monotonic() - began) * 1000
    _tell(request, when, status, answer, taken, trouble)
    return status, answer


def _answer(request: Request) -> tuple[int, Any, list[str]]:
    """(status, answer, what the log says of trouble)."""
    if _fails(request):
        return 500, {"message": "Internal Server Error"}, [lines.TRACEBACK]
    try:
        return *_routed(request), []
    except Problem as exc:
        return exc.status, {"detail": str(exc)}, []
    except Hanging as exc:
        time.sleep(HANG_SECONDS)
        limit = functions.live_function(request.place, "api").timeout
        text = f"{request.place.now():%Y-%m-%dT%H:%M:%S.%fZ} {uuid.uuid4()} Task timed out after {limit}.00 seconds"
        endpoint = f"https://{exc}.{request.place.region}.amazonaws.com/"
        waiting = lines.entry(
            "WARN", request.place.now(), message=f"Connect timeout on endpoint URL: {endpoint}, retrying"
        )
        return 503, {"message": "Service Unavailable"}, [waiting, text]
    except psycopg.Error as exc:
        text = f"[ERROR] {type(exc).__name__}: {str(exc).strip()}"
        return 500, {"message": "Internal Server Error"}, [text]


def _routed(request: Request) -> Answer:
    allowed = False
    for (method, pattern), respond in _ROUTES.items():
        if found := re.fullmatch(pattern, request.path):
            allowed = True
            if method == request.method:
                ids = tuple(int(text) for text in found.groups())
                return respond(Request(**{**vars(request), "ids": ids}))
    raise Problem(405, "Method Not Allowed") if allowed else Problem(404, "Not Found")


def _fails(request: Request) -> bool:
    """Of a bad version, the second of each four requests for the same book, and the same of the readiness probe."""
    place = request.place
    if not functions.is_bad(place, "api", functions.live(place, "api")) or not _BREAKABLE.fullmatch(request.path):
        return False
    seen = place.memory.setdefault("asked", {})
    seen[request.path] = seen.get(request.path, 0) + 1
    return bool(seen[request.path] % 4 == 2)


def _tell(request: Request, when: datetime, status: int, answer: Any, taken_ms: float, trouble: list[str]) -> None:
    place, version = request.place, functions.live(request.place, "api")
    path = urlsplit(place.facts["api"]["url"]).path + request.path
    asked = Asked(str(uuid.uuid4()), 1.0, request.method, path, status, round(taken_ms, 2))
    told = {
        "request_id": asked.id,
        "method": asked.method,
        "path": path,
        "status": status,
        "latency_ms": asked.latency_ms,
    }
    level = "INFO" if status < 400 else "WARN" if status < 500 else "ERROR"
    if status >= 400:
        told["message"] = answer.get("detail") or _reasons(answer)
    run = lines.Run(asked.id, version, functions.memory(place, "api"), taken_ms)
    texts = lines.framed(run, trouble or [lines.entry(level, when, **told)])
    journals.write(place, "api", journals.spread(when, texts), version)
    # What fails while a drill is on is not counted: nothing of it is left when it is mended.
    if status < 500:
        _count(place, when, asked)


def _reasons(answer: dict[str, Any]) -> str:
    """What a failing health answer says, in a line."""
    checks = answer.get("checks", answer)
    said = {name: check.get("reason", "") if isinstance(check, dict) else check for name, check in checks.items()}
    return "; ".join(f"{name}: {text}" for name, text in said.items() if text and text != "ok")


def _count(place: Place, when: datetime, asked: Asked) -> None:
    function, gateway = {"FunctionName": names.function(place, "api")}, {"ApiId": names.gateway(place)}
    put = place.metrics.put
    put("AWS/Lambda", "Invocations", function, when, 1.0, "Count")
    put("AWS/Lambda", "Duration", function, when, asked.latency_ms, "Milliseconds")
    put("AWS/ApiGateway", "Count", gateway, when, 1.0, "Count")
    put("AWS/ApiGateway", "Latency", gateway, when, asked.latency_ms, "Milliseconds")
