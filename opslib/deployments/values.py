"""Values of resources in Terraform's JSON.

Compared attribute by attribute, the sensitive ones hidden.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from opslib.core import Json, decoded, names_a_secret, redaction

SENSITIVE = "(sensitive)"
LATER = "(known after apply)"
NONE = "(none)"
# Though they sound so.
_NO_SECRETS = re.compile(r"((hash_|range_)?key|key_name|(kms_)?key_id|kms_key_arn|authorization)")
_EVERYONE = re.compile(r"(?<![\w.:])((0\.0\.0\.0|128\.0\.0\.0)/[01]|(0+:)*:*(0+)?::/[01])(?![\d.])")
_NO_WAY_IN = re.compile(r"egress|outbound|destination.*|local_.*|remote_.*|description|tags(_all)?")
_LONGEST = 160
_DOORS = ("from_port", "to_port", "protocol", "ip_protocol", "type", "port_range", "action")
_FROM = ("source_address", "Principal", "AWS")
_DENIES = ("action", "access", "rule_action", "Effect")


@dataclass(frozen=True)
class Secret:
    """A value that is compared, and never shown."""

    value: Any = field(repr=False)


def hide(value: Any, marks: Any, unknown: Any = None, name: str = "") -> Any:
    """The value with a Secret for what is marked or sounds secret, and LATER for what is unknown.

    Terraform's marks have the shape of the value; `true` stands for all that is below it. What is
    marked is hidden wherever it stands: a password is marked in one resource and plain in another.
    """
    if unknown is True:
        return LATER
    if marks is True and value is not None:
        redaction.register([value, _secrets_in(value)], "terraform plan")
        return Secret(value)
    marked, later = _below(marks), _below(unknown)
    if isinstance(unknown if value is None else value, dict):
        known = value or {}
        _register_named(known)
        named = redaction.secret_keys(known)
        return {
            key: Secret(known[key])
            if key in named
            else hide(known.get(key), marked.get(key), later.get(key), key)
            for key in known | later
        }
    if isinstance(value, list):
        return [hide(part, marked.get(at), later.get(at)) for at, part in enumerate(value)]
    if isinstance(value, str) and value.startswith(
        ("{", "[")
    ):  # definitions of containers, policies
        _register_named(decoded(value))
    return Secret(value) if _sounds_secret(name, value) else value


def _register_named(value: Any) -> None:
    """Mask wherever they stand the values that a name beside them calls secret, unmarked ones."""
    if isinstance(value, dict):
        for key in redaction.secret_keys(value):
            redaction.register(value[key], "terraform plan")
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            _register_named(part)


def _below(marks: Any) -> dict[Any, Any]:
    if isinstance(marks, dict):
        return marks
    return dict(enumerate(marks)) if isinstance(marks, list) else {}


def _sounds_secret(name: str, value: Any) -> bool:
    """Lambda's variables for one are not marked by Terraform, whatever is in them."""
    told = isinstance(value, str) and value != "" and names_a_secret(name, value)
    return told and not _NO_SECRETS.fullmatch(name)


def _secrets_in(value: Any) -> Json:
    """Of a text that is JSON itself, as Secrets Manager's are, what in it sounds secret."""
    with suppress(ValueError):
        inside = json.loads(value) if str(value).startswith("{") else {}
        return {key: part for key, part in inside.items() if _sounds_secret(key, part)}
    return {}


def shown(value: Any) -> str:
    """A value in one line, no secret in it."""
    if value is None:
        return NONE
    text = value if isinstance(value, str) else json.dumps(redaction.mask_tree(_filled(value)))
    text = re.sub(r"\[secret terraform plan.*?\]", SENSITIVE, redaction.mask(text))
    text = text if isinstance(value, str) else text.replace('"', "")
    return " ".join(text.split()) or '""'


def _filled(value: Any) -> Any:
    """Without the many empty attributes of a block."""
    if isinstance(value, dict):
        return {key: _filled(value[key]) for key in sorted(value) if value[key]}
    if isinstance(value, list):
        return [_filled(part) for part in value]
    return SENSITIVE if isinstance(value, Secret) else value


@dataclass(frozen=True)
class Difference:
    """An attribute, and what it was and becomes.

    Of a list: what goes out (`- …`), what comes in (`+ …`), else empty.
    """

    attribute: str = ""
    before: str = ""
    after: str = ""

    @property
    def top(self) -> str:
        """The attribute of the resource that it is in."""
        return self.attribute.partition(".")[0]

    def becomes(self, value: str) -> bool:
        """Is it this now, and was something else? Or `fewer` than it was, and not none."""
        fewer, _, endless = value.partition(" of ")
        if fewer != "fewer":
            return self.before != NONE and self.after == value
        try:
            was, now = float(self.before), float(self.after)
        except ValueError:
            return False
        return 0 < now < was or (bool(endless) and was == 0 < now)

    def __str__(self) -> str:
        both = self.before and self.after and not self.before.startswith("- ")
        said = (" → " if both else " ").join(filter(None, (self.before, self.after)))
        return f"{self.attribute}: {said}"


def differences(before: Any, after: Any, *at: str) -> Iterator[Difference]:
    """The attributes in which they differ. Of lists, what was taken out and what came in.

    Of texts that are JSON themselves (policies), what differs within them.
    """
    if before == after:
        return
    inside = _inside(before), _inside(after)
    if inside[0] != inside[1] and None not in inside:
        before, after = inside
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), *at, key)
        return
    if isinstance(before, list) and isinstance(after, list):
        was, now = _only("-", before, after), _only("+", after, before)
        if not was and not now:  # only in another order
            return
    else:
        was, now = shown(before), shown(after)
        if was == now == SENSITIVE:
            now += ", another"
    yield Difference(".".join(at), *_cut(was, now))


def _inside(value: Any) -> Any:
    """What a text of JSON holds; None when it is none."""
    told = isinstance(value, str) and value.startswith(("{", "["))
    return decoded(value) if told else None


def opens(before: Any, after: Any, name: str = "") -> bool:
    """Is there a way in for every address, which was not there before? Whole values are judged."""
    if (found := _inside(after)) is not None:
        return opens(_inside(before), found)
    if isinstance(after, dict):
        if {str(after.get(key)).lower() for key in _DENIES} & {"deny", "block"}:
            return False
        was = before if isinstance(before, dict) and _door(before) == _door(after) else {}
        held = "Principal" if after.get("Condition") else ""
        ways = (key for key in after if key != held and not _NO_WAY_IN.fullmatch(key))
        return any(opens(was.get(key), after[key], key) for key in ways)
    if isinstance(after, list):
        there = before if isinstance(before, list) else []
        doors = {_door(part): part for part in there if isinstance(part, dict)}
        others = [part for part in after if part not in there]
        return any(opens(doors.get(_door(part)), part, name) for part in others)
    if not isinstance(after, str) or after == before:
        return False
    named = name.startswith(_FROM) and after.lower() in ("*", "internet", "any")
    return named or _EVERYONE.search(after) is not None


def allows_all(value: Any) -> bool:
    """Does a policy in it allow every action on everything?"""
    if (found := _inside(value)) is not None:
        return allows_all(found)
    if isinstance(value, list):
        return any(map(allows_all, value))
    if isinstance(value, dict):
        asked = (value.get(key) for key in ("Effect", "Action", "Resource"))
        effect, *every = ([said] if isinstance(said, str) else said or [] for said in asked)
        told = effect == ["Allow"] and all("*" in each for each in every)
        return told or any(map(allows_all, value.values()))
    return isinstance(value, str) and value.endswith(":aws:policy/AdministratorAccess")


def deletes_after(value: Any, expires: bool = False) -> float:
    """Days until what it holds is deleted by its age, at the soonest; infinity: it is kept."""
    if isinstance(value, list):
        return min((deletes_after(part, expires) for part in value), default=math.inf)
    if not isinstance(value, dict) or value.get("status") == "Disabled":
        return math.inf
    if expires:
        return float(value.get("days") or value.get("noncurrent_days") or math.inf)
    below = (deletes_after(part, "expiration" in key) for key, part in value.items())
    return min(below, default=math.inf)


def _door(rule: Any) -> str:
    """What a rule lets through, whoever comes: it is another door when that changes."""
    return str([rule.get(key) for key in _DOORS]) if isinstance(rule, dict) else ""


def _only(mark: str, here: list[Any], there: list[Any]) -> str:
    only = ", ".join(shown(part) for part in here if part not in there)
    return only and f"{mark} {only}"


def _cut(was: str, now: str) -> tuple[str, str]:
    """Both short enough to read; where they begin alike, from where they differ."""
    pairs = enumerate(zip(was, now, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), 0)
    start = same - 40 if min(len(was), len(now)) > _LONGEST and same > _LONGEST // 2 else 0
    return _short(was, start), _short(now, start)


def _short(text: str, start: int) -> str:
    text = f"…{text[start:]}" if start else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
