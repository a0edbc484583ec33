"""botocore, set up and translated in one place: session, recording of calls, errors."""

import base64
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from opslib.core.connections import answers, identities
from opslib.core.connections.meanings import entry, translated
from opslib.core.connections.sending import Sharing
from opslib.core.connections.targets import Target
from opslib.core.defects import families_of, in_a_line, understood
from opslib.core.errors import HalfWay, NotAllowed, OpsError
from opslib.core.journal import Journal
from opslib.core.rights import rights
from opslib.core.tables import Json
from opslib.core.text import cut, decoded, plain


def session(target: Target, keys: tuple[str, str] | None) -> tuple[Any, Any]:
    """A boto3 session and client configuration. `keys` are the lab's; else the target's profile.

    Raises NotAllowed.
    """
    from botocore import __version__
    from botocore.config import Config
    from botocore.exceptions import ProfileNotFound

    config = Config(
        retries={"mode": "standard" if keys else "adaptive", "max_attempts": 5},
        connect_timeout=5,
        read_timeout=65,
        max_pool_connections=16,
        # The target's name decides between AWS and lab, never a variable.
        ignore_configured_endpoint_urls=True,
        user_agent=f"Botocore/{__version__} opslib",  # else it is put together twice a request
        proxies={} if keys else None,  # the lab is on this machine; else as the environment says
    )
    with errors("sts", "session", target.name, {}, target.profile):
        try:
            made = (
                identities.of_the_lab(target.region, keys)
                if keys
                else identities.of_profile(target.region, target.profile)
            )
        except ProfileNotFound as exc:
            practise = f", or practise on lab/{target.key}" * bool(target.account)
            raise NotAllowed(
                f"AWS profile {target.profile!r} of {target.name} is not configured here. "
                f"Set it up with 'aws configure sso --profile {target.profile}'{practise}."
            ) from exc
        core = made._session
        core.register_component("data_loader", descriptions())
        factory = core.get_component("response_parser_factory")
        factory.set_parser_defaults(timestamp_parser=_timestamp)
    return made, config


@cache
def descriptions() -> Any:
    """What botocore reads of AWS's descriptions of its services: read once, however many sessions
    there are.
    """
    from botocore.loaders import create_loader

    return create_loader()


def _timestamp(value: Any) -> datetime:
    """A time of an answer, in UTC (botocore's own are local); without dateutil, which is half the
    cost of a long listing.
    """
    try:
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
        made = datetime.fromisoformat(value)
        return made if made.tzinfo else made.replace(tzinfo=UTC)
    except ValueError:
        from botocore.utils import parse_timestamp

        other: datetime = parse_timestamp(value)
        return other


def record_calls(made: Any, journal: Journal, sharing: Sharing, **more: Any) -> None:
    """Write every AWS call of the session into the journal (with `more`), and register what comes
    back as a secret. What botocore takes for an empty answer and is none (cut, a page of HTML) is
    an error.
    """
    from botocore.parsers import ResponseParserError

    def given(params: Json, model: Any, context: Json, **_: Any) -> None:
        answers.register_request(params, model)
        context["opslib_named"] = rights.named(params)

    def before(model: Any, context: Json, **_: Any) -> None:
        context["opslib"] = (model, time.monotonic())

    def after(
        context: Json,
        parsed: Any = None,
        exception: Any = None,
        http_response: Any = None,
        **_: Any,
    ) -> None:
        if "opslib" not in context:  # botocore answered it by itself
            return
        # Where no answer came, botocore does not say which call it was: the context does.
        model, ticks = context["opslib"]
        answer, raised = parsed or {}, type(exception).__name__ if exception else None
        misread = not exception and _misread(model, answer, http_response)
        sharing.hand_on(context, http_response, None if misread else parsed)
        answers.register_answer(model, answer)
        metadata = answer.get("ResponseMetadata", {})
        journal.call(
            model.service_model.service_name,
            model.name,
            ticks,
            request_id=metadata.get("RequestId"),
            retries=metadata.get("RetryAttempts", 0),
            error=answer.get("Error", {}).get("Code") or raised or (_MISREAD if misread else None),
            region=context.get("client_region"),
            named=context.get("opslib_named", {}),
            **more,
        )
        if misread:
            raise ResponseParserError(f"{len(http_response.content):,} bytes that hold nothing")

    for event, handler in {
        "before-call": before,
        "response-received": sharing.received,
        "after-call": after,
        "after-call-error": after,
        "provide-client-params": given,
    }.items():
        made.events.register(event, handler)
    made.events.register_first("before-call", sharing.before)


_OF_A_LOGIN = tuple(f"botocore/{name}.py" for name in ("credentials", "tokens", "configloader"))
_MISREAD = "ResponseParserError"
# Of these services a list of nothing is in the answer, too.
_LISTING = ("cloudwatch", "cognito-idp", "lambda", "logs", "secretsmanager")


def _misread(model: Any, answer: Json, told: Any) -> bool:
    """Of an answer in which botocore found nothing: whether it is another than an empty one."""
    shape = model.output_shape
    if told is None or shape is None or not shape.members or set(answer) - {"ResponseMetadata"}:
        return False
    parts = shape.members.values()
    if all("location" in part.serialization for part in parts):  # in headers, which may be left out
        return False
    lists = {name for name, part in shape.members.items() if part.type_name == "list"}
    if lists and model.service_model.service_name in _LISTING:
        return True
    body, protocol = told.content.strip(), model.service_model.metadata["protocol"]
    if "json" in protocol:
        said = decoded(body.decode(errors="replace"))  # a list that is null is none
        well = isinstance(said, dict) and not lists & said.keys()
    else:
        well = bool(body) and not re.match(rb"(?i)<(!doctype )?html", body)
    return not well and told.status_code not in (202, 204)


@contextmanager
def errors(
    service: str, operation: str, where: str, parameters: Json, profile: str | None = None
) -> Iterator[None]:
    """Translate what botocore raises into opslib's errors: by its code or its family, and what is
    of neither as NotUnderstood. `profile`: whose login is advised.
    """
    from botocore.exceptions import BotoCoreError, ClientError, UndefinedModelAttributeError
    from botocore.parsers import ResponseParserError

    option = f" --profile {profile}" if profile and profile != "default" else ""
    asked = question(service, operation, where, parameters)
    more = {"asked": asked, "profile": profile or "default", "option": option}
    more["login"] = f"Log in (aws sso login{option}), or practise in the lab."
    with understood(asked):
        try:
            yield
        except ClientError as exc:
            error = exc.response.get("Error", {})
            code = str(error.get("Code", ""))
            said = " ".join(str(error.get("Message", "")).split())
            hinted = (hint["code"] for hint in entry("hints") if re.search(hint["shown"], said))
            raise translated("aws codes", next(hinted, code), code=code, said=said, **more) from exc
        except (BotoCoreError, UndefinedModelAttributeError, ResponseParserError) as exc:
            raise translated("aws families", families_of(exc), said=exc, **more) from exc
        except OpsError:
            raise
        except Exception as exc:
            frames = traceback.extract_tb(exc.__traceback__)
            if not any(frame.filename.endswith(_OF_A_LOGIN) for frame in frames):
                raise
            said = in_a_line(exc)  # a file or a program that answers otherwise
            raise translated("aws families", "CredentialRetrievalError", said=said, **more) from exc


_TOKENS = ("NextToken", "nextToken", "NextMarker", "NextPageToken")
# SQS ends after 1,000 without a word, unless pages of a size are asked for
_SIZED = {"list_queues": 1000, "list_dead_letter_source_queues": 1000}


def answers_of(client: Any, operation: str, parameters: Json) -> Any:
    """Every page of a call, each asked for when it is read.

    Of a call with pages that botocore has no paginator for (ecs ListServiceDeployments, wafv2
    ListIPSets, secretsmanager ListSecretVersionIds) one is made of the token that it takes and
    gives.
    """
    from botocore.paginate import Paginator

    call = getattr(client, operation)
    if client.can_paginate(operation):
        sized = {"PaginationConfig": {"PageSize": _SIZED.get(operation)}}
        return client.get_paginator(operation).paginate(**sized | parameters)
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    given, told = (of.members if of else {} for of in (model.input_shape, model.output_shape))
    token = next((each for each in _TOKENS if each in given and each in told), None)
    if token is None:
        return [call(**parameters)]
    lists = [name for name, shape in told.items() if shape.type_name == "list"]
    about = {"input_token": token, "output_token": token, "result_key": lists}
    return Paginator(call, about, model).paginate(**parameters)


def question(service: str, operation: str, where: str, parameters: Json) -> str:
    """What was asked, by its first parameter that names something, and where, for messages."""
    no_names = ("Payload", "ScanBy")
    given = (v for k, v in parameters.items() if k not in no_names)
    texts = (v[0] if isinstance(v, list) and len(v) == 1 else v for v in given)
    value = next((text for text in texts if isinstance(text, str) and 0 < len(text) < 200), "")
    name = value.rsplit("/", 1)[-1] if value.startswith("arn:") else value
    return f"{service} {operation}{f' of {name!r}' if name else ''} in {where}"


_TAIL_LINES = 8
_LAMBDAS_OWN = ("START ", "END ", "REPORT ", "INIT_START ")


def _tail(answer: Json) -> str:
    """The end of the function's log, when it was asked for (LogType=Tail), masked."""
    lines = answer["LogResult"].splitlines()
    own = [line for line in lines if line.strip() and not line.startswith(_LAMBDAS_OWN)]
    shown = ["Its log ends:", *own[-_TAIL_LINES:]] if own else []
    return "".join(f"\n    {cut(plain(line), 300)}" for line in shown)


_FAILED_ITEMS = {"s3": "Errors", "sqs": "Failed"}


def checked(service: str, operation: str, answer: Json) -> Json:
    """The answer without metadata; 200 with an error inside is raised as one."""
    answer.pop("ResponseMetadata", None)
    if service == "lambda" and "Payload" in answer:
        text = answer["Payload"].read().decode()
        answer["Payload"] = decoded(text, text or None)
        log = base64.b64decode(answer.get("LogResult") or "").decode("utf-8", "replace")
        answer["LogResult"] = log
        if answer.get("FunctionError"):
            payload = answer["Payload"] if isinstance(answer["Payload"], dict) else {}
            said = payload.get("errorMessage", answer["Payload"])
            why = f"{payload.get('errorType', 'error')}: {said}"
            raise HalfWay(
                f"The function ran and failed ({answer['FunctionError']}): {why}{_tail(answer)}",
                answer | {"Failed": why},
            )
    if failed := answer.get(_FAILED_ITEMS.get(service, "")):
        first = failed[0]
        raise OpsError(
            f"{len(failed)} of the items failed in {service} {operation}; first: "
            f"{first.get('Key') or first.get('Id')}: {first.get('Code')}: {first.get('Message')}",
            answer,
        )
    return answer
