"""Credentials that are known by their shape or by the name beside them, and what is encoded."""

import base64
import re
import zlib
from collections.abc import Callable
from itertools import groupby

from opslib.core.redaction.names import SURE, holds_a_secret
from opslib.core.strict_yaml import beside

_TABLE = beside(__file__, "shapes")


def _whole(look: str | list[str]) -> re.Pattern[str]:
    """An expression of the table with its parts in it."""
    text = "".join(look)
    for name, part in [*_TABLE["parts"].items(), ("SURE", SURE)]:
        text = text.replace(f"<{name}>", "".join(part))
    return re.compile(text)


# (shape, what stands in its place, does it begin with a name that is a secret's for sure, hints)
_SHAPES = [
    (_whole(each["look"]), each["masked"], "<SURE>" in str(each), each.get("hints", [""]))
    for each in _TABLE["looks"]
]
_SURE = re.compile(SURE)
_PAIRS = [*map(_whole, _TABLE["pairs"])]
_QUICK = 3  # of these need no name, and are found quickly
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/]{4}){6,}[A-Za-z0-9+/]{0,3}={0,2}")
_PACKED = b"\x1f\x8b", b"\x78"  # gzip, zlib
_UNPACKED = 1_000_000
_LONG = 20_000  # characters: of a longer text only lines near a hint are looked at closely
_NEAR = 5  # lines


def mask_shapes(text: str) -> str:
    """The text without what looks like a credential."""
    for shape, replacement, *_ in _SHAPES[:_QUICK]:
        text = shape.sub(replacement, text)
    if len(text) <= _LONG:
        return _closely(text)
    lines = text.split("\n")
    hinted = {at for at, line in enumerate(lines) if _hints(line.lower())}
    near = {at + by for at in hinted for by in range(-_NEAR, _NEAR + 1)}
    blocks = groupby(range(len(lines)), near.__contains__)
    parts = ((hot, "\n".join(lines[at] for at in block)) for hot, block in blocks)
    return "\n".join(_closely(part) if hot else part for hot, part in parts)


def _hints(lower: str, hints: list[str] = _TABLE["hints"]) -> bool:
    return any(hint in lower for hint in hints)


def _closely(text: str) -> str:
    lower = text.lower()
    if not _hints(lower):
        return text
    named = _SURE.search(lower)  # in small letters it is found five times as quickly
    for shape, replacement, of_a_name, hints in _SHAPES[_QUICK:]:
        if (named or not of_a_name) and _hints(lower, hints):
            text = shape.sub(replacement, text)
    for pair in _PAIRS:
        text = pair.sub(_pair, text)
    return text


def _pair(hit: re.Match[str]) -> str:
    whole, value = hit[0], hit["value"]
    if value.startswith("[") or not holds_a_secret(hit["name"], value):
        return whole
    start, end = hit.start("value") - hit.start(), hit.end("value") - hit.start()
    return f"{whole[:start]}[secret {hit['name']}]{whole[end:]}"


def mask_encoded(text: str, mask: Callable[[str], str]) -> str:
    """The text without base64 of texts that `mask` would change: scripts of instances, logins."""

    def looked_into(hit: re.Match[str]) -> str:
        try:
            content = base64.b64decode(hit[0] + "=" * (-len(hit[0]) % 4))
            if content.startswith(_PACKED):
                content = zlib.decompressobj(47).decompress(content, _UNPACKED)
            inside = content.decode()
        except (ValueError, zlib.error):
            return hit[0]
        return hit[0] if mask(inside) == inside else "[base64 of a text with secrets]"

    return _BASE64.sub(looked_into, text)
