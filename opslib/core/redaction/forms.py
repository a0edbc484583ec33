"""The forms in which a secret value turns up, and what in it is a secret by itself."""

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import unquote

from opslib.core.redaction.names import ENTRY, names_a_secret

Span: TypeAlias = tuple[int, int, str]  # of a text: from, to, label
Layer: TypeAlias = tuple[str, re.Pattern[str]]
SHORTEST = 6  # a shorter value is masked as a word or beside its name only
# Where a database is, and who logs in, is no secret.
_PLACE = re.compile(  # also with something before it: DB_HOST, databaseName
    r"(?:\w*[-_]|[a-z]+(?=[A-Z]))?(?i:host(?:name)?|port|user(?:_?name)?|e?mail|name|db(?:_?name)?"
    r"|database(?:_?name)?|schema|engine|scheme|driver|protocol|ssl_?mode|region|bucket(?:_?name)?"
    r"|env(?:ironment)?|stage|type|version|description|arn|(?:instance|cluster)_?identifier)"
)
_USERINFO = re.compile(r"://(?P<user>[^\s:/@]*)(?::(?P<password>[^\s]*))?@(?=[^@\s]*$)", re.M)
_PASSWORD = re.compile(r"(?i)\b(?:password|pwd)\s*=\s*(?:'([^']+)'|\"([^\"]+)\"|([^\s;'\"]+))")
_QUERY = re.compile(r"[?&]([\w-]+)=([^&\s#]+)")
_LAYERS = 5  # of escapes: JSON in JSON in a URL in HTML
_BREAK = re.compile(r"[\"']\r?\n[ \t]*[\"']|\\?\r?\n[ \t]*")
# What JSON, HTML, URLs, SQL, CSV, YAML, shells, Python and others put into a value, and a terminal
# around its parts; and quotes, which each of them writes in its own way. By its first character.
_ESCAPED = re.compile(
    r"""[&%\\+\xa0"'`<\x1b$\{}\x00-\x08\x0b-\x1f\x7f\xad\u200b-\u200f\u2028-\u202e\u2060\ufeff]
    (?:(?<=&)(?:\#x?[0-9a-fA-F]{1,6}|\w{2,8});
    |(?<=%)[0-9a-fA-F]{2}(?:%[0-9a-fA-F]{2})*
    |(?<=\\)\\*u[0-9a-fA-F]{4}(?:\\+u[0-9a-fA-F]{4})*
    |(?<=\\)\\*x[0-9a-fA-F]{2}(?:\\+x[0-9a-fA-F]{2})*
    |(?<=\\)\\*[nrt]?
    |(?<=<)/?[a-z][^<>]{0,60}>
    |(?<=\x1b)(?:\[[\d;?]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\))
    |(?<=["'])\s{0,40}\+\s{0,40}["']
    |(?<=([$%{}]))(?=\1)|(?<![&%<$\{}]))""",
    re.X,
)
_LINE = 16  # characters: a shorter line of a text is no secret by itself


def forms(value: str) -> set[str]:
    """As it is, without what escapes it, and in base64 and hex."""
    made = {value, value.strip()}
    for content in [text.encode(errors="surrogatepass") for text in made]:
        made |= {*encoded(content), content.decode("latin-1")}  # as bytes are escaped, or misread
    return {form for form in made | {layers(form)[1] for form in made} if len(form) >= SHORTEST}


def layers(text: str) -> tuple[list[Layer], str]:
    """The text without breaks, then without an escape around it after the other; and how that goes:
    what stands above each.
    """
    above: list[Layer] = []
    for pattern in [_BREAK] * ("\n" in text) + [_ESCAPED] * _LAYERS:
        below = pattern.sub(_said, text)
        if below != text:
            above.append((text, pattern))
            text = below
        elif pattern is _ESCAPED:
            break
    return above, text


def _said(hit: re.Match[str]) -> str:
    escape = hit[0]
    if escape in "\"'`":
        return ""
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[0] == "%" != escape:
        return unquote(escape)
    kind = escape.lstrip("\\")[:1]
    if kind not in ("u", "x"):
        return " " * (escape in "+\xa0")
    content = bytes.fromhex(re.sub(r"\\+[ux]", "", escape))
    return content.decode("latin-1" if kind == "x" else "utf-16-be", "replace")


def placed(above: Layer, spans: Iterable[Span]) -> Iterator[Span]:
    """Spans of the layer below a text, as spans of the text."""
    text, pattern = above
    pieces, at, made = [(0, 0, 0)], 0, 0  # there; here from, to; what is as it is has no `to`
    for hit in pattern.finditer(text):
        made += hit.start() - at
        pieces.append((made, *hit.span()))
        made, at = made + len(_said(hit)), hit.end()
        pieces.append((made, at, 0))
    for start, end, label in spans:
        there, first, last = pieces[bisect_right(pieces, (start, len(text) + 1)) - 1]
        begins = first if last else first + start - there
        there, first, last = pieces[bisect_right(pieces, (end - 1, len(text) + 1)) - 1]
        yield begins, last or first + end - there, label


def encoded(content: bytes) -> set[str]:
    """Of numbers, in hex, and in base64 and base32, where a value looks different after some other
    bytes; what is around it is left.
    """
    numbers = [*map(str, content)]
    made = {", ".join(numbers), ",".join(numbers)}
    made |= {content.hex(), content.hex(" "), content.hex(":")}
    made |= {form.upper() for form in made}
    for pack, bits, together in (base64.b64encode, 6, 3), (base64.b32encode, 5, 5):
        for before in range(together):
            start, end = -(-before * 8 // bits), (before + len(content)) * 8 // bits
            text = pack(b"\0" * before + content).decode()[start:end]
            made |= {text, text.replace("+", "-").replace("/", "_")}
    return made


def parts(value: str, label: str) -> Iterator[tuple[Any, str]]:
    """What in a secret text is secret by itself, with a label.

    Leaves of JSON, the password of a URL or DSN, lines of a key, variables of a .env file.
    """
    if value.lstrip().startswith(("{", "[", '"')):
        with suppress(ValueError, RecursionError):
            yield from leaves(json.loads(value), label)
    for hit in _USERINFO.finditer(value):
        # Without a password the user is the secret: a DSN of Sentry's, a token of GitHub's.
        secret = hit["password"] or (hit["user"] if hit["password"] is None else "")
        yield from ((part, f"{label}:password") for part in {secret, unquote(secret)})
    for hit in _PASSWORD.finditer(value):
        yield hit[1] or hit[2] or hit[3], f"{label}:password"
    for hit in _QUERY.finditer(value):
        if names_a_secret(hit[1], hit[2]) or hit[1].lower().endswith("signature"):
            yield from ((part, f"{label}:{hit[1]}") for part in {hit[2], unquote(hit[2])})
    for line in map(str.strip, value.splitlines() if "\n" in value.strip() else ()):
        entry = ENTRY.fullmatch(line)
        if entry and names_a_secret(entry["name"], entry["value"]):
            yield entry["value"], f"{label}:{entry['name']}"
        elif len(line) >= _LINE and " " not in line and not line.startswith("-----"):
            yield line, label


def leaves(value: Any, label: str) -> Iterator[tuple[Any, str]]:
    """The leaves of an object, but for what only says where and who."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not _PLACE.fullmatch(str(key)):
                yield from leaves(part, f"{label}:{key}")
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part, label)
    else:
        yield value, label
