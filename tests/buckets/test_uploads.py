"""Uploads: CORS as S3 judges it, what denies them, and a URL of which nothing is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config

from opslib import UsageError
from opslib.buckets import presigned, uploads
from opslib.core import redaction
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.redaction import Redactor
from tests import notebooks
from tests.conftest import PracticeLab

TARGET = "lab/dms-dev"
NAME = "dms-documents-dev"
PAGE = "https://dev.dms.example.com"
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEBYaDHqa0AP1r/Aa+bQ=="

RULE = {"AllowedOrigins": [PAGE], "AllowedMethods": ["PUT"], "AllowedHeaders": ["content-*"]}


@pytest.mark.parametrize(
    ("rules", "asked", "why"),
    [
        ([], (PAGE, "PUT", []), "the bucket has no CORS rules"),
        ([RULE], (PAGE, "PUT", ["Content-Type"]), ""),
        (
            [RULE],
            (f"{PAGE}:8080", "PUT", []),
            "no rule names origin https://dev.dms.example.com:8080",
        ),
        ([RULE], (PAGE.replace("https", "http"), "PUT", []), "no rule names origin http://"),
        ([RULE], (PAGE.upper(), "PUT", []), "no rule names origin"),
        ([RULE], (PAGE, "POST", []), "no rule for that origin allows POST"),
        ([RULE], (PAGE, "PUT", ["content-md5", "x-amz-acl"]), "and PUT allows header x-amz-acl"),
        (
            [RULE | {"AllowedHeaders": []}],
            (PAGE, "PUT", ["content-type"]),
            "allows header content-type",
        ),
        ([RULE | {"AllowedOrigins": ["https://*.example.com"]}], (PAGE, "PUT", []), ""),
        ([RULE | {"AllowedOrigins": ["https://*example.org"]}], (PAGE, "PUT", []), "no rule names"),
        ([RULE | {"AllowedMethods": ["GET"]}, RULE], (PAGE, "PUT", []), ""),
        ([RULE | {"AllowedOrigins": ["*"]}], ("https://any.where", "PUT", []), ""),
    ],
)
def test_a_preflight_is_judged_by_s3s_rules(
    ops: Connection, rules: list[Any], asked: tuple[str, str, list[str]], why: str
) -> None:
    """And the lab answers it alike."""
    said = uploads.refused(rules, *asked)
    assert why in said
    assert bool(said) is bool(why)
    client = ops.client("s3")
    kept = client.get_bucket_cors(Bucket=NAME)["CORSRules"]
    try:
        if rules:
            client.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": rules})
        else:
            client.delete_bucket_cors(Bucket=NAME)
        assert uploads._preflight(ops, NAME, *asked) == (403 if why else 200)
    finally:
        client.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": kept})


@pytest.mark.parametrize("drill", ["cors-misconfigured", "upload-denied", "quota-exceeded"])
def test_each_cause_is_named_when_it_is_there_and_ruled_out_when_not(
    ops: Connection, lab: PracticeLab, drill: str
) -> None:
    with lab.broken(drill, "dms-dev"):
        assert notebooks.run("dms/upload-failures")["ops"].findings.causes == {drill}
    well = notebooks.run("dms/upload-failures")["ops"].findings
    assert (well.worst, well.causes) == ("ok", set())
    assert drill in {f.rules_out for f in well}


def denied(statement: dict[str, Any]) -> list[tuple[bool, str]]:
    given = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Sid": "S"} | statement
    return [*uploads._denies({"Statement": given}, ["content-type", "x-amz-acl"])]


def test_a_policy_is_read_for_what_an_upload_is() -> None:
    assert denied({}) == [(True, "S denies it to everybody")]
    assert denied({"Effect": "Allow"}) == []
    assert denied({"Action": ["s3:GetObject", "s3:Delete*"]}) == []
    assert denied({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}) == []
    assert denied({"Condition": {"StringEquals": {"s3:x-amz-acl": "public-read"}}}) == []
    kms = {"Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}}}
    assert denied(kms) == [(True, "S denies it to everybody by s3:x-amz-server-side-encryption")]
    way = {"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, "Action": "s3:Put*"}
    assert denied(way) == [(False, "S denies it to everybody by aws:SourceVpce")]
    assert denied({"Principal": {"AWS": "arn:aws:iam::1:role/a"}}) == [
        (False, "S denies it to some")
    ]


# A pre-signed URL


def signed(version: str = "s3v4", token: str = "", seconds: int = 900, **given: Any) -> str:
    """A URL as boto3 signs it, now."""
    login = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    config = Config(signature_version=version)
    client = boto3.client(
        "s3", region_name="us-east-1", config=config, aws_session_token=token or None, **login
    )
    asked = {"Bucket": NAME, "Key": "t/documents/d/a b.pdf"} | given
    url: str = client.generate_presigned_url("put_object", asked, ExpiresIn=seconds)
    return url


def at(ops: Connection, monkeypatch: pytest.MonkeyPatch, **later: float) -> Facts:
    now = datetime.now(UTC) + timedelta(**later)
    monkeypatch.setattr(ops, "now", lambda: now)
    facts: Facts = ops.target["uploads"]["documents"]
    return facts


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_url_holds_until_its_end_and_no_longer(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    url = presigned.read(signed(version))
    assert (url.form, url.session) == ({"s3v4": "SigV4", "s3": "SigV2"}[version], False)
    found = presigned.findings(ops, url, at(ops, monkeypatch, minutes=14))
    assert [f.status for f in found] == ["ok", "ok"]
    assert found[0].rules_out == presigned.EXPIRED
    [late, _] = presigned.findings(ops, url, at(ops, monkeypatch, minutes=16))
    assert (late.status, late.cause) == ("critical", presigned.EXPIRED)


def told(ops: Connection, facts: Facts, text: str) -> dict[str, tuple[str, str]]:
    found = presigned.findings(ops, presigned.read(text), facts)
    return {f.check: (f.status, f.seen) for f in found}


def test_a_roles_login_may_end_before_the_url(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = signed(token=TOKEN, seconds=86_400)
    asked = "Login that signed the URL"
    assert told(ops, at(ops, monkeypatch), day)[asked][0] == "warn"
    assert told(ops, at(ops, monkeypatch, hours=13), day)[asked][0] == "critical"
    assert told(ops, at(ops, monkeypatch), signed(token=TOKEN))[asked][0] == "ok"
    assert asked not in told(ops, at(ops, monkeypatch), signed())
    assert told(ops, at(ops, monkeypatch), day)["URLs are made for"] == ("warn", "86400 s")


def test_what_s3_never_takes_is_said(ops: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    week = signed(seconds=604_800).replace("X-Amz-Expires=604800", "X-Amz-Expires=604801")
    status, seen = told(ops, at(ops, monkeypatch), week)["Life of the URL"]
    assert (status, "no more than 7 days" in seen) == ("critical", True)
    status, seen = told(ops, at(ops, monkeypatch, hours=-1), signed())["Life of the URL"]
    assert (status, "the clock of who signs it" in seen) == ("critical", True)
    other = signed(Bucket="dms-documents-prod")
    assert told(ops, at(ops, monkeypatch), other)["The URL is for"][0] == "critical"
    region = signed().replace("us-east-1%2Fs3", "eu-west-1%2Fs3")
    assert told(ops, at(ops, monkeypatch), region)["The URL is for"][0] == "critical"


def test_a_header_that_is_signed_has_to_be_allowed(ops: Connection) -> None:
    rule = RULE | {"AllowedHeaders": ["content-type"]}
    client = ops.client("s3")
    kept = client.get_bucket_cors(Bucket=NAME)["CORSRules"]
    client.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": [rule]})
    try:
        assert uploads.check_cors(ops, "documents").causes == set()
        found = uploads.check_uploads(ops, "documents", signed(Tagging="a=b"))
        assert found.causes == {uploads.CORS}
        assert "allows header x-amz-tagging" in found.troubles[0].seen
    finally:
        client.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": kept})


@pytest.mark.parametrize(
    "text",
    [
        "no-url-at-all",
        "https://b.s3.amazonaws.com/k",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=0123456789abcdef&X-Amz-Date=yesterday",
        "https://[b/k?Expires=1&Signature=abcdefgh",
        "https://b.s3.amazonaws.com/k?Expires=99999999999999999999&Signature=abcdefgh",
    ],
)
def test_what_is_no_signed_url_is_said_without_it(text: str) -> None:
    with pytest.raises(UsageError, match="no pre-signed URL") as error:
        presigned.read(text)
    assert text.rpartition("=")[2] not in str(error.value)
    assert error.value.__cause__ is None


def test_a_name_beside_a_signed_url_hides_it() -> None:
    url = signed(token=TOKEN)
    masks = Redactor()
    assert redaction.names_a_secret("signed_url")
    assert masks.mask(json.dumps({"presigned_url": url})).count("https") == 0


def secrets_of(url: str) -> list[str]:
    query = dict(part.split("=", 1) for part in url.partition("?")[2].split("&"))
    found = [value for name, value in query.items() if name in SECRET_PARTS]
    assert len(found) >= 2
    return [piece for value in found for piece in (value[:20], value[-20:])] + [KEY]


SECRET_PARTS = ("X-Amz-Signature", "X-Amz-Security-Token", "Signature", "x-amz-security-token")


@pytest.mark.slow
def test_nothing_of_a_signature_is_kept_or_shown(
    lab: PracticeLab, ops: Connection, tmp_path: Path
) -> None:
    """Not in the record, its page, its journal, the index, nor what the command prints."""
    url = signed(token=TOKEN)
    records = tmp_path / "kept"
    command = [sys.executable, "-m", "opslib", "run", "dms/upload-failures", "-t", TARGET]
    ran = subprocess.run(
        [*command, "-p", f"signed_url={url}"],
        env={**os.environ, "OPSLIB_RECORDS": str(records)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "record:" in ran.stdout + ran.stderr, ran.stderr
    kept = {path: path.read_bytes() for path in records.rglob("*") if path.is_file()}
    assert len(kept) >= 3
    shown = {Path("the command"): (ran.stdout + ran.stderr).encode()}
    assert any(b"Life of the URL" in content for content in kept.values())
    for path, content in (kept | shown).items():
        for secret in secrets_of(url):
            assert secret.encode() not in content, path.name


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_what_was_read_is_masked_in_whatever_form_it_turns_up(version: str) -> None:
    url = signed(version, token=TOKEN)
    presigned.read(url)
    for text in (url, json.dumps({"u": url}), url.replace("&", "\\&"), f"curl -T a '{url}'"):
        masked = redaction.mask(text)
        assert [secret for secret in secrets_of(url) if secret in masked] == []


def test_a_large_bucket_is_not_listed_unasked(ops: Connection) -> None:
    assert uploads.check_written(ops, "documents", "").note.startswith("Give below")
    tenant = "7e4a0000-0000-4000-8000-000000000001/documents/d0c00000-0000-4000-8000-000000000007/"
    found = uploads.check_written(ops, "documents", tenant)
    assert (found[0].status, len(found.evidence)) == ("ok", 2)
    assert uploads.check_written(ops, "documents", "nothing/").worst == "unknown"


def test_s3_that_is_not_reached_is_said(ops: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ops,
        "client",
        lambda _: SimpleNamespace(generate_presigned_url=lambda *_: "http://127.0.0.1:9/b"),
    )
    assert uploads._preflight(ops, NAME, PAGE, "PUT", []) == 0


@pytest.mark.some(3)
@pytest.mark.parametrize("state", ["PendingDeletion", "Enabled", ""])
def test_a_key_that_cannot_be_used_refuses_uploads(
    ops: Connection, lab: PracticeLab, state: str
) -> None:
    kms, key = ops.client("kms"), "arn:aws:kms:us-east-1:333344445555:key/" + "0" * 8
    if state:
        key = kms.create_key()["KeyMetadata"]["Arn"]
    if state == "PendingDeletion":
        kms.schedule_key_deletion(KeyId=key.partition("key/")[2])
    by = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by}]}
    ops.client("s3").put_bucket_encryption(Bucket=NAME, ServerSideEncryptionConfiguration=rules)
    try:
        found = uploads.check_uploads(ops, "documents")
    finally:
        lab.reset()
    assert found.causes == ({"encryption-key-unusable"} if state != "Enabled" else set())
