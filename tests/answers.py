"""What the lab answers, remembered: for tests that look at the same state many times."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.endpoint import Endpoint

from opslib.core.connections.connection import Connection

# Reads; what is polled until it is done is none.
_READS = re.compile(r"(Get(?!QueryResults)|List|Describe|Lookup|Filter|Head|Query|Scan)")
_ask = Endpoint.make_request


class Remembered:
    """AWS's answers to reads, but to those `anew` ("sqs:GetQueueUrl"), which are asked again."""

    def __init__(self) -> None:
        self.anew: Collection[str] = ()
        self._held: dict[str, tuple[Any, bytes]] = {}

    def ask(self, endpoint: Any, model: Any, request: Any) -> Any:
        service, read = model.service_model.service_name, _READS.match(model.name)
        if not read or model.has_streaming_output or f"{service}:{model.name}" in self.anew:
            return _ask(endpoint, model, request)
        asked = f"{service} {model.name} {request['url']} {request['body']}"
        if asked not in self._held:
            response, parsed = _ask(endpoint, model, request)
            if response.status_code < 500:
                self._held[asked] = response, pickle.dumps(parsed)
            return response, parsed
        response, known = self._held[asked]
        parsed = pickle.loads(known)
        endpoint._event_emitter.emit(
            f"response-received.{model.service_model.service_id.hyphenize()}.{model.name}",
            context=request["context"],
            parsed_response=parsed,
        )
        return response, parsed


@contextmanager
def remembered() -> Iterator[Remembered]:
    """Inside it is always the same moment, and what was read is not asked again."""
    kept, now = Remembered(), datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "make_request", lambda *asked: kept.ask(*asked))
        patch.setattr(Connection, "now", lambda _: now)
        yield kept
