"""What an estate's own code looks like to the lab: a function's handler, its invocation, an API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Invocation:
    """What a function's handler can know and do beside its event.

    `variables` are those of the invoked version. `seconds`: how long the invocation says it took
    (REPORT line, timeout), when not as long as it really did.
    """

    function: str
    version: str
    request_id: str
    memory_mb: int
    timeout_seconds: int
    variables: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    seconds: float | None = None

    def log(self, message: str) -> None:
        """A line in the function's log, between START and END."""
        self.lines.append(message)


# (method, path after /_api/<target>, query, headers, body) -> (status, content type, body)
ApiHandler = Callable[
    [str, str, Mapping[str, str], Mapping[str, str], bytes], tuple[int, str, bytes]
]
# (event, place, invocation) -> what becomes the payload; what it raises becomes the FunctionError
# (class name and text).
FunctionHandler = Callable[[Any, Any, Invocation], Any]
