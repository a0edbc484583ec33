"""Requests to a system's own HTTP API: timed, with an end, recorded like AWS calls."""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from opslib.core import redaction
from opslib.core.connections.meanings import translated
from opslib.core.defects import families_of, in_a_line, understood
from opslib.core.errors import (
    Lost,
    UsageError,
)
from opslib.core.journal import Journal
from opslib.core.tables import Json, Params
from opslib.core.text import decoded


@dataclass(frozen=True)
class Api:
    """Where a system's API is: `api.url` of the target, or the lab's; its headers, how long to wait
    for an answer.

    `called`: what records call it. `tunnel`: a host and port that lead there instead of its name.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 10.0
    called: str = "http"
    tunnel: tuple[str, int] | None = None


READS = ("GET", "HEAD")
_NOT_SENT = r"\b(ConnectTimeout|Proxy|LocationValue)Error"
_FIELDS = ("token", "key", "api_key", "apiKey", "apikey", "API_KEY")  # of a secret that holds a key


@dataclass(frozen=True)
class Response:
    """An HTTP answer.

    `body` is decoded JSON, or None when it is not JSON; `text` is what was sent.
    """

    method: str
    url: str
    status: int
    seconds: float
    content_type: str
    text: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The decoded body of a 2xx answer.

        Raises NotAllowed, NotFound or OpsError otherwise, also for HTML.
        """
        if self.ok and self.body is not None:
            return self.body
        kind, said = self.content_type or "something", redaction.mask(self.text)
        raise translated("http statuses", str(self.status), answer=self, kind=kind, said=said)


def keyed(api: Params) -> bool:
    """Whether the target's file says how a request is authorised."""
    return "key" in api or "token_secret" in api


def authorised(
    api: Params, read: Callable[[str], Any], asked: bool | Mapping[str, str]
) -> Mapping[str, str]:
    """The header that authorises a request, as the target's file says; none where it names no key.

    `read` gives a secret's value. `asked`: whether an answer needs it, or a header in its place.
    Raises UsageError: the secret has no such field.
    """
    if isinstance(asked, Mapping):
        return asked
    about = api.get("key") or {"secret": api.get("token_secret")}
    if not keyed(api) or not (asked or about.get("always")):
        return {}
    header, name = about.get("header", "Authorization"), about["secret"]
    scheme = about.get("scheme", "Bearer" if header.lower() == "authorization" else "")
    value = read(name)
    if scheme.lower() == "basic" and isinstance(value, dict) and "field" not in about:
        value = ":".join(str(value.get(part, "")) for part in ("username", "password"))
    elif isinstance(value, dict):
        fields = [about["field"]] if "field" in about else _FIELDS
        found = [str(value[field]) for field in fields if field in value]
        if not found:
            raise UsageError(
                f"Secret {name!r} has no {' or '.join(fields)}; it has {', '.join(value)}. Say in "
                "api.key.field of the target's file which is the key."
            )
        value = found[0]
    if scheme.lower() == "basic" and ":" in str(value):
        value = base64.b64encode(str(value).encode()).decode()
        redaction.register(value, name)
    return {header: f"{scheme} {value}".strip()}


def sign(
    api: Api, method: str, path: str, body: bytes, session: Any, service: str
) -> dict[str, str]:
    """The headers by which AWS knows who sends a request (SigV4), with a boto3 session's login.

    None where the address has an authorisation of its own.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    if "Authorization" in api.headers:
        return {}
    held = {"Content-Type": "application/json"}
    held["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    asked = AWSRequest(method, api.url + path, held, body)
    login = session.get_credentials().get_frozen_credentials()
    SigV4Auth(login, service, session.region_name).add_auth(asked)
    return {name: str(value) for name, value in asked.headers.items()}


def request(
    api: Api, method: str, path: str, body: Any, key: Mapping[str, str], journal: Journal
) -> Response:
    """One request, not repeated. `key`: the header that authorises it.

    Raises Unfinished when there is no answer in time, with the limit in the message; Lost when it
    may have changed something.
    """
    import urllib3

    held: Json = {}
    named: Json = {}
    url = api.url + path
    if api.tunnel:  # its certificate, and what is signed, are of its own name
        parts = urlsplit(url)
        held = {"Host": parts.netloc}
        named = dict.fromkeys(("server_hostname", "assert_hostname"), parts.hostname)
        url = parts._replace(netloc="{}:{}".format(*api.tunnel)).geturl()
    for name, value in api.headers.items():
        if redaction.names_a_secret(name):
            redaction.register(value, f"header {name}")
    headers = {"Accept": "application/json", **held, **api.headers, **key}
    ticks, error = time.monotonic(), None
    asked = f"{method} {url}"
    with understood(asked):
        try:
            answer = urllib3.PoolManager(**named).request(
                method,
                url,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=3.0, read=api.timeout_seconds),
                **{"body" if isinstance(body, bytes) else "json": body},
            )
            error = str(answer.status) if answer.status >= 400 else None
        except Exception as cause:
            error = type(cause).__name__
            if not isinstance(cause, urllib3.exceptions.HTTPError):
                raise
            said = {"limit": f"{api.timeout_seconds:g} s", "error": error, "why": in_a_line(cause)}
            told = translated("http silences", families := families_of(cause), asked=asked, **said)
            sent = re.search(_NOT_SENT, families) is None  # it may be done
            raise (Lost(str(told)) if sent and method not in READS else told) from cause
        finally:
            journal.call(api.called, f"{method} {path.split('?')[0]}", ticks, error=error)
    seconds, kind = round(time.monotonic() - ticks, 4), answer.headers.get("content-type", "")
    text = answer.data.decode("utf-8-sig", "replace")
    about = answer.headers  # by names in any case
    return Response(method, url, answer.status, seconds, kind, text, decoded(text), about)
