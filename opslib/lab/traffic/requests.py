"""A request to an app and its answer, as the app's own modules see them."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opslib.core.connections.http import authorised
from opslib.core.text import decoded
from opslib.lab.corrections.ecs import services as ecs
from opslib.lab.places import Place
from opslib.lab.resources import secrets

Answer = tuple[int, Any]  # status, what becomes the JSON


@dataclass(frozen=True)
class Request:
    """`path` is without the API's base, `/books/515`; `ids` are the numbers in it.

    Headers in small letters.
    """

    place: Place
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    ids: tuple[int, ...] = ()

    def json(self) -> dict[str, Any]:
        """The body as an object; empty when there is none. Raises Problem(422)."""
        try:
            given = json.loads(self.body or b"{}")
        except ValueError as exc:
            raise Problem(422, f"The body is not JSON: {exc}") from exc
        if not isinstance(given, dict):
            raise Problem(422, "The body is not an object")
        return given


Routes = Mapping[
    tuple[str, str], Callable[[Request], Answer]
]  # (method, pattern of the path): what answers


class Problem(Exception):
    """An error that the app answers: its status and a text."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def require_token(request: Request) -> None:
    """Raises Problem(401) unless the request has the key of the target's file, in its header."""
    place = request.place
    wanted = authorised(place.facts["api"], lambda name: _read(place, name), True)
    for header, value in wanted.items():
        given = request.headers.get(header.lower(), "")
        if not hmac.compare_digest(given.strip(), value):
            raise Problem(401, "Not authenticated")


def _read(place: Place, name: str) -> Any:
    text = secrets.read(place, name)
    return decoded(text, text)


def require_signed(request: Request, service: str) -> dict[str, Any]:
    """The claims of a token that a task of a service takes. Raises Problem(401).

    A task knows the value that the secret had when it was started; the oldest one answers.
    """
    place = request.place
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    parts, _, made = given.rpartition(".")
    value = _of_the_oldest(place, service, str(place.facts["tokens"]["secret"]))
    wanted = hmac.new(value.encode(), parts.encode(), "sha256").digest()
    if not hmac.compare_digest(_bytes(made), wanted):
        raise Problem(401, "Not authenticated")
    claims: dict[str, Any] = json.loads(_bytes(parts.partition(".")[2]))
    if claims["exp"] < place.now().timestamp():
        raise Problem(401, "The token has expired")
    return claims


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return b""


def _of_the_oldest(place: Place, service: str, secret: str) -> str:
    facts = place.facts["services"][service]
    at = (place.account, place.region, facts["cluster"], facts["name"])
    started = [
        task["startedAt"].timestamp()
        for task in ecs.find(*at).tasks
        if task["desiredStatus"] == "RUNNING" and "startedAt" in task
    ]
    versions = place.backend("secretsmanager").secrets[secret].versions.values()
    current, *before = sorted(
        (each for each in versions if {"AWSCURRENT", "AWSPREVIOUS"} & {*each["version_stages"]}),
        key=lambda each: "AWSPREVIOUS" in each["version_stages"],
    )
    old = before and min(started, default=0) < current["createdate"] > before[0]["createdate"]
    return str((before[0] if old else current)["secret_string"])


class Hanging(Exception):
    """The app waits for what does not come; API Gateway gives up on it. Its text.

    What the log says meanwhile.
    """


def encode(answer: Any) -> bytes:
    """JSON; times as ISO 8601."""
    return json.dumps(
        answer,
        default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value),
    ).encode()
