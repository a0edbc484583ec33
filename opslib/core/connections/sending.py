"""How often an AWS call is sent: what changes something once, a read that several ask for once.

A change is told apart from a repetition by AWS itself, where it can.
"""

import pickle
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeAlias

from opslib.core.connections.meanings import entry
from opslib.core.errors import Lost
from opslib.core.tables import Json

Send: TypeAlias = Callable[[Any, str, Json], Any]
_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before what was turned away is asked again
_TOKENS = ("clienttoken", "clientrequesttoken", "idempotencytoken")
_DEDUPLICATED = "MessageDeduplicationId"


def with_token(client: Any, operation: str, parameters: Json, token: str) -> tuple[Json, bool]:
    """The parameters, with a token where the operation takes one; may botocore repeat the call?

    Of some operations botocore makes the token itself, the same in each repetition.
    """
    api_name = client.meta.method_to_api_mapping.get(operation)
    if api_name is None:
        return parameters, False
    model = client.meta.service_model.operation_model(api_name)
    members = model.input_shape.members if model.input_shape else {}
    names = [name for name in members if name.lower() in _TOKENS]
    if model.idempotent_members or _DEDUPLICATED in parameters:
        return parameters, True
    if not names or not token:
        return parameters, False
    return {names[0]: token, **parameters}, True


def repeat(client: Any, operation: str, parameters: Json) -> Any:
    """The answer to a call that botocore may repeat. Raises botocore's errors."""
    return getattr(client, operation)(**parameters)


def send(client: Any, operation: str, parameters: Json) -> Any:
    """The answer to a call that is repeated only when it was turned away, or never sent.

    `client` repeats nothing by itself. Raises botocore's errors.
    """
    from botocore.exceptions import ClientError, ConnectionError, SSLError

    for pause in _PAUSES:
        try:
            return repeat(client, operation, parameters)
        except ClientError as exc:
            if not _throttled(exc.response):
                raise
        except SSLError:  # TLS breaks while a connection is made, or after all was sent
            raise
        except ConnectionError:  # none was made; what is lost on one that was is another error
            pass
        time.sleep(pause)
    return repeat(client, operation, parameters)


@contextmanager
def answered(asked: str) -> Iterator[None]:
    """Raises Lost for each error of botocore's after which the call may be done."""
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, SSLError
    from botocore.parsers import ResponseParserError

    lost = f"{asked}: its answer was lost"
    try:
        yield
    except ClientError as exc:
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < 500 or _throttled(exc.response):
            raise
        error = exc.response.get("Error", {})
        raise Lost(f"{lost} ({status} {error.get('Code')}: {error.get('Message')}).") from exc
    except (HTTPClientError, IncompleteReadError, ResponseParserError, SSLError) as exc:
        raise Lost(f"{lost} ({exc}).") from exc


def _throttled(response: Json) -> bool:
    return re.search(entry("throttled"), str(response.get("Error", {}).get("Code", ""))) is not None


_READS = re.compile(r"(Get|List|Describe|Lookup)[A-Z]")
Answer = tuple[Any, Json]  # the HTTP response, what was parsed from it


class Sharing:
    """Handlers of a session's events. They do nothing until `on`."""

    def __init__(self) -> None:
        self._held: dict[str, Future[tuple[Any, bytes] | None]] | None = None
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
        asked = (
            f"{model.service_model.service_name} {context.get('client_region')} {model.name} "
            f"{params['url']} {params['body']}"
        )
        with self._lock:
            first = asked not in held
            answer = held.setdefault(asked, Future())
        if first:
            context["opslib_shared"] = answer
            return None
        known = answer.result()
        return known and (known[0], pickle.loads(known[1]))

    def received(self, context: Json, parsed_response: Any = None, **_: Any) -> None:
        """As it came: botocore decodes policies and keys in it later, each time it is handed on."""
        if "opslib_shared" in context:
            context["opslib_received"] = pickle.dumps(parsed_response)

    def hand_on(self, context: Json, http_response: Any, parsed: Any) -> None:
        """An answer that was understood to those who wait for it; else each asks by itself."""
        if "opslib_shared" in context:
            well = parsed is not None and http_response.status_code < 500
            known = (http_response, context["opslib_received"]) if well else None
            context["opslib_shared"].set_result(known)
