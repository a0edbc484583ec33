"""AWS calls that change something: done once, or told apart from a repetition by AWS itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from opslib.core.connections.meanings import THROTTLED
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
    from botocore.exceptions import ClientError, ConnectionError

    for pause in _PAUSES:
        try:
            return repeat(client, operation, parameters)
        except ClientError as exc:
            if not _throttled(exc.response):
                raise
        except ConnectionError:  # none was made; what is lost on one that was is another error
            pass
        time.sleep(pause)
    return repeat(client, operation, parameters)


@contextmanager
def answered(asked: str) -> Iterator[None]:
    """Raises Lost for each error of botocore's after which the call may be done."""
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
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
    except (HTTPClientError, IncompleteReadError, ResponseParserError) as exc:
        raise Lost(f"{lost} ({exc}).") from exc


def _throttled(response: Json) -> bool:
    return re.search(THROTTLED, str(response.get("Error", {}).get("Code", ""))) is not None
