"""Reads that several checks of one look ask for in the same words are asked of AWS once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from copy import deepcopy
from threading import Lock
from typing import Any

from opslib.core.tables import Json

_READS = re.compile(r"(Get|List|Describe|Lookup)[A-Z]")
Answer = tuple[Any, Json]  # the HTTP response, what was parsed from it


class Sharing:
    """Handlers of a session's events. They do nothing until `on`."""

    def __init__(self) -> None:
        self._held: dict[str, Future[Answer | None]] | None = None
        self._lock = Lock()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Inside, the second who asks gets the first one's answer, and it is no call."""
        self._held = {}
        try:
            yield
        finally:
            self._held = None

    def before(self, model: Any, params: Json, context: Json, **_: Any) -> Answer | None:
        """The answer that is known already, or is under way; None: the caller asks AWS."""
        held = self._held
        if held is None or not _READS.match(model.name) or model.has_streaming_output:
            return None
        asked = f"{model.service_model.service_name} {model.name} {params['url']} {params['body']}"
        with self._lock:
            first = asked not in held
            answer = held.setdefault(asked, Future())
        if first:
            context["opslib_shared"] = answer
            return None
        known = answer.result()
        return known and (known[0], deepcopy(known[1]))

    def hand_on(self, context: Json, http_response: Any, parsed: Any) -> None:
        """An answer that was understood to those who wait for it; else each asks by itself."""
        if "opslib_shared" in context:
            well = parsed is not None and http_response.status_code < 500
            context["opslib_shared"].set_result((http_response, deepcopy(parsed)) if well else None)
