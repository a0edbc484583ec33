"""The reason that a dead letter carries, wherever its sender put it, and whatever is wrapped round.

EventBridge and Lambda write attributes, a Lambda destination a `responsePayload`, SNS an envelope,
Celery base64, workers a field of their own; as JSON, XML, text, compressed or not.
"""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from opslib.core import beside

_FIELDS = beside(__file__, "reasons")
_SAYING = [
    name for kind in ("codes", "kinds", "reasons", "hints", "texts") for name in _FIELDS[kind]
]
_SAYS_TROUBLE = re.compile(
    r"error|exception|fail|fault|time[d ]*-?out|refused|denied|could ?n[o']t|cannot|unable|invalid",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_FORM = re.compile(r"[\w.%+-]+=[^&\s]*(?:&[\w.%+-]+=[^&\s]*)+")
_NOTHING = {"", "none", "null", "false", "true", "ok", "success", "unhandled"}
_LARGEST = 1_000_000  # bytes, unpacked
_DEEPEST = 8


def unwrapped(value: Any, depth: int = 0) -> Any:
    """What a message's body holds: objects, lists, plain values; a text that is no more than that.

    JSON within texts, base64, gzip, zlib, XML and forms are opened.
    """
    if depth > _DEEPEST:
        return value
    if isinstance(value, dict):
        return {str(key): unwrapped(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [unwrapped(part, depth + 1) for part in value]
    inside = _inside(value.strip()) if isinstance(value, str) else None
    return value if inside is None else unwrapped(inside, depth + 1)


def _inside(text: str) -> Any:
    """What a text wraps; None when it is plain."""
    with suppress(ValueError, RecursionError):
        if text[:1] in ("{", "[", '"'):
            return json.loads(text)
    with suppress(ElementTree.ParseError, RecursionError):
        # without a DTD there are no entities that could grow or read files
        if text[:1] == "<" and "<!" not in text:
            root = ElementTree.fromstring(text)
            return {_tag(root): _element(root)}
    if _FORM.fullmatch(text):
        return dict(parse_qsl(text))
    packed = "".join(text.split())
    if _BASE64.fullmatch(packed):
        with suppress(ValueError):
            padded = packed.rstrip("=") + "=" * (-len(packed.rstrip("=")) % 4)
            return _text(base64.b64decode(padded, altchars=b"-_" if "_" in packed else None))
    return None


def _text(content: bytes) -> str | None:
    """Text out of bytes, which may be compressed; None when it is none."""
    packed = content[:2] == b"\x1f\x8b" or content[:1] == b"\x78"
    with suppress(zlib.error, UnicodeDecodeError):
        if packed:
            content = zlib.decompressobj(47).decompress(content, _LARGEST)  # gzip or zlib
        found = content.decode().strip()
        whole = packed or found[:1] in ("{", "[", "<", '"')
        return found if whole or (found.isprintable() and " " in found) else None
    return None


def _element(element: ElementTree.Element) -> Any:
    found: dict[str, Any] = dict(element.attrib)
    for child in element:
        name, said = _tag(child), _element(child)
        found[name] = [found[name], said] if name in found else said
    text = (element.text or "").strip()
    return found | ({"text": text} if text else {}) if found else text


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def attributes_of(message: Any) -> dict[str, str]:
    """A message's attributes as texts."""
    found = {}
    for name, value in message.get("MessageAttributes", {}).items():
        content = value.get("BinaryValue")
        told = _text(content) if isinstance(content, bytes) else None
        found[name] = str(value.get("StringValue") or told or "(binary)")
    return found


def find_reason(attributes: dict[str, str], body: Any, kept: str = "") -> str:
    """Why it failed: its attributes say it, its body, or what else was `kept` of it.

    Empty when none does. `body`: as `unwrapped` gives it.
    """
    tree = [unwrapped(dict(attributes)), body]
    statuses = (
        f"status {value}"  # of HTTP; it says trouble where nothing else does
        for part in walk(tree, asked=False)
        for key, value in part.items()
        if _plain(key) in _FIELDS["statuses"] and re.fullmatch(r"[45]\d\d", str(value))
    )
    ranks: list[Iterable[str]] = [
        _told(tree, _FIELDS["reasons"]),
        [kept],
        _told(tree, _FIELDS["stacks"]),
        [_joined(_told(tree, _FIELDS["hints"]))],
        statuses,
        filter(_SAYS_TROUBLE.search, _told(tree, _FIELDS["texts"])),
        [body] if isinstance(body, str) and _SAYS_TROUBLE.search(body) else [],
    ]
    return next((text for rank in ranks for text in rank if text), "")


def walk(tree: Any, asked: bool = True) -> Iterator[dict[str, Any]]:
    """Every object in it, the outer ones first; what the worker was `asked` comes last, or not."""
    level: list[Any] = [tree]
    later: list[Any] = []
    while level or (asked and later):
        if not level:
            level, later = later, []
        following: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                yield part
                for key, value in part.items():
                    (later if _plain(key) in _FIELDS["asked"] else following).append(value)
            elif isinstance(part, list):
                following += part
        level = following


def find_field(tree: Any, name: str) -> Any:
    """The value of the first field of that name, however deep; None when there is none."""
    return next((part[name] for part in walk(tree) if part.get(name) is not None), None)


def _told(tree: Any, names: list[str]) -> Iterator[str]:
    """What fields of such names say, each with its code where one stands beside it."""
    for part in walk(tree, asked=False):
        if said := _joined(_named(part, names)):
            yield _joined([*_named(part, _FIELDS["codes"]), said])


def _named(part: dict[str, Any], names: list[str]) -> Iterator[str]:
    """What an object's fields of such names say; also where their names are values beside them."""
    fields = {_plain(key): value for key, value in part.items()}
    if "value" in fields:
        fields[_plain(fields.get("key", fields.get("name")))] = fields["value"]
    for name in names:
        yield from (_said(value) for key, value in fields.items() if re.fullmatch(name, key))


def _joined(texts: Iterable[str]) -> str:
    return ": ".join(dict.fromkeys(filter(None, texts)))


def _plain(name: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _said(value: Any) -> str:
    """A value in words; empty when it says nothing."""
    if isinstance(value, dict):
        lists = (part for part in value.values() if isinstance(part, list))
        return _joined(_named(value, _SAYING)) or _joined(map(_said, lists))
    if isinstance(value, list):
        return next(filter(None, map(_said, value)), "")
    text = value.strip() if isinstance(value, str) else ""
    return "" if text.lower() in _NOTHING or text.isdigit() else text
