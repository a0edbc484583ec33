"""Every error of the layers below becomes one of ours: none is lost, and none that is unsure reads
as absent.
"""

from __future__ import annotations

import http.client as http_client
import inspect
import re
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import psycopg.errors
import pytest
import sqlalchemy
import urllib3
from botocore.loaders import create_loader
from botocore.retries.standard import ThrottledRetryableChecker

from opslib.core.connections import calls, http, sessions
from opslib.core.connections.connection import Access
from opslib.core.errors import (
    LoginRefused,
    Lost,
    NotAllowed,
    NotFound,
    NotUnderstood,
    OpsError,
    Refused,
    Unfinished,
    UsageError,
)
from opslib.core.journal import Journal

KINDS = (OpsError, UsageError, NotFound, NotAllowed, LoginRefused, Refused, Unfinished)
SERVICES = (
    "sts",
    "cloudwatch",
    "cognito-idp",
    "lambda",
    "logs",
    "rds",
    "s3",
    "secretsmanager",
    "sqs",
)


def raised(error: BaseException) -> OpsError:
    """What an error of botocore's becomes."""
    with (
        pytest.raises(OpsError) as told,
        calls.errors("sqs", "get_queue_url", "here", {"QueueName": "orders"}),
    ):
        raise error
    assert type(told.value) in KINDS
    assert told.value.__cause__ is error
    assert "sqs get_queue_url of 'orders' in here" in str(told.value)
    return told.value


def of_botocore() -> list[type[Exception]]:
    """Every error of botocore's own, that is none of AWS's answers."""
    return [
        kind
        for _, kind in inspect.getmembers(botocore.exceptions, inspect.isclass)
        if issubclass(kind, Exception)
        and not issubclass(kind, (botocore.exceptions.ClientError, Warning))
    ]


def made(kind: type[Exception]) -> Exception:
    """One without a message of its own: it is the class that counts."""
    error = kind.__new__(kind)
    Exception.__init__(error, "said")
    return error


def code_kind(code: str) -> type[OpsError]:
    answer: Any = {"Error": {"Code": code, "Message": "said"}}
    return type(raised(botocore.exceptions.ClientError(answer, "GetQueueUrl")))


def modelled_codes() -> Iterator[str]:
    """Every error code that the services which we call may answer, as their models say."""
    loader = create_loader()
    for service in SERVICES:
        for name, shape in loader.load_service_model(service, "service-2")["shapes"].items():
            if shape.get("exception"):
                yield shape.get("error", {}).get("code", name)


def test_there_are_errors_to_walk() -> None:
    assert len(of_botocore()) > 80
    assert len(set(modelled_codes())) > 200


@pytest.mark.parametrize("kind", of_botocore())
def test_every_error_of_botocores_own_is_one_of_ours_and_never_absent(
    kind: type[Exception],
) -> None:
    told = raised(made(kind))
    assert type(told) is not NotFound
    if type(told) is NotAllowed:
        assert re.search(r"aws (sso )?login|aws configure|Correct|Complete", str(told))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NoCredentialsError", NotAllowed),
        ("UnauthorizedSSOTokenError", NotAllowed),
        ("TokenRetrievalError", NotAllowed),
        ("LoginRefreshRequired", NotAllowed),
        ("ProfileNotFound", NotAllowed),
        ("EndpointConnectionError", Unfinished),
        ("ReadTimeoutError", Unfinished),
        ("ProxyConnectionError", Unfinished),
        ("SSLError", Unfinished),
        ("ResponseStreamingError", Unfinished),
        ("IncompleteReadError", Unfinished),
        ("WaiterError", Unfinished),
        ("ParamValidationError", OpsError),
        ("DataNotFoundError", OpsError),
    ],
)
def test_families_of_botocores_errors_say_what_is_known(
    name: str, expected: type[OpsError]
) -> None:
    assert type(raised(made(getattr(botocore.exceptions, name)))) is expected


def test_every_code_that_the_services_model_is_one_of_ours() -> None:
    found = {code: code_kind(code) for code in modelled_codes()}
    absent = {code for code, kind in found.items() if kind is NotFound}
    assert {"ResourceNotFoundException", "DBInstanceNotFound", "NoSuchBucket"} <= absent
    for code in absent:
        assert "NotFound" in code or "NoSuch" in code or "NotExist" in code, code
        assert not any(word in code for word in ("Denied", "Unauthorized", "Forbidden")), code
    denied = {code for code in found if "AccessDenied" in code or "Forbidden" in code}
    assert denied >= {"AccessDenied", "KMSAccessDeniedException", "ForbiddenException"}
    assert {found[code] for code in denied} == {NotAllowed}


def test_what_botocore_takes_for_throttling_is_unfinished() -> None:
    throttled = {*ThrottledRetryableChecker._THROTTLED_ERROR_CODES} - {"LimitExceededException"}
    assert {code: code_kind(code) for code in throttled} == dict.fromkeys(throttled, Unfinished)
    assert code_kind("LimitExceededException") is OpsError, "a quota does not pass by waiting"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", NotFound),
        ("404", NotFound),
        ("403", NotAllowed),
        ("UnauthorizedOperation", NotAllowed),
        ("ExpiredToken", NotAllowed),
        ("SignatureDoesNotMatch", NotAllowed),
        ("InternalFailure", OpsError),
        ("", OpsError),
    ],
)
def test_codes_outside_the_models_are_known(code: str, expected: type[OpsError]) -> None:
    assert code_kind(code) is expected


def test_a_denial_under_another_code_is_told_by_its_words() -> None:
    said = "User: x is not authorized to perform: sqs:GetQueueUrl"
    answer: Any = {"Error": {"Code": "NoSuchThing", "Message": said}}
    assert type(raised(botocore.exceptions.ClientError(answer, "GetQueueUrl"))) is NotAllowed


def test_runs_of_spaces_in_a_message_of_aws_are_one() -> None:
    answer: Any = {"Error": {"Code": "InternalFailure", "Message": "no   such \n  thing"}}
    error = raised(botocore.exceptions.ClientError(answer, "GetQueueUrl"))
    assert "no such thing" in str(error)


def test_a_client_that_cannot_be_made_is_one_of_ours() -> None:
    import boto3
    from botocore.config import Config

    access = Access(boto3.Session("nobody", "nothing"), Config())
    with pytest.raises(OpsError, match=r"queues client in us-west-2 failed: Unknown service"):
        access.client("queues", "us-west-2")

    class Unable:
        def client(self, service: str, **_: Any) -> Any:
            raise made(botocore.exceptions.UnauthorizedSSOTokenError)

    with pytest.raises(NotAllowed, match="No usable AWS credentials for sqs client in us-west-2"):
        Access(Unable(), Config()).client("sqs", "us-west-2")


def of_psycopg() -> list[type[psycopg.Error]]:
    """Every error that psycopg knows by its SQLSTATE, and its own."""
    states = inspect.getmembers(psycopg.errors, inspect.isclass)
    return [kind for _, kind in states if issubclass(kind, psycopg.Error)]


def sql_kind(error: BaseException) -> type[OpsError]:
    where = sqlalchemy.make_url("postgresql://db.example.com:5432/app")
    told = sessions._translated(error, "count", "database app of x", where)
    assert type(told) in KINDS
    assert "database" in str(told)
    return type(told)


def test_every_error_of_psycopgs_is_one_of_ours() -> None:
    found = {kind: sql_kind(kind("said")) for kind in of_psycopg()}
    assert len(found) > 200

    def states(expected: type[OpsError]) -> set[str]:
        return {
            str(kind.sqlstate) for kind, is_ in found.items() if is_ is expected and kind.sqlstate
        }

    assert found[psycopg.errors.ConnectionTimeout] is Unfinished
    assert states(NotFound) == {"42P01", "3F000", "3D000"}
    assert states(LoginRefused) == {"28000", "28P01"}
    assert states(NotAllowed) == {"42501"}
    assert states(Refused) == {"25006"}
    assert states(Unfinished) >= {"08000", "08006", "53300", "55P03", "57014", "57P01", "57P03"}
    assert {state[:2] for state in states(UsageError)} == {"22", "23", "42"}
    assert states(Unfinished) >= {"40001", "40P01"}  # rolled back: it may be run again
    assert states(OpsError) >= {"53100", "XX000"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.OperationalError("connection failed: Connection refused"), Unfinished),
        (psycopg.OperationalError("FATAL:  password authentication failed"), LoginRefused),
        (psycopg.OperationalError('FATAL:  database "x" does not exist'), NotFound),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), Unfinished),
        (psycopg.DataError("year is out of range"), UsageError),
        (psycopg.errors.UndefinedColumn('column "x" does not exist'), UsageError),
        (psycopg.errors.SyntaxError("cannot insert multiple commands into a ..."), UsageError),
        (sqlalchemy.exc.InvalidRequestError("a value is required for :x"), UsageError),
    ],
)
def test_an_error_without_a_state_is_told_by_its_words(
    error: Exception, expected: type[OpsError]
) -> None:
    assert sql_kind(error) is expected


def of_urllib3() -> list[type[Exception]]:
    """Every error of urllib3's own."""
    known = inspect.getmembers(urllib3.exceptions, inspect.isclass)
    return [kind for _, kind in known if issubclass(kind, urllib3.exceptions.HTTPError)]


def silence(error: BaseException, method: str, monkeypatch: pytest.MonkeyPatch) -> OpsError:
    """What an error of the HTTP client's becomes."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(urllib3.PoolManager, "request", fail)
    with pytest.raises(OpsError, match=f"{method} http://api.example.com/x") as told:
        http.request(http.Api("http://api.example.com"), method, "/x", None, {}, Journal())
    assert told.value.__cause__ is error
    assert type(error).__name__ in str(told.value)
    return told.value


NOT_SENT = {"ConnectTimeoutError", "NewConnectionError", "NameResolutionError", "ProxyError"} | {
    "LocationValueError",
    "LocationParseError",
    "URLSchemeUnknown",
    "ProxySchemeUnknown",
}


def test_every_error_of_the_http_client_is_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(of_urllib3()) > 25
    for kind in of_urllib3():
        assert type(silence(made(kind), "GET", monkeypatch)) is Unfinished, kind
        expected = Unfinished if kind.__name__ in NOT_SENT else Lost
        assert type(silence(made(kind), "POST", monkeypatch)) is expected, kind


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (urllib3.exceptions.NameResolutionError, "has no address"),
        (urllib3.exceptions.NewConnectionError, "nothing takes connections"),
        (urllib3.exceptions.ConnectTimeoutError, "no connection in time"),
        (urllib3.exceptions.ReadTimeoutError, "did not answer within 10 s"),
        (urllib3.exceptions.SSLError, "not accepted.*said.*expired"),
        (urllib3.exceptions.ProtocolError, "broke off"),
        (urllib3.exceptions.LocationParseError, "Check api.url"),
    ],
)
def test_silences_are_told_apart(
    kind: type[Exception], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert re.search(told, str(silence(made(kind), "GET", monkeypatch)))


@pytest.mark.parametrize("error", [ValueError("header"), http_client.HTTPException("strange")])
def test_what_the_http_client_did_not_foresee_is_a_defect(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type(silence(error, "GET", monkeypatch)) is NotUnderstood


def test_an_error_of_none_of_the_lists_is_a_defect_that_names_the_call() -> None:
    with (
        pytest.raises(NotUnderstood, match=r"KeyError: 'x'.*Nothing is known of sqs get_queue_url"),
        calls.errors("sqs", "get_queue_url", "here", {}),
    ):
        raise KeyError("x")
