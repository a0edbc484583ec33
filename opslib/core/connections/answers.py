"""What AWS gives out, or is given, as a secret: masked from then on, whoever made the call."""

import base64
import re
from collections.abc import Iterator
from typing import Any

from opslib.core import redaction
from opslib.core.redaction.names import holds_a_secret, is_sure
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json

# Where settings of programs stand, by the names on the way there.
_SETTINGS = re.compile(r"(?i)environment|variables|arguments|^parameters?$|\w(properties|details)$")
_LOGIN = re.compile(r"://[^\s:/@]*:(?!\d{1,5}/)\S*@")


def register_answer(model: Any, answer: Json) -> None:
    """Mask what the answer of an operation gives out as secret."""
    import jmespath

    service = model.service_model.service_name
    table = beside(__file__, "secrets").get(service, {})
    label = answer.get("Name") or f"{service} {model.name}"
    if path := table.get(model.name) or table.get("*"):
        for value in filter(None, jmespath.search(path, answer) or ()):
            redaction.register(value, label)
            if service.startswith("ecr"):
                redaction.register(_password(value), label)
    for name, value in _sensitive(model.output_shape, answer, label):
        redaction.register(value, name)


def register_request(params: Json, model: Any) -> None:
    """Mask what a call hands in as secret: a new password, a secret's next value."""
    label = f"{model.service_model.service_name} {model.name}"
    for name, value in _sensitive(model.input_shape, params, label):
        redaction.register(value, name)


def _password(login: str) -> str:
    try:
        return base64.b64decode(login).decode().partition(":")[2]
    except ValueError:
        return ""


def _sensitive(
    shape: Any, value: Any, label: str, within: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Members whose name is surely a secret's, or that AWS's description calls sensitive and whose
    name is a secret's; and what somebody handed to a program as such a setting. With a label.

    Much else is called sensitive: names of people, all that a function answers.
    """
    if depth > 9 or shape is None:
        return
    if isinstance(value, list) and shape.type_name == "list":
        for part in value:
            yield from _sensitive(shape.member, part, label, within, depth + 1)
    if not isinstance(value, dict):
        return
    if _SETTINGS.search(within):
        said = {key.lower(): part for key, part in value.items()}
        pair = {said.get("name"): said.get("value")}
        for name, text in (value if shape.type_name == "map" else pair).items():
            last = str(name).rpartition("/")[2]
            if isinstance(text, str) and (holds_a_secret(last, text) or _LOGIN.search(text)):
                yield f"{label}:{name}", text
    if shape.type_name == "structure":
        label = value.get("FunctionName", label)
        for name in shape.members.keys() & value.keys():
            part = shape.members[name]
            told = part.metadata.get("sensitive") and holds_a_secret(name, value[name])
            if told or (is_sure(name) and part.type_name == "string"):
                yield f"{label}:{name}", value[name]
            elif part.type_name in ("structure", "list", "map"):
                yield from _sensitive(part, value[name], label, within + name, depth + 1)
