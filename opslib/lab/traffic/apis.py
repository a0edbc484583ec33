"""An app's HTTP API behind its API Gateway, with what a drill does to either, its log lines and its counts."""

from __future__ import annotations

import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg

from opslib.lab.aws.handlers import ApiHandler, Invocation
from opslib.lab.places import Place
from opslib.lab.resources import functions
from opslib.lab.traffic import journals, lines, measures
from opslib.lab.traffic.requests import Answer, Hanging, Problem, Request, Routes, encode

JSON = "application/json"
HANG_SECONDS = 1.0  # in the lab; API Gateway gives up after 29
_PARKED = (
    "<!doctype html>\n<html><head><title>This domain is parked</title></head>"
    "<body><h1>Welcome</h1><p>Nothing has been published here yet.</p></body></html>\n"
)
Troubled = tuple[int, Any, list[str]]  # status, answer, what the log says of trouble


class Api(ABC):
    """What a system's own has: the function behind it, its routes, and how its code says what goes wrong."""

    key: str
    routes: ClassVar[Routes]
    breakable: str  # pattern of the paths at which a bad version fails

    @abstractmethod
    def line(self, request: Request, when: datetime, id: str, answer: Answer, taken_ms: float) -> str:
        """The app's line in the log about a request."""

    @abstractmethod
    def thrown(self, when: datetime, id: str) -> str:
        """What the log says of an exception that nobody caught."""

    def refused(self, problem: Problem) -> Any:
        """The answer to what cannot be done."""
        return {"detail": str(problem)}

    def failed(self, request: Request, exc: psycopg.Error, id: str) -> Troubled:
        """The answer when the database fails."""
        text = f"[ERROR] {type(exc).__name__}: {str(exc).strip()}"
        return 500, {"message": "Internal Server Error"}, [text]

    def handler(self, place: Place) -> ApiHandler:
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
            base = _base(place)
            if fault.get("kind") == "404" or not path.startswith(f"{base}/"):
                return 404, JSON, b'{"message":"Not Found"}'
            if functions.stopped(place, self.key):
                return 503, JSON, b'{"message":"Service Unavailable"}'  # what API Gateway makes of a throttle
            request = Request(place, method, path[len(base) :].rstrip("/") or "/", query, headers, body)
            status, answer = self.serve(request)
            return status, JSON, encode(answer)

        return handle

    def function(self, event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
        """The function's handler: an API Gateway proxy event (payload 2.0, or 1.0)."""
        http = event.get("requestContext", {}).get("http", {})
        method = http.get("method") or event["httpMethod"]
        path = (event.get("rawPath") or event["path"]).removeprefix(_base(place))
        body = (event.get("body") or "").encode()
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        request = Request(place, method, path, event.get("queryStringParameters") or {}, headers, body)
        status, answer = self.serve(request)
        return {"statusCode": status, "headers": {"content-type": JSON}, "body": encode(answer).decode()}

    def serve(self, request: Request) -> Answer:
        """The app's answer, with its lines in the log."""
        began, when, id = time.monotonic(), request.place.now(), str(uuid.uuid4())
        status, answer, trouble = self._answer(request, id)
        taken = (time.monotonic() - began) * 1000
        self._tell(request, when, id, (status, answer), taken, trouble)
        return status, answer

    def _answer(self, request: Request, id: str) -> Troubled:
        if self._fails(request):
            return 500, {"message": "Internal Server Error"}, [self.thrown(request.place.now(), id)]
        try:
            return *self._routed(request), []
        except Problem as exc:
            return exc.status, self.refused(exc), []
        except Hanging as exc:
            time.sleep(HANG_SECONDS)
            limit, now = functions.live_function(request.place, self.key).timeout, request.place.now()
            text = f"{now:%Y-%m-%dT%H:%M:%S.%fZ} {id} Task timed out after {limit}.00 seconds"
            return 503, {"message": "Service Unavailable"}, [lines.entry("WARN", now, message=str(exc)), text]
        except psycopg.Error as exc:
            return self.failed(request, exc, id)

    def _routed(self, request: Request) -> Answer:
        allowed = False
        for (method, pattern), respond in self.routes.items():
            if found := re.fullmatch(pattern, request.path):
                allowed = True
                if method == request.method:
                    return respond(replace(request, ids=tuple(int(text) for text in found.groups())))
        raise Problem(405, "Method Not Allowed") if allowed else Problem(404, "Not Found")

    def _fails(self, request: Request) -> bool:
        """Of a bad version, the second of each four requests for the same path."""
        place = request.place
        bad = functions.is_bad(place, self.key, functions.live(place, self.key))
        if not bad or not re.fullmatch(self.breakable, request.path):
            return False
        seen = place.memory.setdefault("asked", {})
        seen[request.path] = seen.get(request.path, 0) + 1
        return bool(seen[request.path] % 4 == 2)

    def _tell(
        self, request: Request, when: datetime, id: str, answer: Answer, taken_ms: float, trouble: list[str]
    ) -> None:
        place, version = request.place, functions.live(request.place, self.key)
        run = lines.Run(id, version, functions.memory(place, self.key), taken_ms)
        texts = lines.framed(run, trouble or [self.line(request, when, id, answer, round(taken_ms, 2))])
        journals.write(place, self.key, journals.spread(when, texts), version)
        # What fails while a drill is on is not counted: nothing of it is left when it is mended.
        if answer[0] < 500:
            measures.answered(place, self.key, when, round(taken_ms, 2))


def _base(place: Place) -> str:
    """What each path begins with: `/api/v1`, or the stage."""
    return urlsplit(str(place.facts["api"]["url"])).path
