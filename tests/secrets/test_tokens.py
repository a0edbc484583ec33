"""A secret that signs tokens is another: those of before are refused, and nobody sees one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opslib import secrets
from opslib.core.connections.connection import Connection
from tests import notebooks
from tests.conftest import PracticeLab
from tests.undoing import confirmed, undo_last

KEY = "ai-studio-production"
TARGET, SECRET = f"lab/{KEY}", "AI_STUDIO_JWT_SECRET"
SURE = {"approved": "now", "confirm": confirmed(TARGET), "target": TARGET}


@pytest.fixture
def clean(lab: PracticeLab) -> Iterator[None]:
    yield
    lab.reset()


def seen(ops: Connection) -> dict[str, str]:
    return {f.check: f.seen[:3] for f in secrets.check_tokens(ops, SECRET)}


@pytest.mark.slow
def test_a_rotation_ends_every_session_and_proves_that_a_token_of_before_is_refused(
    clean: None, ops: Connection, records_folder: Path
) -> None:
    before = str(ops.secret(SECRET))
    left = notebooks.run("secrets/rotate", secret=SECRET, generate=True, **SURE)
    told = {f.check: f for f in left["ops"].findings if f.verifies}
    for path in ("/api/v1/me", "/gateway/v1/models"):
        assert told[f"GET {path}, token of the value before"].seen.startswith("401")
        assert told[f"GET {path}, token of the present value"].seen.startswith("200")
        assert told[f"GET {path} without a token"].status == "ok"
    assert any(
        "sessions end: who is signed in has to sign in again" in each for each in left["plan"].notes
    )
    assert before != str(ops.secret(SECRET))
    kept = b"".join(path.read_bytes() for path in records_folder.rglob("*") if path.is_file())
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    assert header not in kept
    assert before.encode() not in kept
    undo_last(ops)
    assert str(ops.secret(SECRET)) == before
    assert seen(ops)["GET /api/v1/me, token of the present value"] == "200"


def test_tasks_of_before_still_take_a_token_of_before(ops: Connection) -> None:
    assert secrets.check_tokens(ops, SECRET).worst == "ok"
    before, client = str(ops.secret(SECRET)), ops.client("secretsmanager")
    client.put_secret_value(SecretId=SECRET, SecretString="another-value-of-somebody")
    found = secrets.check_tokens(ops, SECRET)
    client.put_secret_value(SecretId=SECRET, SecretString=before)
    assert found.causes == {"token-of-before-taken"}
    assert found.worst == "critical"


@pytest.mark.parametrize("status", [200, 403, 500, 404])
def test_a_path_that_answers_otherwise_proves_nothing(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    class Answer:
        def __init__(self, status: int) -> None:
            self.status = status

    def answered(_: Connection, method: str, path: str, auth: Any = None) -> Answer:
        return Answer(401 if status != 200 and not auth else status)

    monkeypatch.setattr(Connection, "http", answered)
    assert secrets.check_tokens(ops, SECRET).worst == "unknown"


def test_what_signs_no_token_is_not_asked(ops: Connection) -> None:
    found = secrets.check_tokens(ops, "OPENAI_API_KEY")
    assert not found
    assert "no tokens" in found.note


def test_who_may_not_read_the_secret_knows_nothing(lab: PracticeLab, ops: Connection) -> None:
    with lab.denied("secretsmanager:GetSecretValue", KEY):
        found = secrets.check_tokens(ops, SECRET)
    assert found.worst == "unknown"
    assert found.causes == {"access-denied"}
