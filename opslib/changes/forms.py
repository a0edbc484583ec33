"""A resource's description in a form that can be kept and compared: settings, and nothing else.

Left out by general rules: times, counters, what AWS computes of the state. Lists count as sets, by
the names of their parts where they have names; JSON inside a text is read. What may be a secret is
there as a keyed hash only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from opslib.changes.resources import UNREAD
from opslib.core import Json, decoded, redaction
from opslib.core.actions import passwords
from opslib.core.redaction.names import holds_a_secret

_VOLATILE = re.compile(
    r"ResponseMetadata|RevisionId|ETag|Approximate\w*|Estimated\w*|(Last|Latest|Earliest)[A-Z]\w*"
    r"|\w*(State|Status)(Reason|Info|Message)\w*|StateValue|storedBytes|metricFilterCount"
    r"|Subscriptions(Confirmed|Pending|Deleted)|\w*(Progress|LastUsed)|NetworkInterfaceIds"
    r"|AvailableIpAddressCount|AssociationState|Next\w*Date|\w*StatusException|EffectiveDeliveryPolicy"
)
_OF_TIME = re.compile(r"(?i)(time|timestamp|date|created|modified|at)$")
_A_TIME = re.compile(r"\d{10,}(\.\d+)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_AN_END = re.compile(r"Delet")  # a time that is there only where it will be gone
_A_STATE = re.compile(r"(State|Status)$")
_ROOM = re.compile("etention|M(in|ax)Capacity|MemorySize")  # more of it takes nothing away
# Of the states these are settings: `Enabling` is on its way to be `Enabled`.
_SET = {"enabl": "enabled", "disabl": "disabled", "suspend": "suspended", "blackh": "blackhole"}
_NAMES = ("Sid", "Id", "ID", "Name", "name", "Key", "UUID")
_A_NAME = re.compile(r"(Name|Id|Identifier|Arn|ARN)$")
# What stands under it may be a secret.
_HELD = re.compile(r"(?i)(environment|\w*variables|customheaders)$")
_LONG = 40_000  # characters of one resource; of a longer one a hash is kept
WAYS: dict[str, Callable[[float, float], bool]] = {
    "falls": lambda was, now: was >= 80 and now < was / 2,
    "halves": lambda was, now: was >= 30 and now < was / 2,
    "empties": lambda was, now: was >= 10 and now < 1,
    "lessens": lambda was, now: was >= 30 and now < 0.7 * was,
    "shifts": lambda was, now: abs(now - was) >= 30,
    "mounts": lambda was, now: now - was >= 10,
    "rises": lambda was, now: now - was >= 30,
    "manifold": lambda was, now: 0 < min(was, now) <= max(was, now) / 50,
}
HIDDEN = re.compile(r"\[hidden( [0-9a-f]+)?\]")


class Difference(NamedTuple):
    """A setting of a resource that is another one: its path, and both values; None: not set."""

    path: str
    was: Any
    now: Any

    def counts(self, way: str) -> bool:
        """Whether a number went as a table of resources says that it has to, to be told."""
        was, now = (of or 0 for of in self[1:])
        return dict not in (type(was), type(now)) and WAYS[way](was, now)

    def fits(self, kind: Json, way: str) -> bool:
        """Whether it is one of those of a table of resources, as that writes them."""
        return bool(re.match(kind.get(way, "(?!)"), "{}: {} now {}".format(*self)))

    @property
    def went_back(self) -> bool:
        """Versions are numbered in texts: a lower one than before is no deployment."""
        each = [int(v) for v in self[1:] if isinstance(v, str) and v.isdigit()]
        return len(each) == 2 and each[1] < each[0]

    @property
    def is_more(self) -> bool:
        """How long something is kept, or how much it may have, and it is more."""
        said = [str(of) for of in self[1:] if _ROOM.search(self.path)]
        each = [float(of) for of in said if of.replace(".", "").isdigit()]
        return len(each) == 2 and each[0] < each[1]

    def went_to(self, other: Difference) -> bool:
        """Whether what is less here is more there, by a name that holds this one's: archived.

        Or went by age: at least half remain, and of the time since the oldest of before at
        least half as large a share went as of what was there.
        """
        each = [*self[1:], *other[1:]]
        if self.path.rpartition(".")[2] not in other.path or {dict, str} & {*map(type, each)}:
            return False
        was, now, had, has = (of or 0 for of in each)
        if other.path.startswith("oldest."):
            share = (has - had) / (time.time() - had)
            return bool(had and was / 2 <= now < was and share >= (1 - now / was) / 2)
        return bool(0 < was - now <= has - had)


class Same(NamedTuple):
    """Was it kept with the same key for its hashes, and read by the same table and SDK?"""

    key: bool = True
    table: bool = True


class Forms:
    """Makes and compares the kept form. `key`: what hashes are keyed with; none: nothing to read.

    `known_as` tells two keys apart without giving one away.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self.known_as = self._hash("which key", "")

    def _hash(self, path: str, value: Any) -> str:
        if not self._key:
            return ""
        said = f"{path}\n{value}".encode(errors="backslashreplace")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()[:16]

    def _hide(self, path: str, value: Any) -> str:
        return f"[hidden {self._hash(path, value)}]" if self._key else "[hidden]"

    def stamp(self, d: Difference) -> str:
        """Tells whether a setting is still what it was found to be."""
        return self._hash(d.path, json.dumps(d.now, sort_keys=True))

    def normal(self, of: Any, path: str = "", held: bool = False) -> Any:
        """The form of a description: dicts, sorted lists, texts, numbers, truths."""
        if isinstance(of, dict):
            return self._mapping(of, path, held)
        if isinstance(of, (list, tuple, set)):
            return self._listing(list(of), path, held)
        if isinstance(of, str) and of[:1] in ("{", "[") and not held:
            inside = decoded(of)
            if inside is not None:
                return self.normal(inside, path)
        if of is None or of == UNREAD or isinstance(of, bool):
            return of
        name = path.rpartition(".")[2]
        if held or (isinstance(of, str) and (holds_a_secret(name, of) or redaction.mask(of) != of)):
            return self._hide(path, of)
        return of if isinstance(of, (int, float, str)) else str(of)

    def _mapping(self, of: Json, path: str, held: bool) -> Json:
        made = {}
        for name, value in sorted(of.items(), key=lambda item: str(item[0])):
            name = str(name)
            if not held and isinstance(value, datetime) and _AN_END.match(name):
                value = "it is set"
            if not held and (_VOLATILE.fullmatch(name) or _is_time(name, value)):
                continue
            if not held and _A_STATE.search(name) and isinstance(value, str):
                value = next((s for of, s in _SET.items() if value.lower().startswith(of)), None)
            if value is not None:
                place = f"{path}.{name}" if path else name
                made[name] = self.normal(value, place, held or _HELD.search(name) is not None)
        return made

    def _listing(self, of: list[Any], path: str, held: bool) -> Any:
        name = _name_of(of)
        if name is None:
            parts = [self.normal(each, path, held) for each in of]
            return sorted(parts, key=lambda each: json.dumps(each, sort_keys=True))
        rest = {str(each[name]): {k: v for k, v in each.items() if k != name} for each in of}
        pairs = {key: _only_value(each) for key, each in rest.items()}
        return self._mapping(pairs, path, held)

    def text(self, normal: Any) -> str:
        """As it is kept; of what is long a hash, which is compared as the whole is."""
        text = json.dumps(normal, sort_keys=True, ensure_ascii=False)
        return text if len(text) <= _LONG else self.shortened(text)

    def shortened(self, text: str) -> str:
        """A hash in place of a text; of one already, itself."""
        return text if text.startswith('{"whole"') else json.dumps({"whole": self._hide("", text)})

    def differences(self, kept: str, now: Any, same: Same) -> list[Difference]:
        """Of what was kept of a resource and what it is now, both in their forms."""
        was = decoded(kept, UNREAD)  # no JSON: masked where it was kept
        if isinstance(was, dict) and "whole" in was:
            now = json.loads(self.shortened(self.text(now)))
        return [d for d in _different(was, now, "") if not self._alike(d, same)]

    def _alike(self, d: Difference, same: Same) -> bool:
        """Nothing can be said of it, or it is the same after all."""
        sides = [d.was, d.now]
        if UNREAD in sides or redaction.is_masked(str(d.was)):
            return True
        if not same.table and d.path and None in sides:  # it was not asked for, or not answered
            return True
        if None in sides or not any(map(HIDDEN.search, map(str, sides))):
            return False
        if not same.key or not self._key:
            return True
        shown = [v if HIDDEN.fullmatch(str(v)) else self._hide(d.path, v) for v in sides]
        return not isinstance(d.now, (dict, list)) and shown[0] == shown[1]


def _different(was: Any, now: Any, path: str) -> Iterator[Difference]:
    if isinstance(was, dict) and isinstance(now, dict):
        for name in sorted(was.keys() | now.keys()):
            place = f"{path}.{name}" if path else name
            yield from _different(was.get(name), now.get(name), place)
    elif isinstance(was, list) and isinstance(now, list):
        less, more = [v for v in was if v not in now], [v for v in now if v not in was]
        if less or more:
            yield Difference(path, less or None, more or None)
    elif was != now:
        yield Difference(path, was, now)


def _name_of(of: list[Any]) -> str | None:
    """The key that names each element of a list, and all differently."""
    if not of or not all(isinstance(each, dict) for each in of):
        return None
    known = [*_NAMES, *sorted(name for name in map(str, of[0]) if _A_NAME.search(name))]
    for name in known:
        values = [each.get(name) for each in of]
        if all(isinstance(value, str) for value in values) and len(set(values)) == len(of):
            return name
    return None


def _only_value(of: Json) -> Any:
    return next(iter(of.values())) if [str(name).lower() for name in of] == ["value"] else of


def _is_time(name: str, value: Any) -> bool:
    said = isinstance(value, (int, float, str)) and _A_TIME.fullmatch(str(value))
    return isinstance(value, datetime) or bool(_OF_TIME.search(name) and said)


def own_key() -> bytes:
    """The key of this user's machine: in a private file, never in a record; empty: none.

    `$OPSLIB_PRIVATE` may be a folder that several share, who then compare each other's records.
    """
    file = passwords.folder() / "configuration.key"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(opened).st_size < 32:  # of two at once the first to write counts for both
                os.write(opened, secrets.token_bytes(32))
            return os.pread(opened, 32, 0)
        finally:
            os.close(opened)
    except OSError:
        return b""
