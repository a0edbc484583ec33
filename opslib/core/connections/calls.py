"""botocore, set up and translated in one place: session, recording of calls, errors."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from opslib.core.connections import answers
from opslib.core.connections.targets import Target
from opslib.core.errors import Meanings, NotAllowed, NotFound, OpsError, Unfinished, translated
from opslib.core.journal import Journal
from opslib.core.tables import Json
from opslib.core.text import cut, decoded, plain


def session(target: Target, keys: tuple[str, str] | None) -> tuple[Any, Any]:
    """A boto3 session and client configuration. `keys` are the lab's; else the target's profile.

    Raises NotAllowed.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ProfileNotFound

    config = Config(
        retries={"mode": "standard" if keys else "adaptive", "max_attempts": 5},
        connect_timeout=5,
        read_timeout=65,
        max_pool_connections=16,
        # The target's name decides between AWS and lab, never a variable.
        ignore_configured_endpoint_urls=True,
        user_agent_extra="opslib",
    )
    logged_in = (
        {"aws_access_key_id": keys[0], "aws_secret_access_key": keys[1]}
        if keys
        else {"profile_name": target.profile}
    )
    with errors("sts", "session", target.name, {}):
        try:
            made = boto3.Session(region_name=target.region, **logged_in)
        except ProfileNotFound as exc:
            raise NotAllowed(
                f"AWS profile {target.profile!r} of {target.name} is not configured here. "
                f"Set it up with 'aws configure sso --profile {target.profile}', "
                f"or practise on lab/{target.key}."
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


def patient(config: Any, seconds: float) -> Any:
    """The same configuration for a call that is answered late, over one connection that is kept
    alive, and sent once.
    """
    from botocore.config import Config

    once = {"mode": "standard", "total_max_attempts": 1}
    return config.merge(Config(read_timeout=seconds, retries=once, tcp_keepalive=True))


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


def record_calls(made: Any, journal: Journal) -> None:
    """Write every AWS call of the session into the journal, and register what comes back as a
    secret.
    """

    def before(model: Any, context: Json, **_: Any) -> None:
        context["opslib"] = (model, datetime.now(UTC), time.monotonic())

    def after(context: Json, parsed: Any = None, exception: Any = None, **_: Any) -> None:
        if "opslib" not in context:  # botocore answered it by itself
            return
        # Where no answer came, botocore does not say which call it was: the context does.
        model, started, ticks = context["opslib"]
        answer, raised = parsed or {}, type(exception).__name__ if exception else None
        answers.register_answer(model, answer)
        metadata = answer.get("ResponseMetadata", {})
        journal.call(
            model.service_model.service_name,
            model.name,
            started,
            ticks,
            request_id=metadata.get("RequestId"),
            retries=metadata.get("RetryAttempts", 0),
            error=answer.get("Error", {}).get("Code") or raised,
        )

    for event, handler in {
        "before-call": before,
        "after-call": after,
        "after-call-error": after,
        "provide-client-params": answers.register_request,
    }.items():
        made.events.register(event, handler)


# By these it was turned away, so it is not done.
THROTTLED = (
    r"Throttl|TooManyRequests|(RequestLimit|Bandwidth.*|Throughput)Exceeded|SlowDown"
    r"|PriorRequestNotComplete|TransactionInProgress"
)
# What a code of AWS's, or the family of an error of botocore's own, says; the first counts.
_CODES: Meanings = (
    (
        r"AccessDenied|\bUnauthorized|\bAuthorizationError$|\bForbidden|\b403$",
        NotAllowed,
        "Denied: {asked} ({code}: {said}). "
        "Whether it exists is not known; ask for that permission.",
    ),
    (
        r"\bExpiredToken|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch"
        r"|InvalidAccessKeyId|AuthFailure",
        NotAllowed,
        "AWS does not accept these credentials for {asked} ({code}). Log in again.",
    ),
    (
        r"(NotFound(Error|Exception|Fault)?|NonExistentQueue|DoesNotExist|404)$|\bNoSuch",
        NotFound,
        "Not found: {asked} ({code}: {said}). Check the name in parameters/targets/.",
    ),
    (
        THROTTLED,
        Unfinished,
        "AWS kept throttling {asked} ({code}). Wait a minute and run again.",
    ),
    ("", OpsError, "{asked} failed: {code}: {said}"),
)
_FAMILIES: Meanings = (
    (
        r"Credential|SSOError|Token(Retrieval|Load)?Error|LoginError|ProfileNotFound"
        r"|ConfigNotFound|ConfigParseError|InvalidConfigError|RefreshWithMFA|MetadataRetrieval",
        NotAllowed,
        "No usable AWS credentials for {asked}: {said}. "
        "Log in (aws sso login), or practise in the lab.",
    ),
    (
        r"\b(ConnectionError|HTTPClientError|WaiterError|ResponseStreamingError"
        r"|IncompleteReadError|ResponseParserError)\b",
        Unfinished,
        "No answer to {asked}: {said}. Its state is unknown; check the network, then run again.",
    ),
    (r"\bParamValidationError", OpsError, "Not a valid request: {asked}: {said}"),
    ("", OpsError, "{asked} failed: {said}"),
)


@contextmanager
def errors(service: str, operation: str, where: str, parameters: Json) -> Iterator[None]:
    """Translate botocore's errors into opslib's: every one of them, by its code or its family."""
    from botocore.exceptions import BotoCoreError, ClientError, UndefinedModelAttributeError
    from botocore.parsers import ResponseParserError

    asked = question(service, operation, where, parameters)
    try:
        yield
    except ClientError as exc:
        error = exc.response.get("Error", {})
        code, said = str(error.get("Code", "")), str(error.get("Message", ""))
        shown = "AccessDenied" if "not authorized to perform" in said else code
        raise translated(_CODES, shown, asked=asked, code=code, said=said) from exc
    except (BotoCoreError, UndefinedModelAttributeError, ResponseParserError) as exc:
        families = " ".join(cls.__name__ for cls in type(exc).__mro__)
        raise translated(_FAMILIES, families, asked=asked, said=exc) from exc


def question(service: str, operation: str, where: str, parameters: Json) -> str:
    """What was asked, and where, for messages."""
    return f"{service} {operation}{_named(parameters)} in {where}"


def _named(parameters: Json) -> str:
    """The first parameter that names something, for messages."""
    texts = (v for k, v in parameters.items() if isinstance(v, str) and k != "Payload")
    value = next((text for text in texts if 0 < len(text) < 200), "")
    name = value.rsplit("/", 1)[-1] if value.startswith("arn:") else value
    return f" of {name!r}" if name else ""


_TAIL_LINES = 8
_LAMBDAS_OWN = ("START ", "END ", "REPORT ", "INIT_START ")


def _tail(answer: Json) -> str:
    """The end of the function's log, when it was asked for (LogType=Tail), masked."""
    lines = base64.b64decode(answer.get("LogResult") or "").decode("utf-8", "replace").splitlines()
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
        if answer.get("FunctionError"):
            payload = answer["Payload"] if isinstance(answer["Payload"], dict) else {}
            said = payload.get("errorMessage", answer["Payload"])
            raise OpsError(
                f"The function ran and failed ({answer['FunctionError']}): "
                f"{payload.get('errorType', 'error')}: {said}{_tail(answer)}"
            )
    if failed := answer.get(_FAILED_ITEMS.get(service, "")):
        first = failed[0]
        error = OpsError(
            f"{len(failed)} of the items failed in {service} {operation}; first: "
            f"{first.get('Key') or first.get('Id')}: {first.get('Code')}: {first.get('Message')}"
        )
        error.done = answer
        raise error
    return answer
