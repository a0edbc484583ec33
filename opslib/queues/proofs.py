"""Before an advice that destroys: does the world agree that a dead letter can never be worked on?

What an error says is no proof: it may be of something that was mended since, or of the code.
"""

import json
import re
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import unquote_plus

from opslib.core import FAILURES, Connection, OpsError, Sign, beside, objects, sign_of, signs

PURGE = "queues/purge"
BROKEN, GONE, BACK, KEPT, UNPROVEN, LOOK = PROVEN = signs(beside(__file__, "proofs"))
SIGNS = {sign.name: sign for sign in (*FAILURES, *PROVEN)}
_MOST = 40  # objects that are asked for
_URL = re.compile(  # of an object: (bucket, key)
    r"(?:s3[an]?://|arn:[\w-]+:s3:::|https?://s3[\w.-]*\.amazonaws\.com/(?=[^/]+/)"
    r"|https?://(?=[\w.-]+\.s3[\w.-]*\.amazonaws\.com/))"
    r"([a-z0-9.-]{3,63}?)(?:\.s3[\w.-]*\.amazonaws\.com)?/([^\s\"'<>?]+)"
)
_BUCKET = re.compile(  # of S3's events an object with a name
    r'"(?:[sS]3)?_?[bB]ucket_?(?:[nN]ame)?": (?:\{[^{}]{0,200}?"name": )?"([^"]+)"'
)
_KEY = re.compile(r'"(?:(?:[sS]3)?_?(?:[oO]bject)?_?[kK]ey|Name|path)": "([^"]+)"')
# What could not be opened may hold all that is missed: packed, encrypted, of another format.
_PACKED = r"[A-Za-z0-9+/_=-]{40,}|\A[A-Za-z0-9+/_-]{12,}={0,2}\Z|[\x00-\x08\ufffd]|\\x0[0-8]"


class Proofs:
    """What the world says now of the letters of one queue.

    `fields`: what each of its messages holds, by the target's file; empty when it does not say.
    """

    def __init__(self, ops: Connection, fields: set[str]) -> None:
        self.ops, self.fields = ops, fields
        self._there = cache(self._look)

    def judge(self, error: str, body: Any) -> Sign:
        """What a letter's error means, `body` unwrapped. Only what is proven leads to a purge."""
        sign = sign_of(FAILURES, error)
        if sign.name == BROKEN.name:
            return BROKEN if self._is_broken(body) else LOOK
        if sign.name != GONE.name:
            return sign
        # Only an error about objects is judged by them: another names what S3 does not know.
        named = _objects([body, error]) if GONE.fits(error) else ()
        there = {self._there(*each) for each in named}
        return next((sign for sign in (GONE, BACK, KEPT) if there == {sign}), UNPROVEN)

    def _is_broken(self, body: Any) -> bool:
        """Does it hold nothing of what each message of this queue must hold?

        Under another name, in another language or somewhere else it does: then its sender changed.
        """
        looks = [*map(_carried, self.fields), _PACKED]
        if not self.fields or _objects(body):
            return False
        return not any(re.search(look, str(body)) for look in looks)

    def _look(self, bucket: str, key: str) -> Sign:
        """Whether an object is there. Of a bucket that is gone nothing is known: it may be made
        again, and its objects restored.
        """
        if self._there.cache_info().misses >= _MOST:
            return UNPROVEN
        try:
            found = [
                version.latest
                for name in {key, unquote_plus(key)}  # S3's events write keys URL-encoded
                for version in objects.versions_at(self.ops, bucket, name)
                if not version.marker
            ]
        except OpsError:
            return UNPROVEN
        return BACK if any(found) else KEPT if found else GONE


def _carried(name: str) -> str:
    """A field of that name, however it is spelt, and the beginning of its value."""
    words = r"[\W_]?".join(map(re.escape, re.split("_|-", name)))
    return rf"(?i){words}\W{{1,6}}(?!none|null)\w"


def _objects(body: Any) -> set[tuple[str, str]]:
    """The S3 objects that a message may name, in whatever way: (bucket, key)."""
    text = json.dumps(body, ensure_ascii=False)
    return {*product(_BUCKET.findall(text), _KEY.findall(text)), *_URL.findall(text)}
