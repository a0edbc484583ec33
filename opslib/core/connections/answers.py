"""What AWS gives out, or is given, as a secret: masked from then on, whoever made the call."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from opslib.core import redaction
from opslib.core.redaction.names import holds_a_secret
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json

_WITH_VARIABLES = "[[@, Configuration], Versions, Functions][] | [?Environment.Variables]"


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
    if service == "ssm":
        for told in jmespath.search("[[Parameter], Parameters][][]", answer) or ():
            if redaction.names_a_secret(told["Name"].rpartition("/")[2], told["Value"]):
                redaction.register(told["Value"], told["Name"])
    if service == "lambda":
        _register_variables(answer)
    for name, value in _sensitive(model.output_shape, answer):
        redaction.register(value, f"{label}:{name}")


def register_request(params: Json, model: Any, **_: Any) -> None:
    """Mask what a call hands in as secret: a new password, a secret's next value."""
    for name, value in _sensitive(model.input_shape, params):
        redaction.register(value, f"{model.service_model.service_name} {model.name}:{name}")


def _password(login: str) -> str:
    try:
        return base64.b64decode(login).decode().partition(":")[2]
    except ValueError:
        return ""


def _register_variables(answer: Json) -> None:
    import jmespath

    for function in jmespath.search(_WITH_VARIABLES, answer):
        for name, value in function["Environment"]["Variables"].items():
            if redaction.names_a_secret(name, value):
                redaction.register(value, f"{function.get('FunctionName', 'function')}:{name}")


def _sensitive(shape: Any, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Members that AWS's description calls sensitive and whose name is a secret's.

    Much else is called sensitive: names of people, all that a function answers.
    """
    if depth > 6 or not value or shape is None:
        return
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, part in shape.members.items():
            if part.metadata.get("sensitive") and holds_a_secret(name, value.get(name)):
                yield name, value.get(name)
            elif part.type_name in ("structure", "list") and name in value:
                yield from _sensitive(part, value[name], depth + 1)
    elif shape.type_name == "list" and shape.member.type_name in ("structure", "list"):
        for part in value:
            yield from _sensitive(shape.member, part, depth + 1)
