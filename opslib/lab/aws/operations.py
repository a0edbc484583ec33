"""AWS operations that the lab answers itself, and the call that they are handed.

    @answers("sqs", "StartMessageMoveTask")
    def start_message_move_task(call: Call) -> Result:
        ...                          # call.params: the request, parsed as botocore's model says
        return {"TaskHandle": ...}   # serialised by the same model
        raise AwsError("ResourceNotFoundException", "The resource that you specified doesn't
        exist.")
        result = call.moto()         # what moto would answer (its errors pass through), to be
        completed

An operation that nobody answers goes to moto unchanged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import BytesIO
from typing import Any

from botocore.parsers import create_parser
from moto.core.errors import COMMON_ERROR_CODES
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.serialize import SerializationContext, XFormedAttributePicker, get_serializer_class

from opslib.core.connections.identities import partition
from opslib.lab.aws.ground import Ground, Standing

Result = dict[str, Any]
Answer = Callable[["Call"], Result]
Response = tuple[int, dict[str, str], bytes]

_answers: dict[tuple[str, str], Answer] = {}


class AwsError(ServiceException):  # type: ignore[misc]
    """An error as AWS answers it.

    `status` is looked up in the service's model when it is not given.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **members: Any) -> None:
        super().__init__(code, message)
        self.status = status
        if code not in COMMON_ERROR_CODES:  # the models leave some out, and moto warns of each
            COMMON_ERROR_CODES.append(code)
        self.__dict__.update(members)


class Answered(Exception):
    """moto answered with an error: its response goes to the caller as it is."""

    def __init__(self, response: Response) -> None:
        self.response = response


@dataclass
class Call:
    """One AWS call as the lab received it.

    `user` is the name of the IAM user, or of a role's session; None when it was not signed.
    """

    world: Ground[Standing]
    service: str
    operation: str
    account: str
    region: str
    user: str | None
    request_id: str
    received: datetime
    request: Request
    model: OperationModel
    uri_params: dict[str, Any]
    to_moto: Callable[[], Response]
    session: Any = None  # of a role that was assumed: moto's AssumedRole
    quiet: bool = False  # the lab's own call, as in seeding: what takes time in AWS is done at once

    @cached_property
    def params(self) -> dict[str, Any]:
        """The request's parameters by their API names."""
        parser = PROTOCOL_PARSERS[self.protocol](self.model)
        parsed: dict[str, Any] = parser.parse(
            {
                "method": self.request.method,
                "values": self.request.values,
                "headers": self.request.headers,
                "body": self.request.get_data(),
                "url_path": self.request.path,
                "url_params": self.uri_params,
            }
        )
        return parsed

    @property
    def protocol(self) -> str:
        return str(determine_request_protocol(self.model.service_model, self.request.content_type))

    @property
    def user_arn(self) -> str:
        if self.session:
            return str(self.session.arn)
        return f"arn:{self.partition}:iam::{self.account}:user/{self.user}"

    @property
    def partition(self) -> str:
        return partition(self.region)

    def backend(self, service: str | None = None) -> Any:
        """moto's backend of this call's account and region."""
        return self.world.backend(service or self.service, self.account, self.region)

    def moto(self) -> Result:
        """What moto answers, parsed. Its errors end the call with moto's own response."""
        status, headers, body = self.to_moto()
        if status >= 300:
            raise Answered((status, headers, body))
        parser = create_parser(self.protocol)
        raw = {"status_code": status, "headers": headers, "body": body}
        result: Result = parser.parse(raw, self.model.output_shape)
        result.pop("ResponseMetadata", None)
        return result


def answers(service: str, *operations: str) -> Callable[[Answer], Answer]:
    """Registers a function as the lab's answer to operations of a service (boto3's name of it)."""

    def register(answer: Answer) -> Answer:
        for operation in operations:
            if (service, operation) in _answers:
                raise RuntimeError(f"{service}:{operation} is answered twice")
            _answers[service, operation] = answer
        return answer

    return register


def answer_of(service: str, operation: str) -> Answer | None:
    return _answers.get((service, operation))


def serialise(call: Call, result: object) -> Response:
    """A result, or an AwsError, as the bytes that botocore's parser for the call's protocol
    reads.
    """
    service = call.model.service_model.service_name
    serializer_class = get_serializer_class(str(service), call.protocol)
    # Picks members from dicts by their API names, and from moto's objects by their attributes.
    serializer = serializer_class(
        operation_model=call.model,
        context=SerializationContext(call.request_id),
        value_picker=XFormedAttributePicker(),
    )
    response = serializer.serialize(result)
    status = (
        getattr(result, "status", None) or _status_member(call, result) or response["status_code"]
    )
    body = response["body"]
    headers = {name: str(value) for name, value in response["headers"].items()}
    headers["x-amzn-requestid"] = headers["x-amz-request-id"] = call.request_id
    return status, headers, body.encode() if isinstance(body, str) else body


def _status_member(call: Call, result: object) -> int | None:
    """The member that the model binds to the HTTP status (Lambda's StatusCode).

    The serialiser passes it over.
    """
    shape = call.model.output_shape
    if not isinstance(result, dict) or shape is None:
        return None
    bound = (
        name
        for name, member in shape.members.items()
        if member.serialization.get("location") == "statusCode"
    )
    return result.get(next(bound, ""))


def rewind(environ: dict[str, Any], body: bytes) -> None:
    """Puts a body that was read back for the next reader."""
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
