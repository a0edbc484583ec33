"""The way of an AWS call through the lab: who calls, what is called, delay, faults, answer,
trail.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from moto import backends
from moto.core.exceptions import ServiceException
from moto.core.request import Request
from moto.core.routing import NotFound, get_service_router
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app

from opslib.lab.aws import authorizations, credentials, denials, trail
from opslib.lab.aws.ground import Ground, Standing
from opslib.lab.aws.operations import (
    Answered,
    AwsError,
    Call,
    Response,
    answer_of,
    rewind,
    serialise,
)

log = logging.getLogger("opslib.lab")

_CREDENTIAL = re.compile(
    r"Credential=(?P<key>[^/,\s]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)
_BOTO3_NAMES = {
    "monitoring": "cloudwatch",
    "email": "ses",
    "elasticloadbalancing": "elbv2",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
_REQUEST_ID_HEADERS = ("x-amzn-requestid", "x-amz-request-id")
_REQUEST_ID = re.compile(rb"(?<=<[Rr]equestId>)[^<]*(?=</[Rr]equestId>)")

_moto = DomainDispatcherApplication(create_backend_app)
# moto tries the patterns of its services one after the other, under a lock.
_moto.get_backend_for_host = cache(_moto.get_backend_for_host)
# moto reads its folder for each call: a tenth of a short one.
_modules = frozenset(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: _modules


@dataclass(frozen=True)
class Signature:
    """What a request says about its sender."""

    key: str
    region: str
    service: str


class Gateway:
    """A WSGI application: every AWS call that is not answered by the lab itself goes to moto."""

    def __init__(self, world: Ground[Standing]) -> None:
        self.world = world

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        status, headers, body = self.respond(environ)
        told = {name.lower(): value for name, value in headers.items()}.get("content-length")
        headers = {
            name: value for name, value in headers.items() if name.lower() != "content-length"
        }
        # A HEAD's length is the object's, which is not sent.
        length = len(body) if environ["REQUEST_METHOD"] != "HEAD" else told
        listed = [
            *headers.items(),
            # One that was made anew is another lab.
            ("X-Opslib-Lab", self.world.started.isoformat()),
            *([("Content-Length", str(length))] if length is not None else []),
        ]
        start_response(status_line(status), listed)
        return [body]

    def respond(self, environ: dict[str, Any], quiet: bool = False) -> Response:
        """Answers a call. `quiet`: the lab's own: no delay, no faults, not in the trail."""
        request = Request(environ)
        rewind(environ, request.get_data())
        signature = _signature(request)
        if signature is None or (call := self._call(request, signature)) is None:
            return _ask_moto(environ)
        if call.account:
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.account
        if quiet:
            call.quiet = True
            return _answer(call)
        time.sleep(self.world.settings["delay_ms"] / 1000)
        response, error = _checked(call)
        trail.record(call, signature.key, error)
        return response

    def _call(self, request: Request, signature: Signature) -> Call | None:
        service = _BOTO3_NAMES.get(signature.service, signature.service)
        if service == "apigateway" and request.path.startswith("/v2/"):
            service = "apigatewayv2"
        if service == "ses" and request.path.startswith("/v2/"):
            service = "sesv2"
        if service == "es" and "/opensearch/" in request.path:
            service = "opensearch"
        try:
            model, uri_params = get_service_router(service).match(request)
        except (NotFound, NotImplementedError, ValueError):
            return None
        account, user, session = self._caller(signature.key, signature.region)
        for place in list(self.world.places.values()):
            if place.account == account:
                self.world.use(place)
        request_id = str(uuid.uuid4())
        return Call(
            world=self.world,
            service=service,
            operation=str(model.name),
            account=account,
            region=signature.region,
            user=user,
            session=session,
            request_id=request_id,
            received=self.world.now(),
            request=request,
            model=model,
            uri_params=uri_params,
            to_moto=partial(_ask_moto, request.environ, request_id),
        )

    def _caller(self, key: str, region: str) -> tuple[str, str | None, Any]:
        """The account and the user of an access key, or the session of a role that was assumed.

        ("", None, None) when the lab does not know it.
        """
        accounts = [place.account for place in list(self.world.places.values())]
        accounts = list(dict.fromkeys([*accounts, *self.world.unfit]))
        for account in accounts:
            for user in credentials.USERS:
                if credentials.credentials(account, user)[0] == key:
                    return account, user, None
        for account in accounts:
            if session := authorizations.session_of(self.world, account, region, key):
                return account, session.session_name, session
        return "", None, None


_PHRASES = {each.value: each.phrase for each in HTTPStatus}


def status_line(status: int) -> str:
    return f"{status} {_PHRASES.get(status, 'Unknown')}"


def _signature(request: Request) -> Signature | None:
    text = (
        request.headers.get("Authorization", "")
        or f"Credential={request.args.get('X-Amz-Credential', '')}"
    )
    found = _CREDENTIAL.search(text)
    return Signature(**found.groupdict()) if found else None


def _checked(call: Call) -> tuple[Response, AwsError | None]:
    """The answer to a call from outside, and the error when it was refused at the door."""
    error = denials.refusal(call)
    return (serialise(call, error), error) if error else (_answer(call), None)


def _answer(call: Call) -> Response:
    answer = answer_of(call.service, call.operation)
    try:
        return serialise(call, answer(call)) if answer else call.to_moto()
    except ServiceException as error:
        return serialise(call, error)
    except HTTPException as error:  # moto's older kind
        return serialise(call, AwsError(error.error_type, error.message, error.code))
    except Answered as answered:
        return answered.response
    except NotImplementedError as exc:
        return serialise(
            call, AwsError("NotImplemented", f"The lab has no {call.operation}: {exc}", 501)
        )
    except Exception as exc:
        log.exception("%s:%s", call.service, call.operation)
        return serialise(call, AwsError("InternalFailure", f"The lab failed: {exc!r}", 500))


def _ask_moto(environ: dict[str, Any], request_id: str = "") -> Response:
    """moto's answer, with the request's id where each protocol has it (moto makes up another)."""
    chunks, status, headers = run_wsgi_app(_moto, environ, buffered=True)
    body = b"".join(chunks)
    answer = {
        name: value for name, value in headers.items() if name.lower() not in _REQUEST_ID_HEADERS
    }
    if request_id:
        answer |= dict.fromkeys(_REQUEST_ID_HEADERS, request_id)
        if headers.get("Content-Type", "").startswith("text/xml"):
            body = _REQUEST_ID.sub(request_id.encode(), body)
    return int(status.split()[0]), answer, body
