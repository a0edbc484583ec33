"""The forms in which a secret value turns up, and what in it is a secret by itself."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from opslib.core.redaction.names import ENTRY, names_a_secret

SHORTEST = 6  # a shorter value is masked as a word or beside its name only
# Where a database is, and who logs in, is no secret.
_PLACES = (
    "host hostname port username user dbname database engine scheme dbInstanceIdentifier "
    "dbClusterIdentifier masterarn region sslmode"
)
_NO_SECRETS = {*_PLACES.split()}
_USERINFO = re.compile(r"://(?P<user>[^\s:/@]*)(?::(?P<password>[^\s]*))?@(?=[^@\s]*$)", re.M)
_PASSWORD = re.compile(r"(?i)\b(?:password|pwd)\s*=\s*(?:'([^']+)'|\"([^\"]+)\"|([^\s;'\"]+))")
_QUERY = re.compile(r"[?&]([\w-]+)=([^&\s#]+)")
_LINE = 16  # characters: a shorter line of a text is no secret by itself


def forms(value: str) -> set[str]:
    """As it is, and escaped as HTML, JSON, Python, SQL, shells and URLs do; base64 and hex."""
    stripped = value.strip()
    made = {value, stripped}
    for text in (value, stripped):
        made |= _escaped(text) | _encoded(text.encode(errors="surrogatepass"))
    return {form for form in made if len(form) >= SHORTEST}


def _escaped(text: str) -> set[str]:
    markup = {html.escape(text), html.escape(text, quote=False)}
    markup |= {form.replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for form in markup}
    made = {*markup, repr(text)[1:-1], repr(text.encode(errors="replace"))[2:-1]}
    made |= {text.replace("'", "''"), shlex.quote(text).strip("'"), text.replace("$", "$$")}
    for ascii_only in (True, False):  # JSON, JSON in JSON, and once more
        said = text
        for _ in range(3):
            said = json.dumps(said, ensure_ascii=ascii_only)[1:-1]
            made |= {said, said.replace("/", "\\/"), html.escape(said)}
    safe = text.encode(errors="surrogatepass")
    urls = {quote(safe, safe=""), quote(safe), quote_plus(safe), quote(safe, safe="!*'()~")}
    made |= urls | {re.sub("%..", lambda hit: hit[0].lower(), form) for form in urls}
    return made | {repr(form)[1:-1] for form in (repr(text), *markup)}


def _encoded(content: bytes) -> set[str]:
    """In base64 a value looks different after 0, 1 or 2 other bytes; what is around it is left."""
    made = {content.hex(), content.hex().upper()}
    for before, start in enumerate((0, 2, 3)):
        end = (before + len(content)) * 8 // 6
        text = base64.b64encode(b"\0" * before + content).decode()[start:end]
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
            if key not in _NO_SECRETS:
                yield from leaves(part, f"{label}:{key}")
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part, label)
    else:
        yield value, label
