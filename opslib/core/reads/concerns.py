"""Whom and what lines of trouble concern.

A client or a route, when most of the lines name the same.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from opslib.core.reads import log_levels
from opslib.core.tables import Frame, Json

_CLIENT_NAMES = (
    "user_id userId user username client_id clientId client api_key_id tenant_id tenant source_ip "
    "sourceIp"
)
_CLIENTS = _CLIENT_NAMES.split()
_MOST, _FEWEST = 0.8, 5  # so much of at least so many lines
_VARIABLE = re.compile(r"^(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\w+-\d+)$", re.IGNORECASE)


class Concern(NamedTuple):
    """What most of the lines have in common: `what` is route, or the field that names a client.

    `lines`: how many of `total` name it.
    """

    what: str
    value: str
    lines: int
    total: int

    @property
    def is_client(self) -> bool:
        return self.what in _CLIENTS

    def __str__(self) -> str:
        return f"{self.what} {self.value} ({100 * self.lines / self.total:.0f} %)"


def concerns(lines: Frame) -> list[Concern]:
    """What stands out among lines (columns of `logs.EVENTS`): a client, then a route.

    Of note is what four in five of at least five lines name.
    """
    documents = [log_levels.structured(message) or {} for message in lines["message"]]
    clients = (_common(name, (d.get(name) for d in documents)) for name in _CLIENTS)
    who = next(filter(None, clients), None)
    return [*filter(None, (who, _common("route", map(route, documents))))]


def _common(what: str, values: Iterable[Any]) -> Concern | None:
    listed = list(values)
    named = Counter(str(value) for value in listed if value and isinstance(value, (str, int)))
    for value, times in named.most_common(1):
        if len(listed) >= _FEWEST and times >= _MOST * len(listed):
            return Concern(what, value, times, len(listed))
    return None


def route(document: Json) -> str:
    """Method and path of a request, with ids left open: `GET /spans/{id}`."""
    path = document.get("path") or document.get("rawPath")
    if not isinstance(path, str):
        return ""
    parts = [
        "{id}" if _VARIABLE.match(part) else part for part in path.partition("?")[0].split("/")
    ]
    return f"{document.get('method', '')} {'/'.join(parts)}".strip()
