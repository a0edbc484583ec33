"""Ways to tell somebody: a command, a webhook, an SNS topic, a mail.

Each has an end, and raises OpsError in words when it did not get through. A secret that one needs
(an address, a password) is named in the schedule's file and read when it is used.
"""

import os
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from email.message import EmailMessage
from typing import NamedTuple

from opslib import session
from opslib.core import Json, OpsError, redaction

SECONDS = 15.0  # for one to take what it is told


class Message(NamedTuple):
    """What somebody is told: a line, the text (masked), and the same as data."""

    subject: str
    text: str
    data: Json


def send(name: str, channel: Json, message: Message) -> None:
    """Tell it. Raises OpsError: it did not get through, and why."""
    (kind,) = channel
    try:
        _WAYS[kind](channel[kind], message)
    except (OSError, smtplib.SMTPException, ValueError, OpsError) as exc:
        why = redaction.mask(" ".join(str(exc).split())) or type(exc).__name__
        raise OpsError(f"Channel {name} ({kind}) was not told: {why}") from exc


def _command(words: list[str], message: Message) -> None:
    try:
        ended = subprocess.run(
            words, input=message.text, text=True, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise OpsError(f"{words[0]} did not end within {SECONDS:g} s, and was stopped.") from None
    if ended.returncode:
        said = ended.stderr.strip().splitlines()
        why = f": {said[-1][:200]}" if said else ""
        raise OpsError(f"{words[0]} ended with status {ended.returncode}{why}")


def _webhook(said: Json, message: Message) -> None:
    """POST; `text` is what Slack, Mattermost and Teams show. A redirect is not followed."""
    import urllib3

    url = said.get("url") or value(said["url_from"])
    pool = urllib3.PoolManager()
    body = {"text": message.text, "subject": message.subject, **message.data}
    limit = urllib3.Timeout(connect=5.0, read=SECONDS)
    try:
        answer = pool.request("POST", url, json=body, timeout=limit, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as exc:
        raise OpsError(f"no answer ({type(exc).__name__})") from None  # its text names the address
    if not 200 <= answer.status < 300:
        raise OpsError(f"it answered {answer.status}")


def _sns(said: Json, message: Message) -> None:
    ops = session.connect(said["target"])
    subject = message.subject.encode("ascii", "replace").decode()[:100]
    text = message.text.encode()[:200_000].decode(errors="ignore")  # SNS takes 256 KB
    ops.change("sns", "publish", TopicArn=said["topic"], Subject=subject, Message=text)


def _smtp(said: Json, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"] = message.subject, said["from"]
    mail["To"] = ", ".join(said["to"])
    mail.set_content(message.text)
    encrypted = said.get("starttls", True)
    if said.get("user") and not encrypted:
        raise OpsError("a password is not sent in the clear: take starttls: false away")
    port = said.get("port", 587 if encrypted else 25)
    with smtplib.SMTP(said["host"], port, timeout=SECONDS) as server:
        if encrypted:
            server.starttls(context=ssl.create_default_context())
        if said.get("user"):
            server.login(said["user"], value(said["password_from"]))
        server.send_message(mail)


_WAYS: dict[str, Callable[..., None]] = {
    "command": _command,
    "webhook": _webhook,
    "sns": _sns,
    "smtp": _smtp,
}


def value(said: Json) -> str:
    """What `{env: NAME}` or `{secret: NAME, key: KEY, target: TARGET}` names; it is masked."""
    if name := said.get("env"):
        found = os.environ.get(name)
        label = f"of ${name}"
    else:
        name, label = said["secret"], f"of {said['secret']}"
        found = session.connect(said["target"]).secret(name)
        if key := said.get("key"):
            found = found.get(key) if isinstance(found, dict) else None
    if not found or not isinstance(found, str):
        raise OpsError(f"{name} holds no such text; set it where run-due runs.")
    redaction.redactor.register(found, label)
    return found
