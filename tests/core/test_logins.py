"""Logins that do not work, as they are configured: each is told with what to do, and nobody is
asked.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from opslib.core.connections import calls, targets
from opslib.core.connections.connection import Access, Connection
from opslib.core.errors import NotAllowed, NotFound, OpsError, Unfinished
from opslib.core.journal import Journal

SSO = "sso_session = corp\nsso_account_id = 111122223333\nsso_role_name = ops\n"
SESSION = (
    "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-west-2\n"
)
HALF = "aws_access_key_id = AKIAEXAMPLE\n"
KEY = f"{HALF}aws_secret_access_key = nothing\n"
MFA = (
    "role_arn = arn:aws:iam::111122223333:role/ops\nsource_profile = base\n"
    f"mfa_serial = arn:aws:iam::111122223333:mfa/ana\n[profile base]\n{KEY}"
)
LOGIN = "aws sso login --profile prod"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without credentials, on a machine without any; a prompt fails the test."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(getpass, "getpass", lambda *_: pytest.fail("somebody was asked"))
    return tmp_path


def connected(profile: str | None = "prod") -> Connection:
    described = replace(targets.load("bluemoxon-staging"), profile=profile)
    session, config = calls.session(described, None)
    return Connection(described, Access(session, config), Journal())


def keep_token(home: Path, expires: str) -> None:
    """What `aws sso login` leaves, without a token to refresh it with."""
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    said = {"accessToken": "t", "expiresAt": expires, "region": "us-west-2", "startUrl": "s"}
    (cache / f"{hashlib.sha1(b'corp').hexdigest()}.json").write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("", "AWS profile 'prod' of bluemoxon-staging is not configured here.*configure sso"),
        (f"[profile prod]\n{SSO}{SESSION}", f"No usable AWS credentials.*{LOGIN}"),
        (f"[profile prod]\n{SSO}", "configuration of this machine.*sso-session.*corp.*'prod'"),
        (f"[profile prod]\n{HALF}", "Half a key.*aws_secret_access_key.*'prod'"),
        (
            "[profile prod]\ncredential_process = /bin/false\n",
            "What gives the credentials failed.*export-credentials --profile prod",
        ),
        (
            "[profile prod]\ncredential_process = /bin/echo nothing\n",
            "What gives the credentials failed.*JSONDecodeError.*--profile prod",
        ),
        (
            f"[profile prod]\n{MFA}",
            "'prod' wants a code of an MFA device for arn:.*mfa/ana, and nobody is asked here",
        ),
        ("[profile prod\nregion\n", "configuration of this machine.*config.*'prod'"),
        (
            "[profile prod]\nrole_arn = arn:aws:iam::1:role/ops\nsource_profile = prod2\n",
            "configuration of this machine.*prod2",
        ),
        ("[profile prod]\nregion = us-west-2\n", f"No usable AWS credentials.*{LOGIN}"),
        (
            "[profile prod]\nlogin_session = arn:aws:iam::1:user/ana\n",
            "No login.*_process",
        ),
        (f"[profile prod]\ndefaults_mode = often\n{KEY}", "configuration of this machine.*often"),
    ],
)
def test_a_login_that_does_not_work_says_what_to_do(home: Path, config: str, told: str) -> None:
    (home / "config").write_text(config)
    with pytest.raises(OpsError, match=f"(?s){told}") as raised:
        connected()
    assert type(raised.value) is NotAllowed


def test_an_expired_sso_login_names_its_profile(home: Path) -> None:
    (home / "config").write_text(f"[profile prod]\n{SSO}{SESSION}")
    keep_token(home, "2020-01-01T00:00:00Z")
    with pytest.raises(NotAllowed, match=LOGIN):
        connected()


def test_a_file_of_a_login_that_is_cut_is_the_logins_fault(home: Path) -> None:
    (home / "config").write_text(f"[profile prod]\n{SSO}{SESSION}")
    keep_token(home, "2020-01-01T00:00:00Z")
    [kept] = (home / ".aws" / "sso" / "cache").iterdir()
    kept.write_text('{"accessToken": ')
    with pytest.raises(NotAllowed, match="--profile prod"):
        connected()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HTTPS_PROXY", "http://ana:hunter2@127.0.0.1:9", "proxy.*HTTPS_PROXY and NO_PROXY"),
    ],
)
def test_what_stands_between_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    (home / "config").write_text(f"[profile prod]\n{KEY}")
    monkeypatch.setenv(variable, value)
    described = replace(targets.load("bluemoxon-staging"), profile="prod")
    session, config = calls.session(described, None)
    once = config.merge(Config(retries={"total_max_attempts": 1}))
    with pytest.raises(OpsError, match=told) as raised:
        Connection(described, Access(session, once), Journal())
    assert "hunter2" not in str(raised.value)


SKEW = "Signature expired: 20261126T020000Z is now earlier than 20261126T023000Z"
SCP = "User: x is not authorized to perform: a with an explicit deny in a service control policy"
LOG_IN = rf"Log in \({LOGIN}\)"


@pytest.mark.parametrize(
    ("code", "said", "kind", "told"),
    [
        ("RequestTimeTooSkewed", "The difference is too large", NotAllowed, "Set the clock"),
        ("InvalidSignatureException", SKEW, NotAllowed, "clock is wrong.*Set the clock"),
        ("SignatureDoesNotMatch", SKEW, NotAllowed, "clock is wrong.*Set the clock"),
        ("SignatureDoesNotMatch", "Check your key", NotAllowed, "Set the clock.*secret key"),
        ("ExpiredToken", "expired", NotAllowed, f"has expired.*{LOG_IN}"),
        ("ExpiredTokenException", "expired", NotAllowed, f"has expired.*{LOG_IN}"),
        ("InvalidClientTokenId", "invalid", NotAllowed, f"keys are deleted.*{LOG_IN}"),
        ("UnrecognizedClientException", "invalid", NotAllowed, f"keys are deleted.*{LOG_IN}"),
        ("OptInRequired", "not subscribed", NotAllowed, "not enabled.*region: in"),
        ("AccessDenied", SCP, NotAllowed, "policy of the organization.*AWS Organizations"),
        ("AccessDeniedException", SCP.replace("service", "resource"), NotAllowed, "organization"),
        ("AccessDenied", "not authorized to perform: a", NotAllowed, "ask for that permission"),
        ("ThrottlingException", "Rate exceeded", Unfinished, "throttling"),
        ("KMSAccessDeniedException", "denied", NotAllowed, "ask for that permission"),
        ("ResourceNotFoundException", "no such secret", NotFound, "Check the name"),
        *(
            (code, "arn:aws:kms:… is not there", OpsError, "KMS key.*cannot be used.*enable-key")
            for code in (
                "KMS.NotFoundException",  # S3's
                "KMS.DisabledException",
                "KMS.KMSInvalidStateException",
                "KMSNotFoundException",  # Lambda's
                "KmsInvalidState",  # SQS's
                "DecryptionFailure",  # Secrets Manager's
            )
        ),
    ],
)
def test_a_refusal_of_aws_says_what_to_do(
    code: str, said: str, kind: type[OpsError], told: str
) -> None:
    answer: Any = {"Error": {"Code": code, "Message": said}}
    with (
        pytest.raises(OpsError, match=f"(?s){told}") as raised,
        calls.errors("sqs", "get_queue_url", "here", {}, "prod"),
    ):
        raise ClientError(answer, "GetQueueUrl")
    assert type(raised.value) is kind
    assert said in str(raised.value) or "throttling" in told or "Log in" in told
    clock = "clock is wrong" in str(raised.value)
    assert clock == (code == "RequestTimeTooSkewed" or said == SKEW)
    assert ("Log in" in str(raised.value)) == ("Log in" in told)


def test_without_a_profile_the_advice_names_none() -> None:
    answer: Any = {"Error": {"Code": "ExpiredToken", "Message": "expired"}}
    with (
        pytest.raises(NotAllowed, match=r"Log in \(aws sso login\)"),
        calls.errors("sqs", "get_queue_url", "here", {}, "default"),
    ):
        raise ClientError(answer, "GetQueueUrl")


HOSTILE = {
    "AWS_PROFILE": "nobody",
    "AWS_DEFAULT_REGION": "mars-1",
    "AWS_CA_BUNDLE": "/no/such/file",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_DEFAULTS_MODE": "often",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_SESSION_TOKEN": "t",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def test_the_labs_session_heeds_nothing_of_this_machines(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config").write_text("[profile nobody\n")
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)
    session, config = calls.session(targets.load("lab/bluemoxon-staging"), ("AKIAEXAMPLE", "x"))
    client = session.client("sqs", endpoint_url="http://127.0.0.1:1", config=config)
    assert client.meta.region_name == "us-west-2"
    assert session.get_credentials().token is None
    assert client._endpoint.http_session._proxy_config.proxy_url_for("http://127.0.0.1:1") is None
