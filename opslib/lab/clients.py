"""boto3 clients that call the lab in-process, for seeding and for the estates' own code."""

from functools import cache
from io import BytesIO
from typing import Any

import boto3
import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from moto.core.request import Request

from opslib.lab.aws import credentials, moto
from opslib.lab.aws.ground import Ground
from opslib.lab.gateway import Gateway

_ENDPOINT = "http://127.0.0.1"


def in_process(world: Ground[Any], service: str, account: str, region: str, user: str) -> Any:
    """A client whose requests go to the lab's gateway without HTTP, faults, delay and trail."""
    return _client(world, service, account, region, user)


@cache
def _session(shared: bool) -> boto3.session.Session:
    """`shared`: with the service models that moto has loaded."""
    core = botocore.session.get_session()
    if shared:
        core.register_component("data_loader", moto.loader())
    return boto3.session.Session(botocore_session=core)


@cache
def _client(world: Ground[Any], service: str, account: str, region: str, user: str) -> Any:
    key, secret = credentials.credentials(account, user)
    # botocore takes the bucket out of the paths in its model of S3; moto's router would find no
    # call by them.
    client = _session(shared=service != "s3").client(
        service,
        region_name=region,
        endpoint_url=_ENDPOINT,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )
    gateway = Gateway(world)

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        environ = Request.from_primitives(
            request.method, request.url, request.headers, request.body
        ).environ
        status, headers, body = gateway.respond(environ, quiet=True)
        response = AWSResponse(request.url, status, headers, BytesIO(body))
        response._content = body
        return response

    client.meta.events.register("before-send", send)
    return client
