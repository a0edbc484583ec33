"""botocore, set up and translated in one place: session, recording of calls, errors."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from opslib.core import redaction
from opslib.core.connections.targets import Target
from opslib.core.errors import NotAllowed, NotFound, OpsError, Unfinished
from opslib.core.journal import Journal

_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "403",
    "Forbidden",
}
_BAD_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "AuthFailure",
}
_ABSENT_ENDINGS = (
    "NotFound",
    "NotFoundError",
    "NotFoundException",
    "NotFoundFault",
    "NonExistentQueue",
    "DoesNotExist",
    "404",
)
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
}


def session(target: Target, keys: tuple[str, str] | None) -> tuple[Any, Any]:
    """A boto3 session and client configuration. `keys` are the lab's; else the target's profile. Raises NotAllowed."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ProfileNotFound

    config = Config(
        retries={"mode": "standard" if keys else "adaptive", "max_attempts": 5},
        connect_timeout=5,
        read_timeout=65,
        max_pool_connections=16,
        ignore_configured_endpoint_urls=True,  # the target's name decides between AWS and lab, never a variable
        user_agent_extra="opslib",
    )
    try:
        if keys:
            made = boto3.Session(keys[0], keys[1], region_name=target.region)
        else:
            made = boto3.Session(profile_name=target.profile, region_name=target.region)
    except ProfileNotFound as exc:
        raise NotAllowed(
            f"AWS profile {target.profile!r} of {target.name} is not configured here. Set it up with "
            f"'aws configure sso --profile {target.profile}', or practise on lab/{target.key}."
        ) from exc
    core = made._session
    core.register_component("data_loader", descriptions(core.get_config_variable("data_path")))
    factory = core.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_timestamp)
    return made, config


@cache
def descriptions(folders: str | None = None) -> Any:
    """What botocore reads of AWS's descriptions of its services: read once, however many sessions there are."""
    from botocore.loaders import create_loader

    return create_loader(folders)


def patient(config: Any, seconds: float) -> Any:
    """The same configuration for a call that is answered late, over one connection that is kept alive, and sent once."""
    from botocore.config import Config

    once = Config(
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
        tcp_keepalive=True,
    )
    return config.merge(once)


def _timestamp(value: Any) -> datetime:
    """Timestamps without dateutil, which is half the cost of a long listing."""
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
    """Write every AWS call of the session into the journal, and register what comes back as a secret."""
    events = made.events

    def before(model: Any, context: dict[str, Any], **_: Any) -> None:
        context["opslib"] = (model, datetime.now(UTC), time.monotonic())

    def after(context: dict[str, Any], parsed: Any = None, exception: Any = None, **_: Any) -> None:
        if "opslib" not in context:  # botocore answered it by itself
            return
        model, started, ticks = context[
            "opslib"
        ]  # where no answer came, botocore does not say which call it was
        metadata = (parsed or {}).get("ResponseMetadata", {})
        error = (parsed or {}).get("Error", {}).get("Code") or (
            type(exception).__name__ if exception else None
        )
        journal.call(
            model.service_model.service_name,
            model.name,
            started,
            ticks,
            request_id=metadata.get("RequestId"),
            retries=metadata.get("RetryAttempts", 0),
            error=error,
        )

    events.register("before-call", before)
    events.register("after-call", after)
    events.register("after-call-error", after)
    events.register("after-call.secrets-manager.GetSecretValue", _secret_read)
    events.register("after-call.lambda", _variables_read)


def _secret_read(parsed: dict[str, Any], **_: Any) -> None:
    text, name = parsed.get("SecretString"), parsed.get("Name", "secret")
    if not text:
        return
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, dict):  # where a database is, and who logs in, is no secret
        value = {
            k: v
            for k, v in value.items()
            if k not in ("host", "port", "username", "dbname", "database", "engine")
        }
    redaction.register(value, name)


def _variables_read(parsed: dict[str, Any], **_: Any) -> None:
    configurations = [
        parsed,
        parsed.get("Configuration") or {},
        *(parsed.get("Versions") or ()),
        *(parsed.get("Functions") or ()),
    ]
    for configuration in configurations:
        for name, value in (configuration.get("Environment") or {}).get("Variables", {}).items():
            if redaction.names_a_secret(name, value):
                redaction.register(value, f"{configuration.get('FunctionName', 'function')}:{name}")


@contextmanager
def errors(service: str, operation: str, where: str, parameters: dict[str, Any]) -> Iterator[None]:
    """Translate botocore's errors into opslib's: every one of them, by its family."""
    from botocore.exceptions import BotoCoreError, ClientError

    named = _named(parameters)
    asked = f"{service} {operation}{f' of {named}' if named else ''} in {where}"
    try:
        yield
    except ClientError as exc:
        raise _translated(exc, asked) from exc
    except BotoCoreError as exc:
        raise _unanswered(exc, asked) from exc


# Families of botocore's own errors, by the names of their classes, and what becomes of them.
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "SSOError",
    "UnauthorizedSSOTokenError",
    "NoAuthTokenError",
    "TokenRetrievalError",
    "LoginError",
    "ProfileNotFound",
    "ConfigNotFound",
    "ConfigParseError",
    "InvalidConfigError",
)
_NO_ANSWER = ("ConnectionError", "HTTPClientError", "WaiterError", "ResponseStreamingError")


def _unanswered(exc: Any, asked: str) -> OpsError:
    """Of an error that is none of AWS's: it was not asked, or did not answer."""
    families = {cls.__name__ for cls in type(exc).__mro__}
    if families & {*_NO_CREDENTIALS}:
        return NotAllowed(
            f"No usable AWS credentials for {asked}: {exc}. Log in (aws sso login), or practise in the lab."
        )
    if families & {*_NO_ANSWER}:
        return Unfinished(
            f"No answer to {asked}: {exc}. Its state is unknown; check the network, then run again."
        )
    if "ParamValidationError" in families:
        return OpsError(f"Not a valid request: {asked}: {exc}")
    return OpsError(f"{asked} failed: {exc}")


def _named(parameters: dict[str, Any]) -> str:
    """The first parameter that names something, for messages."""
    value = next(
        (
            v
            for k, v in parameters.items()
            if isinstance(v, str) and k != "Payload" and len(v) < 200
        ),
        "",
    )
    return repr(value.rsplit("/", 1)[-1] if value.startswith("arn:") else value) if value else ""


def _translated(exc: Any, asked: str) -> OpsError:
    error = exc.response.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    short = code.rsplit(".", 1)[-1]
    if short in _DENIED or "not authorized to perform" in message:
        return NotAllowed(
            f"Denied: {asked} ({code}: {message}). Whether it exists is not known; ask for that permission."
        )
    if short in _BAD_CREDENTIALS:
        return NotAllowed(
            f"AWS does not accept these credentials for {asked} ({code}). Log in again."
        )
    if short.endswith(_ABSENT_ENDINGS) or short.startswith("NoSuch"):
        return NotFound(
            f"Not found: {asked} ({code}: {message}). Check the name in parameters/targets/."
        )
    if short in _THROTTLED:
        return Unfinished(f"AWS kept throttling {asked} ({code}). Wait a minute and run again.")
    return OpsError(f"{asked} failed: {code}: {message}")


_TAIL_LINES = 8


def _tail(answer: dict[str, Any]) -> str:
    """The end of the function's log, when it was asked for (LogType=Tail); without Lambda's own lines, masked."""
    lines = base64.b64decode(answer.get("LogResult") or "").decode("utf-8", "replace").splitlines()
    own = [
        line
        for line in lines
        if line.strip() and not line.startswith(("START ", "END ", "REPORT ", "INIT_START "))
    ]
    return (
        redaction.mask(
            "".join(f"\n    {line[:300]}" for line in ["Its log ends:", *own[-_TAIL_LINES:]])
        )
        if own
        else ""
    )


def checked(service: str, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without metadata; 200 with an error inside is raised as one."""
    answer.pop("ResponseMetadata", None)
    if service == "lambda" and "Payload" in answer:
        text = answer["Payload"].read().decode()
        answer["Payload"] = json.loads(text) if text else None
        if answer.get("FunctionError"):
            payload = answer["Payload"] if isinstance(answer["Payload"], dict) else {}
            raise OpsError(
                f"The function ran and failed ({answer['FunctionError']}): "
                f"{payload.get('errorType', 'error')}: {payload.get('errorMessage', answer['Payload'])}{_tail(answer)}"
            )
    failed = (
        answer.get("Errors")
        if operation == "delete_objects"
        else answer.get("Failed")
        if service == "sqs"
        else None
    )
    if failed:
        first = failed[0]
        error = OpsError(
            f"{len(failed)} of the items failed in {service} {operation}; first: "
            f"{first.get('Key') or first.get('Id')}: {first.get('Code')}: {first.get('Message')}"
        )
        error.done = answer
        raise error
    return answer
