"""Pages of an answer.

A token says where to go on, and belongs to the request that it was answered to.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

from moto.cloudwatch.exceptions import CloudWatchException

T = TypeVar("T")


def digest(*asked: object) -> str:
    """What a token is bound to."""
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def write_token(bound: str, offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([bound, offset]).encode()).decode()


def read_token(token: str | None, bound: str, code: str = "InvalidNextToken") -> int:
    """The offset; 0 without a token. Raises a CloudWatchException of that code."""
    if not token:
        return 0
    invalid = CloudWatchException(code, "Request parameter NextToken is invalid")
    try:
        said, offset = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise invalid from None
    if said != bound:
        raise invalid
    return int(offset)


def paged(
    items: Sequence[T], size: int, token: str | None, bound: str, code: str = "InvalidNextToken"
) -> tuple[Sequence[T], str | None]:
    """One page, and the token of the next when there is one."""
    offset = read_token(token, bound, code)
    more = offset + size < len(items)
    return items[offset : offset + size], write_token(bound, offset + size) if more else None
