"""What a step answered, in the steps after it: placeholders in plain data, replaced when known."""

from collections.abc import Iterator
from typing import Any

import jmespath

from opslib.core.tables import Json, Params


def result(path: str) -> Json:
    """Stands for a value in an earlier step's result: `<step name>.<JMESPath>`."""
    return {"$result": path}


def awaited(value: Any) -> Iterator[str]:
    """The path of every `result(…)` in it that is not replaced yet."""
    match value:
        case {"$result": str(path)}:
            yield path
        case dict():
            for part in value.values():
                yield from awaited(part)
        case list() | tuple():
            for part in value:
                yield from awaited(part)


def resolved(value: Any, results: Params) -> Any:
    """With each `result(…)` replaced whose path, or whose step, is in `results`."""
    match value:
        case {"$result": str(path)}:
            name, _, within = path.partition(".")
            if path in results:
                return results[path]
            if name in results:
                return jmespath.search(within, results[name])
        case dict():
            return {key: resolved(part, results) for key, part in value.items()}
        case list() | tuple():
            return [resolved(part, results) for part in value]
    return value
