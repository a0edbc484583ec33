"""A connection whose AWS is a function: what a strange answer becomes, without a lab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from opslib.core.connections import targets
from opslib.core.connections.connection import Access, Connection
from opslib.core.connections.http import Api
from opslib.core.journal import Journal

# By service and operation: status and body of the answer; or an error that is raised.
Answer = Callable[[str, str], tuple[int, bytes]]
_WHO = (
    b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/ana</Arn>"
    b"<Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)


def connection(answer: Answer, target: str = "lab/bluemoxon-staging") -> Connection:
    """Who we are is answered well; all else by `answer`, once and at once."""
    described = targets.load(target)
    session = boto3.Session("AKIAEXAMPLE", "nothing", region_name=described.region)

    def send(request: Any, event_name: str, **_: Any) -> AWSResponse:
        service, operation = event_name.split(".")[1:]
        status, body = (200, _WHO) if service == "sts" else answer(service, operation)
        response = AWSResponse(request.url, status, {"x-amzn-RequestId": "r"}, None)
        response._content = body
        return response

    session.events.register("before-send", send)
    config = Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True)
    silent = Api("http://127.0.0.1:9", timeout_seconds=0.5)
    return Connection(described, Access(session, config, None, silent), Journal())
