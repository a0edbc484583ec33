"""Values of resources in Terraform's JSON.

Compared attribute by attribute, the sensitive ones hidden.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from opslib.core import beside, cut, decoded, names_a_secret, redaction

SENSITIVE = "(sensitive)"
LATER = "(known after apply)"
NONE = "(none)"
_EMPTY = ("", NONE, '""')
# Though they sound so.
_NO_SECRETS = re.compile(
    r"((hash_|range_)?key|http_tokens|key_name|(kms_)?key_id|kms_key_arn|authorization)"
)
_HELD = {"data": True, "stringData": True}  # secret in a Secret of Kubernetes
_MANIFEST = re.compile(r"(?m)^kind:\s*[\"']?Secret\b")
_EVERYONE = re.compile(
    r"(?<![\w.:])((0\.0\.0\.0|128\.0\.0\.0)/[01]|(0+:)*:*(0+)?::/[01]|2000::/3)(?![\d.])"
)
_NO_WAY_IN = (
    r"egress|outbound|(destination|target|local|remote|user_data).*|description|tags(_all)?"
)
_ANY = re.compile(r"(^|')[*:]+('|$)")  # of one, or of several in a list
_ANYBODY = re.compile(rf"{_ANY.pattern}|{_EVERYONE.pattern}")
_NAMES = re.compile(r"(ForAnyValue:)?(String(Equals|Like)(IgnoreCase)?|Arn\w+|IpAddress|Bool)")
_LONGEST = 160


def words(part: str) -> Any:
    """A part of terraform.yaml."""
    return beside(__file__, "terraform")[part]


@dataclass(frozen=True)
class Secret:
    """A value that is compared, and never shown."""

    value: Any = field(repr=False)


def hide(value: Any, marks: Any, unknown: Any = None, name: str = "") -> Any:
    """The value with a Secret for what is marked or sounds secret, and LATER for what is unknown.

    A text that is JSON itself is what it says.

    Terraform's marks have the shape of the value; `true` stands for all that is below it. What is
    marked is hidden wherever it stands: a password is marked in one resource and plain in another.
    """
    if unknown is True:
        return LATER
    if marks is True and value is not None:
        return _secret(value)
    marked, later = _below(marks), _below(unknown)
    if isinstance(unknown if value is None else value, dict):
        known = value or {}
        marked = marked | _HELD if known.get("kind") == "Secret" else marked
        named = redaction.secret_keys(known)
        return {
            key: _secret(known[key])
            if key in named
            else hide(known.get(key), marked.get(key), later.get(key), key)
            for key in known | later
        }
    if isinstance(value, list):
        return [  # beside an option of a command stands its value
            hide(part, marked.get(at), later.get(at), str(last) if str(last)[:1] == "-" else "")
            for at, (last, part) in enumerate(pairwise(["", *value]))
        ]
    if (inside := _inside(value)) is not value:  # definitions of containers, policies
        return hide(inside, None)
    if not isinstance(value, str) or not value:
        return value
    # Lambda's variables for one are not marked by Terraform, whatever is in them.
    sounds = names_a_secret(name, value) and not _NO_SECRETS.fullmatch(name)
    return Secret(value) if sounds or _MANIFEST.search(value) else value


def _secret(value: Any) -> Secret:
    redaction.register(value, "terraform plan")
    return Secret(value)


def _below(marks: Any) -> dict[Any, Any]:
    if isinstance(marks, dict):
        return marks
    return dict(enumerate(marks)) if isinstance(marks, list) else {}


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


class Difference(NamedTuple):
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
        """Is it now one of these, and was something else? Or `fewer` than it was, and not none."""
        fewer, _, endless = value.partition(" of ")
        if fewer != "fewer":
            now = "nothing" if self.after in _EMPTY else self.after
            return self.before not in _EMPTY and now in value.split()
        try:
            was, less = float(self.before), float(self.after)
        except ValueError:
            return False
        return 0 < less < was or (bool(endless) and was == 0 < less)

    def __str__(self) -> str:
        both = self.before and self.after and not self.before.startswith("- ")
        said = (" → " if both else " ").join(filter(None, (self.before, self.after)))
        return f"{self.attribute}: {said}"


def differences(before: Any, after: Any, *at: str) -> Iterator[Difference]:
    """The attributes in which they differ. Of lists, what was taken out and what came in.

    Of a block of which there is one, what differs within it.
    """
    if before == after:
        return
    if isinstance(before, list) and isinstance(after, list):
        if len(before) == len(after) == 1:  # the one block of its kind
            yield from differences(*before, *after, *at)
            return
        was, now = _only("-", before, after), _only("+", after, before)
        if was or now:  # else only in another order
            yield Difference(".".join(at), *_cut(was, now))
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), *at, key)
        return
    was, now = shown(before), shown(after)
    if was == now == SENSITIVE:
        now += ", another"
    yield Difference(".".join(at), *_cut(was, now))


def _inside(value: Any) -> Any:
    """What a text of JSON holds; any other value as it is."""
    told = isinstance(value, str) and value.lstrip().startswith(("{", "["))
    return decoded(value, value) if told else value


def _within(value: Any, name: str = "", door: str = "") -> Iterator[tuple[str, str, Any]]:
    """It, and all that is in it and may lead in: behind which door, what it is called, and it.

    A door is what rules let through, whoever comes: it is another one when that changes.
    """
    value = _inside(value.value if isinstance(value, Secret) else value)  # judged and not shown
    yield door, name, value
    if isinstance(value, list):
        for part in value:
            yield from _within(part, name, door)
    elif isinstance(value, dict) and not _shut(value):
        door += str([value.get(key) for key in words("doors")])
        held = "|(not)?principal" if _held(value) else ""
        for key in value:
            if not re.fullmatch(_NO_WAY_IN + held, key, re.IGNORECASE):
                yield from _within(value[key], key, door)


def _shut(rule: dict[str, Any]) -> bool:
    """Does it lead out, or deny, or is it switched off?"""
    return any(str(rule.get(key)).lower() in no.split() for key, no in words("denies").items())


def opens(before: Any, after: Any) -> bool:
    """Is there a way in for every address, which was not there before? Whole values are judged."""
    return not {*_ways(after)} <= {*_ways(before)}


def _ways(value: Any) -> Iterator[tuple[str, str, str]]:
    for door, name, part in _within(value):
        if name == "NotPrincipal":
            yield door, name, ""
        elif not isinstance(part, (dict, list)):
            named = str(part).lower() in words("open").get(name, "").lower().split()
            for line in str(part).splitlines():
                if named or _EVERYONE.search(line):
                    yield door, name, line


def _held(rule: dict[str, Any]) -> bool:
    """Does it let in only those whom a condition names, though it says everyone?"""
    conditions = rule.get("Condition")
    asked = conditions.items() if isinstance(conditions, dict) else ()
    return any(
        key.lower().partition("/")[0] in words("who") and value and not _ANYBODY.search(str(value))
        for keys in (rule, *(keys for operator, keys in asked if _NAMES.fullmatch(operator)))
        for key, value in keys.items()
    )


def later(value: Any) -> bool:
    """Is it known only after the apply which addresses come in?"""
    return any(part == LATER and name in words("addresses") for _, name, part in _within(value))


def allows_all(value: Any) -> bool:
    """Does a policy in it allow every action on everything?"""
    return any(_allows(part) for *_, part in _within(value))


def _allows(part: Any) -> bool:
    if not isinstance(part, dict):
        return str(part).endswith(tuple(words("everything")))
    asked = part.get("Action", "*" if "NotAction" in part else ""), part.get("Resource", "")
    return part.get("Effect") == "Allow" and all(_ANY.search(str(said)) for said in asked)


def deletes_after(value: Any) -> float:
    """Days until what it holds is deleted by its age, at the soonest; infinity: it is kept."""
    days = (
        part.get("days") or part.get("noncurrent_days")
        for _, name, part in _within(value)
        if "expiration" in name and isinstance(part, dict)
    )
    return min((after for after in days if isinstance(after, int) and after), default=math.inf)


def _only(mark: str, here: list[Any], there: list[Any]) -> str:
    only = ", ".join(shown(part) for part in here if part not in there)
    return only and f"{mark} {only}"


def _cut(was: str, now: str) -> tuple[str, str]:
    """Both short enough to read; where they begin alike, from where they differ."""
    pairs = enumerate(zip(was, now, strict=False))
    same = next((at for at, (one, other) in pairs if one != other), min(len(was), len(now)))
    start = same - 40 if max(len(was), len(now)) > _LONGEST and same > _LONGEST // 2 else 0
    begun = "…" if start else ""
    return cut(begun + was[start:], _LONGEST), cut(begun + now[start:], _LONGEST)
