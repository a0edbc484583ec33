"""The app behind a target's API: an estate's routes, in the form that its `api` and `lines` give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import psycopg

from opslib.lab.forms import data
from opslib.lab.places import Place
from opslib.lab.traffic import apis, days
from opslib.lab.traffic.requests import Answer, Problem, Request, Routes
from opslib.lab.traffic.texts import Texts
from opslib.lab.traffic.traffic import Request as Asked

Said = Callable[[Mapping[str, Any]], str]


class App(apis.Api):
    """One target's. `said`: what the log says of an answer that is an error."""

    def __init__(self, place: Place, key: str, about: data.Api, routes: Routes, said: Said | None = None) -> None:
        self._place, self._about = place, about
        self.key, self.breakable = key, about.breakable
        self.routes = routes  # type: ignore[misc]
        self._said = said or self._detail

    def serve(self, request: Request) -> Answer:
        """The app's answer, with its lines in the log of the function behind it, where there is one."""
        if self.key:
            return super().serve(request)
        try:
            return self._routed(request)
        except Problem as exc:
            return exc.status, self.refused(exc)

    def line(self, request: Request, when: datetime, id: str, answer: Answer, taken_ms: float) -> str:
        status, body = answer
        said = self._said(body) if status >= 400 else ""
        return self._told(request, when, id, status, taken_ms, said)

    def _told(self, request: Request, when: datetime, id: str, status: int, ms: float, said: str) -> str:
        user = request.headers.get("x-user-id", "")
        asked = Asked(id, 0, request.method, request.path, status, ms, user, message=said)
        return self._texts.line(asked, when)

    @property
    def _texts(self) -> Texts:
        day = days.of(self._place)
        assert day is not None, f"{self._place.name} has no API"
        return day.texts

    def thrown(self, when: datetime, id: str) -> str:
        return self._texts.thrown(when, id)

    def refused(self, problem: Problem) -> Any:
        return {self._about.error: str(problem)}

    def failed(self, request: Request, exc: psycopg.Error, id: str) -> apis.Troubled:
        """The caller is told nothing; the log, what the estate's `api` says."""
        about = self._about
        said = about.lost if isinstance(exc, psycopg.OperationalError) else about.failed
        if not said:
            return super().failed(request, exc, id)
        line = self._told(request, request.place.now(), id, 500, 0.0, said + reason(exc))
        return 500, {"message": "Internal Server Error"}, [line]

    def _detail(self, body: Mapping[str, Any]) -> str:
        """What an answer says of its error, or the reasons of a health answer, in a line."""
        if said := body.get(self._about.error):
            return str(said)
        checks = body.get("checks", body)
        told = {
            name: check.get("reason", "") if isinstance(check, Mapping) else check for name, check in checks.items()
        }
        return "; ".join(f"{name}: {text}" for name, text in told.items() if text and text != "ok")


def reason(exc: psycopg.Error) -> str:
    """What the database said, in a line and without where it is."""
    return str(exc).strip().splitlines()[0].rpartition("failed: ")[2]
