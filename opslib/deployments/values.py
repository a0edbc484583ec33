"""Values of resources in Terraform's JSON: compared attribute by attribute, the sensitive ones hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from opslib.core import redaction
from opslib.core.redaction import names_a_secret

SENSITIVE = "(sensitive)"
LATER = "(known after apply)"
NONE = "(none)"
_NO_SECRETS = {
    "key",
    "key_name",
    "key_id",
    "hash_key",
    "range_key",
    "kms_key_id",
    "kms_key_arn",
    "authorization",
}  # though they sound so
_SHORTEST = 6  # a shorter secret would hide ordinary words
_LONGEST = 160


class Hidden:
    """The secrets of a plan, hidden wherever they stand: a password is marked in one resource and plain in another."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = {value for value in values if len(value) >= _SHORTEST}
        longest_first = sorted(self._values, key=len, reverse=True)
        self._pattern = (
            re.compile("|".join(map(re.escape, longest_first))) if self._values else None
        )

    def register(self) -> None:
        """Mask them in every output of this process, too."""
        redaction.register(sorted(self._values), "terraform plan")

    def text(self, value: Any) -> str:
        """A value in one line."""
        if value is None:
            return NONE
        text = _words(value)
        if self._pattern:
            text = self._pattern.sub(SENSITIVE, text)
        text = " ".join(text.split()) or '""'
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _words(value: Any, inner: bool = False) -> str:
    """JSON as one reads it: without quotes, and without the many empty attributes of a block."""
    if isinstance(value, Mapping):
        said = [
            f"{k}={_words(v, True)}"
            for k, v in sorted(value.items())
            if v not in (None, "", [], {}, False)
        ]
        return f"{{{', '.join(said)}}}"
    if isinstance(value, list):
        text = ", ".join(_words(part, True) for part in value)
        return f"[{text}]" if inner and len(value) != 1 else text
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Difference:
    """An attribute, and what it was and becomes. Of a list: what goes out (`- …`), what comes in (`+ …`), else empty."""

    attribute: str
    before: str
    after: str

    def __str__(self) -> str:
        plain = self.before and self.after and not self.before.startswith("- ")
        said = (
            f"{self.before} → {self.after}"
            if plain
            else " ".join(filter(None, (self.before, self.after)))
        )
        return f"{self.attribute}: {said}"

    @property
    def opens(self) -> bool:
        """Does it let every address in, which it did not before?"""
        if self.attribute.startswith("egress"):
            return False
        return any(
            every in self.after and every not in self.before for every in ("0.0.0.0/0", "::/0")
        )


def path(steps: Iterable[Any]) -> str:
    """`ingress[0].cidr_blocks` of Terraform's ["ingress", 0, "cidr_blocks"]."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def differences(change: Mapping[str, Any], hidden: Hidden) -> list[Difference]:
    """The attributes in which before and after differ. Of lists, what was taken out and what came in."""
    before, after = change.get("before"), change.get("after")
    marks = change.get("before_sensitive"), change.get("after_sensitive")
    unknown = change.get("after_unknown")
    return list(_differences([], before or {}, after or {}, marks[0], marks[1], unknown, hidden))


def _differences(
    at: list[Any],
    before: Any,
    after: Any,
    was_secret: Any,
    is_secret_now: Any,
    unknown: Any,
    hidden: Hidden,
) -> Iterator[Difference]:
    mapping = isinstance(before, Mapping) and isinstance(after, Mapping)
    if mapping and was_secret is not True and is_secret_now is not True and unknown is not True:
        for key in sorted({*before, *after, *(unknown if isinstance(unknown, Mapping) else ())}):
            yield from _differences(
                [*at, key],
                before.get(key),
                after.get(key),
                _part(was_secret, key),
                _part(is_secret_now, key),
                _part(unknown, key),
                hidden,
            )
        return
    if before == after and not _any(unknown):
        return
    name = str(at[-1]) if at else ""
    if (
        isinstance(before, list)
        and isinstance(after, list)
        and not any(map(_any, (was_secret, is_secret_now, unknown)))
    ):
        yield from _of_lists(path(at), name, before, after, hidden)
        return
    was = _shown(before, was_secret, name, hidden)
    now = LATER if unknown is True else _shown(after, is_secret_now, name, hidden)
    yield Difference(path(at), was, f"{now}, another" if was == now == SENSITIVE else now)


def _of_lists(
    at: str, name: str, before: list[Any], after: list[Any], hidden: Hidden
) -> Iterator[Difference]:
    out, come = [x for x in before if x not in after], [x for x in after if x not in before]
    if out or come:  # else only in another order
        was, now = (_shown(part, None, name, hidden) if part else "" for part in (out, come))
        yield Difference(at, was and f"- {was}", now and f"+ {now}")


def _shown(value: Any, marks: Any, name: str, hidden: Hidden) -> str:
    if value is None:
        return NONE
    if marks is True or _sounds_secret(name, value):
        return SENSITIVE
    return hidden.text(_masked(value, marks))


def _sounds_secret(name: str, value: Any) -> bool:
    """Lambda's variables for one are not marked by Terraform, whatever is in them."""
    return (
        isinstance(value, str)
        and value != ""
        and name not in _NO_SECRETS
        and names_a_secret(name, value)
    )


def _masked(value: Any, marks: Any, name: str = "") -> Any:
    """The value with what is marked, or looks secret by its name, hidden."""
    if marks is True or _sounds_secret(name, value):
        return SENSITIVE
    if isinstance(value, Mapping):
        return {key: _masked(part, _part(marks, key), str(key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part, _part(marks, at)) for at, part in enumerate(value)]
    return value


def _part(marks: Any, key: Any) -> Any:
    """Terraform's marks have the shape of the value; `true` stands for all that is below it."""
    if marks is True:
        return True
    if isinstance(marks, Mapping):
        return marks.get(key)
    return (
        marks[key]
        if isinstance(marks, list) and isinstance(key, int) and key < len(marks)
        else None
    )


def _any(marks: Any) -> bool:
    if isinstance(marks, Mapping):
        return any(map(_any, marks.values()))
    return any(map(_any, marks)) if isinstance(marks, list) else marks is True


def secrets(document: Mapping[str, Any]) -> set[str]:
    """Every text in a plan that is marked as sensitive: in resources, outputs and variables."""
    found: set[str] = set()
    for entry in (
        *(document.get("resource_changes") or ()),
        *(document.get("resource_drift") or ()),
    ):
        _collect_change(entry.get("change") or {}, found)
    for change in (document.get("output_changes") or {}).values():
        _collect_change(change, found)
    declared = ((document.get("configuration") or {}).get("root_module") or {}).get(
        "variables"
    ) or {}
    for name, variable in (document.get("variables") or {}).items():
        if (declared.get(name) or {}).get("sensitive") or names_a_secret(name):
            _collect((variable or {}).get("value"), True, found)
    return found


def _collect_change(change: Mapping[str, Any], found: set[str]) -> None:
    for side in ("before", "after"):
        _collect(change.get(side), change.get(f"{side}_sensitive"), found)


def _collect(value: Any, marks: Any, found: set[str]) -> None:
    if not marks or value is None:
        return
    if isinstance(value, str) and marks is True:
        found.add(value)
        _collect_inside(value, found)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _collect(part, _part(marks, key), found)
    elif isinstance(value, list):
        for at, part in enumerate(value):
            _collect(part, _part(marks, at), found)


def _collect_inside(text: str, found: set[str]) -> None:
    """A secret that is itself JSON, as those of Secrets Manager are: what in it sounds secret."""
    if text.startswith("{"):
        with suppress(ValueError):
            found.update(
                value for key, value in json.loads(text).items() if _sounds_secret(str(key), value)
            )
