"""Values of resources in Terraform's JSON: compared attribute by attribute, the sensitive ones hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from opslib.core import redaction
from opslib.core.reads.functions import is_secret

SENSITIVE = "(sensitive)"
LATER = "(known after apply)"
NONE = "(none)"
_LABEL = "terraform plan"
# Though they sound so.
_NO_SECRETS = re.compile(r"((hash_|range_)?key|key_name|(kms_)?key_id|kms_key_arn)")
_EVERYONE = ("0.0.0.0/0", "::/0")
_LONGEST = 160


@dataclass(frozen=True)
class Secret:
    """A value that is compared, and never shown."""

    value: Any = field(repr=False)


def hide(value: Any, marks: Any, found: set[str], name: str = "") -> Any:
    """The value with a Secret for what is marked or sounds secret; the marked texts go into `found`.

    Terraform's marks have the shape of the value; `true` stands for all that is below it.
    """
    if value is None:
        return None
    if marks is True:
        found.update(_texts(value))
        return Secret(value)
    if isinstance(value, dict):
        return {key: hide(part, _part(marks, key), found, key) for key, part in value.items()}
    if isinstance(value, list):
        return [hide(part, _part(marks, at), found) for at, part in enumerate(value)]
    return Secret(value) if _sounds_secret(name, value) else value


def _part(marks: Any, key: Any) -> Any:
    if isinstance(marks, dict):
        return marks.get(key)
    return marks[key] if isinstance(marks, list) and key in range(len(marks)) else None


def _sounds_secret(name: str, value: Any) -> bool:
    """Lambda's variables for one are not marked by Terraform, whatever is in them."""
    told = isinstance(value, str) and value != "" and is_secret(name, value)
    return told and not _NO_SECRETS.fullmatch(name)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value; of one that is JSON, as Secrets Manager's are, also what sounds secret."""
    if isinstance(value, str):
        yield value
        with suppress(ValueError):
            inside = json.loads(value) if value.startswith("{") else {}
            yield from (part for key, part in inside.items() if _sounds_secret(key, part))
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def register(found: set[str]) -> None:
    """Hide them wherever they stand: a password is marked in one resource and plain in another."""
    redaction.register(sorted(found), _LABEL)


def with_later(value: Any, unknown: Any) -> Any:
    """The value with LATER in place of what Terraform's `after_unknown` marks."""
    if unknown is True:
        return LATER
    if isinstance(unknown, dict) and unknown and (value is None or isinstance(value, dict)):
        known = value or {}
        return known | {key: with_later(known.get(key), part) for key, part in unknown.items()}
    if isinstance(unknown, list) and isinstance(value, list):
        return [with_later(*pair) for pair in zip_longest(value, unknown)]
    return value


def shown(value: Any) -> str:
    """A value in one line, no secret in it."""
    if value is None:
        return NONE
    text = redaction.mask(_words(value)).replace(f"[secret {_LABEL}]", SENSITIVE)
    return " ".join(text.split()) or '""'


def _words(value: Any, inner: bool = False) -> str:
    """JSON as one reads it: without quotes, and without the many empty attributes of a block."""
    if isinstance(value, Secret):
        return SENSITIVE
    if isinstance(value, Mapping):
        said = [
            f"{key}={_words(part, True)}"
            for key, part in sorted(value.items())
            if part not in (None, "", [], {}, False)
        ]
        return f"{{{', '.join(said)}}}"
    if isinstance(value, list):
        text = ", ".join(_words(part, True) for part in value)
        return f"[{text}]" if inner and len(value) != 1 else text
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Difference:
    """An attribute, and what it was and becomes. Of a list: what goes out (`- …`), what comes in (`+ …`), else empty.

    `opens`: it lets every address in, which it did not before.
    """

    attribute: str
    before: str
    after: str
    opens: bool = False

    @property
    def top(self) -> str:
        """The attribute of the resource that it is in."""
        return top(self.attribute)

    def __str__(self) -> str:
        both = self.before and self.after and not self.before.startswith("- ")
        said = (" → " if both else " ").join(filter(None, (self.before, self.after)))
        return f"{self.attribute}: {said}"


def top(path: str) -> str:
    """`ingress` of `ingress[0].cidr_blocks`."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def differences(before: Any, after: Any, at: str = "") -> Iterator[Difference]:
    """The attributes in which they differ. Of lists, what was taken out and what came in."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{at}.{key}" if at else key)
    elif isinstance(before, list) and isinstance(after, list):
        out, come = [x for x in before if x not in after], [x for x in after if x not in before]
        if out or come:  # else only in another order
            yield _difference(
                at, f"- {shown(out)}" if out else "", f"+ {shown(come)}" if come else ""
            )
    else:
        was, now = shown(before), shown(after)
        yield _difference(at, was, f"{now}, another" if was == now == SENSITIVE else now)


def _difference(at: str, was: str, now: str) -> Difference:
    opens = any(every in now and every not in was for every in _EVERYONE)
    return Difference(at, _cut(was), _cut(now), opens and top(at) != "egress")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
