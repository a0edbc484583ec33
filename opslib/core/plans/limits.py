"""What AWS takes of a planned call: told at the preview, and not in the middle of the steps.

botocore's descriptions hold least and most of many parameters; limits.yaml what they do not.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import UsageError
from opslib.core.plans.narrowing import within
from opslib.core.plans.plans import Step
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json


def require(ops: Connection, steps: Iterable[Step]) -> None:
    """That each call of the steps is within them. Raises UsageError."""
    for step in steps:
        for service, operation, parameters in within(step.do):
            meta = ops.client(service).meta
            model = meta.service_model.operation_model(meta.method_to_api_mapping[operation])
            more = beside(__file__, "limits").get(service, {}).get(operation, {})
            for said in _beyond(model.input_shape, parameters, "", more):
                raise UsageError(f"{step.title:.99}: AWS takes {said}. Nothing was changed.")


def _beyond(shape: Any, value: Any, name: str, more: Json) -> Iterator[str]:
    """What is too large or too small; what is known only later (`$result`) is left out."""
    if isinstance(value, dict):
        members = getattr(shape, "members", {})
        for key in value:
            if part := members.get(key, getattr(shape, "value", None)):
                yield from _beyond(part, value[key], key, more)
        return
    if isinstance(value, list) and shape.type_name == "list":
        for each in value:
            yield from _beyond(shape.member, each, name, more)
    if isinstance(value, (str, list, int, float)):
        size, of = (value, "") if isinstance(value, (int, float)) else (len(value), " in length")
        known = (shape.metadata.get(end, size) for end in ("min", "max"))
        least, most = more.get(name, known)
        if not least <= size <= most:
            yield f"{least:,} to {most:,}{of} for {name}, not {size:,}"
