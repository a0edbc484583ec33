"""Before an advice that destroys: does the world agree that a dead letter can never be worked on?

What an error says is no proof: it may be of something that was mended since, or of the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from opslib.core import FAILURES, Connection, NotFound, OpsError, Sign, beside, sign_of
from opslib.core.checks.signs import signs
from opslib.core.reads.stores.objects import exists
from opslib.queues.reasons import find_field, walk

PURGE = "queues/purge"
BROKEN, GONE, BACK, UNPROVEN, LOOK = PROVEN = signs(beside(__file__, "proofs"))
SIGNS = {sign.name: sign for sign in (*FAILURES, *PROVEN)}
_MOST = 40  # objects that are asked for
_URL = re.compile(r"s3://([a-z0-9.-]{3,63})/([^\s\"'<>]+)")


class Proofs:
    """What the world says now of the letters of one queue.

    `fields`: what each of its messages holds, by the target's file; empty when it does not say.
    """

    def __init__(self, ops: Connection, fields: set[str]) -> None:
        self.ops, self.fields, self._asked = ops, fields, 0
        self._there = cache(self._look)

    def judge(self, error: str, body: Any) -> Sign:
        """What a letter's error means, `body` unwrapped. Only what is proven leads to a purge."""
        sign = sign_of(FAILURES, error)
        if sign.name == BROKEN.name:
            return BROKEN if self._is_broken(body) else LOOK
        return self._judge_objects(error, body) if sign.name == GONE.name else sign

    def _is_broken(self, body: Any) -> bool:
        """Does it hold nothing of what each message of this queue must hold?"""
        return bool(self.fields) and all(find_field(body, name) is None for name in self.fields)

    def _judge_objects(self, error: str, body: Any) -> Sign:
        there = {self._there(*each) for each in {*_objects(body), *_URL.findall(error)}}
        return GONE if there == {False} else BACK if there == {True} else UNPROVEN

    def _look(self, bucket: str, key: str) -> bool | None:
        """Whether an object is there; None: not known. Of a bucket that is gone nothing is known:
        it may be made again, and its objects restored.
        """
        self._asked += 1
        if self._asked > _MOST:
            return None
        try:
            if not exists(self.ops, bucket):
                return None
            self.ops.call("s3", "head_object", Bucket=bucket, Key=key)
        except NotFound:
            return False
        except OpsError:
            return None
        return True


def _objects(body: Any) -> Iterator[tuple[str, str]]:
    """The S3 objects that a message names: (bucket, key). S3's events write keys URL-encoded."""
    for part in walk(body):
        match part:
            case {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}:
                event = "configurationId" in part or "s3SchemaVersion" in part
                yield bucket, unquote_plus(key) if event or "%" in key or "+" in key else key
            case {"bucket": str(bucket), "key": str(key)} | {
                "Bucket": str(bucket),
                "Key": str(key),
            }:
                yield bucket, key
        for value in part.values():
            if isinstance(value, str):
                yield from _URL.findall(value)
