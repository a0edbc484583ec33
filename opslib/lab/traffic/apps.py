"""The app behind a target's API: an estate's routes, its log lines, what a drill does to it."""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg

from opslib.lab.aws.handlers import ApiHandler, Invocation
from opslib.lab.corrections.ecs import targets
from opslib.lab.forms.days import Api
from opslib.lab.places import Place
from opslib.lab.resources import functions
from opslib.lab.traffic import days, journals, lines, measures
from opslib.lab.traffic.requests import Answer, Hanging, Problem, Request, Routes, encode
from opslib.lab.traffic.traffic import Request as Asked

JSON = "application/json"
HANG_SECONDS = 1.0  # in the lab; API Gateway gives up after 29
_PARKED = (
    "<!doctype html>\n<html><head><title>This domain is parked</title></head>"
    "<body><h1>Welcome</h1><p>Nothing has been published here yet.</p></body></html>\n"
)
_FAILED = {"message": "Internal Server Error"}
Said = Callable[[Mapping[str, Any]], str]
Troubled = tuple[int, Any, list[str]]  # status, answer, what the log says of trouble


class App:
    """One target's, in the form that its estate's `api` and `lines` give it.

    key:    the function behind the API; empty where nothing is known of what answers
    said:   what the log says of an answer that is an error
    """

    def __init__(
        self, place: Place, key: str, about: Api, routes: Routes, said: Said | None = None
    ) -> None:
        self._place, self._key, self._about, self._routes = place, key, about, routes
        self._said = said or self._detail
        self._base = urlsplit(str(place.facts["api"]["url"])).path  # `/api/v1`, or the stage

    def handler(self, place: Place) -> ApiHandler:
        """What answers under the target's URL."""
        return self._handle

    def _handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, str, bytes]:
        fault = self._place.faults.get("api", {})
        if fault.get("kind") == "unreachable":
            # Ends this connection's thread without an answer, and without a trace in the log.
            raise SystemExit
        if fault.get("kind") == "html":
            return 200, "text/html; charset=utf-8", _PARKED.encode()
        if answer := targets.fixed(self._place.backend("elbv2"), path):
            return answer  # the load balancer's own
        time.sleep(fault.get("seconds", 0))
        if fault.get("kind") == "404" or not path.startswith(f"{self._base}/"):
            return 404, JSON, b'{"message":"Not Found"}'
        asked = path[len(self._base) :].rstrip("/") or "/"
        if functions.stopped(self._place, self._served(method, asked)):
            # What API Gateway makes of a throttle.
            return 503, JSON, b'{"message":"Service Unavailable"}'
        status, answer = self.serve(Request(self._place, method, asked, query, headers, body))
        return status, JSON, encode(answer)

    def function(self, event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
        """The function's handler: an API Gateway proxy event (payload 2.0, or 1.0)."""
        http = event.get("requestContext", {}).get("http", {})
        method = http.get("method") or event["httpMethod"]
        path = (event.get("rawPath") or event["path"]).removeprefix(self._base)
        body = (event.get("body") or "").encode()
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        query = event.get("queryStringParameters") or {}
        status, answer = self.serve(Request(self._place, method, path, query, headers, body))
        told = {"content-type": JSON}
        return {"statusCode": status, "headers": told, "body": encode(answer).decode()}

    def serve(self, request: Request) -> Answer:
        """The app's answer, with its lines in the log of the function behind it,
        if there is one.
        """
        if not self._key:
            try:
                return self._routed(request)
            except Problem as exc:
                return exc.status, self._refused(exc)
        began, when, id = time.monotonic(), self._place.now(), str(uuid.uuid4())
        status, answer, trouble = self._answer(request, id)
        taken_ms = (time.monotonic() - began) * 1000
        if not trouble:
            said = self._said(answer) if status >= 400 else ""
            trouble = [self._line(request, when, id, status, round(taken_ms, 2), said)]
        key = self._served(request.method, request.path)
        self._tell(key, when, id, status, taken_ms, trouble)
        return status, answer

    def _answer(self, request: Request, id: str) -> Troubled:
        if self._fails(request):
            return 500, _FAILED, [self._texts.thrown(self._place.now(), id)]
        try:
            return *self._routed(request), []
        except Problem as exc:
            return exc.status, self._refused(exc), []
        except Hanging as exc:
            time.sleep(HANG_SECONDS)
            now = self._place.now()
            key = self._served(request.method, request.path)
            limit = functions.live_function(self._place, key).timeout
            text = f"{now:%Y-%m-%dT%H:%M:%S.%fZ} {id} Task timed out after {limit}.00 seconds"
            told = [lines.entry("WARN", now, message=str(exc)), text]
            return 503, {"message": "Service Unavailable"}, told
        except psycopg.Error as exc:
            return 500, _FAILED, [self._lost(request, exc, id)]

    def _routed(self, request: Request) -> Answer:
        allowed = False
        for (method, pattern), respond in self._routes.items():
            if found := re.fullmatch(pattern, request.path):
                allowed = True
                if method == request.method:
                    return respond(replace(request, ids=tuple(map(int, found.groups()))))
        raise Problem(405, "Method Not Allowed") if allowed else Problem(404, "Not Found")

    def _refused(self, problem: Problem) -> Any:
        """The answer to what cannot be done."""
        return {self._about.error: str(problem)}

    def _fails(self, request: Request) -> bool:
        """Of a bad version, the second of each four requests for the same path."""
        key = self._served(request.method, request.path)
        bad = functions.is_bad(self._place, key, functions.live(self._place, key))
        if not bad or not re.fullmatch(self._about.breakable, request.path):
            return False
        seen = self._place.memory.setdefault("asked", {})
        seen[request.path] = seen.get(request.path, 0) + 1
        return bool(seen[request.path] % 4 == 2)

    def _lost(self, request: Request, exc: psycopg.Error, id: str) -> str:
        """What the log says when the database fails; the caller is told nothing."""
        about = self._about
        said = about.lost if isinstance(exc, psycopg.OperationalError) else about.failed
        if not said:
            return f"[ERROR] {type(exc).__name__}: {str(exc).strip()}"
        return self._line(request, self._place.now(), id, 500, 0.0, said + reason(exc))

    def _line(
        self, request: Request, when: datetime, id: str, status: int, ms: float, said: str
    ) -> str:
        """The app's line in the log about a request."""
        user = request.headers.get("x-user-id", "")
        asked = Asked(id, 0, request.method, request.path, status, ms, user, message=said)
        return self._texts.line(asked, when)

    def _served(self, method: str, path: str) -> str:
        """The function that answers it."""
        day = days.of(self._place)
        return day.served(method, path) if day else self._key

    def _tell(
        self, key: str, when: datetime, id: str, status: int, ms: float, told: list[str]
    ) -> None:
        place, version = self._place, functions.live(self._place, key)
        run = lines.Run(id, version, functions.memory(place, key), ms)
        texts = journals.spread(when, lines.framed(run, told))
        journals.write(place, key, texts, version)
        # What fails while a drill is on is not counted: nothing of it is left when it is mended.
        if status < 500:
            measures.answered(place, key, when, min(round(ms, 2), self._about.most_ms))

    @property
    def _texts(self) -> lines.Texts:
        day = days.of(self._place)
        assert day is not None, f"{self._place.name} has no API"
        return day.texts

    def _detail(self, body: Mapping[str, Any]) -> str:
        """What an answer says of its error, or the reasons of a health answer, in a line."""
        if said := body.get(self._about.error):
            return str(said)
        told = {
            name: check.get("reason", "") if isinstance(check, Mapping) else check
            for name, check in body.get("checks", body).items()
        }
        return "; ".join(f"{name}: {text}" for name, text in told.items() if text and text != "ok")


def reason(exc: psycopg.Error) -> str:
    """What the database said, in a line and without where it is."""
    return str(exc).strip().splitlines()[0].rpartition("failed: ")[2]
