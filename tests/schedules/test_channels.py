"""Each channel against a real receiver; one that is down is an error in words, with an end."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from opslib.core import Connection, Json, OpsError, redaction
from opslib.schedules import channels
from opslib.schedules.channels import Message

TARGET = "lab/bluemoxon-staging"
MESSAGE = Message("missed: daily on ümlaut", "missed: daily\nrecord: there\n", {"target": TARGET})


class Receiver(BaseHTTPRequestHandler):
    got: list[Json]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append({"path": self.path, **json.loads(body)})
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[tuple[str, type[Receiver]]]:
    kind = type("One", (Receiver,), {"got": []})
    server = HTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kind
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_the_text_as_json(receiver: tuple[str, type[Receiver]]) -> None:
    address, kind = receiver
    channels.send("chat", {"webhook": {"url": f"{address}/hook"}}, MESSAGE)
    (got,) = kind.got
    assert got["path"] == "/hook"
    assert (got["text"], got["target"]) == (MESSAGE.text, TARGET)


@pytest.mark.parametrize("status", [302, 500])
def test_a_webhook_that_says_no_is_not_told_and_its_address_stays_secret(
    receiver: tuple[str, type[Receiver]], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    address, kind = receiver
    kind.status = status
    monkeypatch.setenv("OPSLIB_CHAT_URL", f"{address}/T0/B0/sesame-open")
    with pytest.raises(OpsError) as refused:
        channels.send("chat", {"webhook": {"url_from": {"env": "OPSLIB_CHAT_URL"}}}, MESSAGE)
    assert str(refused.value) == f"Channel chat (webhook) was not told: it answered {status}"
    assert len(kind.got) == 1
    assert "sesame" not in redaction.mask(f"{address}/T0/B0/sesame-open")


def test_a_webhook_that_is_not_there_or_not_set_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(OpsError, match="no answer"):
        channels.send("chat", {"webhook": {"url": "http://127.0.0.1:9/secret"}}, MESSAGE)
    monkeypatch.delenv("OPSLIB_CHAT_URL", raising=False)
    with pytest.raises(OpsError, match="OPSLIB_CHAT_URL holds no such text; set it"):
        channels.send("chat", {"webhook": {"url_from": {"env": "OPSLIB_CHAT_URL"}}}, MESSAGE)


def test_a_command_gets_the_text_and_is_stopped_when_it_hangs(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels.send("file", {"command": ["tee", str(tmp_path / "told")]}, MESSAGE)
    assert (tmp_path / "told").read_text() == MESSAGE.text
    with pytest.raises(OpsError, match=r"sh ended with status 3: nobody there$"):
        channels.send("x", {"command": ["sh", "-c", "echo nobody there >&2; exit 3"]}, MESSAGE)
    with pytest.raises(OpsError, match="No such file"):
        channels.send("x", {"command": ["no-such-program"]}, MESSAGE)
    monkeypatch.setattr(channels, "SECONDS", 0.2)
    with pytest.raises(OpsError, match="did not end within"):
        channels.send("x", {"command": ["sleep", "60"]}, MESSAGE)


class MailServer(threading.Thread):
    """Takes one mail, as RFC 5321 has it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.envelope: list[str] = []
        self.mail = ""

    def run(self) -> None:
        with self._listening, self._listening.accept()[0] as client, client.makefile("rwb") as talk:

            def say(line: str) -> None:
                talk.write(f"{line}\r\n".encode())
                talk.flush()

            say("220 here")
            while line := talk.readline().decode().strip():
                if line.upper() == "DATA":
                    say("354 go on")
                    body = iter(talk.readline, b".\r\n")
                    self.mail = b"".join(body).decode()
                elif line.upper() == "QUIT":
                    say("221 bye")
                    return
                else:
                    self.envelope.append(line)
                say("250 ok")


def test_a_mail_is_sent() -> None:
    server = MailServer()
    server.start()
    to = ["on-call@example.com", "lead@example.com"]
    said = {"host": "127.0.0.1", "port": server.port, "starttls": False}
    channels.send("mail", {"smtp": {**said, "from": "opslib@example.com", "to": to}}, MESSAGE)
    server.join(5)
    assert [line for line in server.envelope if line.lower().startswith("rcpt")] == [
        "rcpt TO:<on-call@example.com>",
        "rcpt TO:<lead@example.com>",
    ]
    assert "record: there" in server.mail
    assert "Subject: missed: daily on =?utf-8?" in server.mail


def test_a_password_is_sent_to_no_server_that_does_not_encrypt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "sesame-open")
    login = {"user": "opslib", "password_from": {"env": "MAIL_PASSWORD"}}
    said = {"host": "127.0.0.1", "from": "opslib@example.com", "to": ["a@example.com"], **login}
    with pytest.raises(OpsError, match="a password is not sent in the clear"):
        channels.send("mail", {"smtp": {**said, "starttls": False}}, MESSAGE)
    server = MailServer()
    server.start()
    with pytest.raises(OpsError, match="STARTTLS extension not supported"):
        channels.send("mail", {"smtp": {**said, "port": server.port}}, MESSAGE)
    assert server.mail == ""
    assert "sesame" not in "".join(server.envelope)


def test_a_topic_is_told_and_hands_it_on(ops: Connection, clean: Json) -> None:
    sns, sqs = ops.client("sns"), ops.client("sqs")
    topic = sns.create_topic(Name="schedules")["TopicArn"]
    queue = sqs.create_queue(QueueName="schedules")["QueueUrl"]
    try:
        asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        endpoint = asked["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)
        channels.send("on-call", {"sns": {"topic": topic, "target": TARGET}}, MESSAGE)
        (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
        body = json.loads(message["Body"])
        assert (body["Message"], body["Subject"]) == (MESSAGE.text, "missed: daily on ?mlaut")
        gone = {"topic": topic.replace(":schedules", ":gone"), "target": TARGET}
        with pytest.raises(OpsError, match=r"^Channel on-call \(sns\) was not told: .*gone"):
            channels.send("on-call", {"sns": gone}, MESSAGE)
    finally:
        sqs.delete_queue(QueueUrl=queue)
        sns.delete_topic(TopicArn=topic)


def test_an_address_may_be_a_secret_of_the_account(
    ops: Connection, clean: Json, receiver: tuple[str, type[Receiver]]
) -> None:
    address, kind = receiver
    secrets = ops.client("secretsmanager")
    value = json.dumps({"chat": f"{address}/T0/sesame-shut"})
    secrets.create_secret(Name="opslib/chat", SecretString=value)
    try:
        named = {"secret": "opslib/chat", "key": "chat", "target": TARGET}
        channels.send("chat", {"webhook": {"url_from": named}}, MESSAGE)
        assert kind.got[0]["path"] == "/T0/sesame-shut"
        with pytest.raises(OpsError, match="holds no such text"):
            channels.send("chat", {"webhook": {"url_from": named | {"key": "none"}}}, MESSAGE)
    finally:
        secrets.delete_secret(SecretId="opslib/chat", ForceDeleteWithoutRecovery=True)
