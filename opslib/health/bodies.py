"""What the body of a health answer says: of the whole, and of each of its parts.

JSON of any shape, lines of text, a page of one colour, in the words of many frameworks. What is
neither well nor ill is *unclear*, with its place, and never taken for well.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from opslib.core import cut
from opslib.health import words
from opslib.health.words import RANK

(
    _OWN,
    _CODES,
    _PARTS,
    _WRAPS,
    _ABOUT,
    _SETTINGS,
    _SWITCHES,
    _WEIGHTS,
    _CALLED,
    REASONS,
) = words.sets("names")
(
    _FACT,
    _LIKE_A_PART,
    _BREAKER,
    _LATENCY,
    _PROBED,
    _LINE,
    _COLOUR,
    _HEADING,
    _SCRIPT,
    _UNSAID,
) = map(re.compile, words.TABLE["shapes"].values())
_HOLDERS = _WRAPS | _PARTS | _OWN
_DEEPEST = 12

At = tuple[str, ...]  # names on the way to a place in a body


class Pairs(tuple[tuple[str, Any], ...]):
    """An object of JSON as it was sent: of two values under one name, both."""

    def first(self, names: Iterable[str]) -> Any:
        """The first value that is not empty, by the order of the names."""
        said = [(words.snake(key), value) for key, value in self]
        return next((value for name in names for key, value in said if key == name and value), None)


class Said(NamedTuple):
    """What is said of a part, or of the whole (no name).

    `status`: ok, skipped, degraded, failed or unclear. `told`: the place and what stands there.
    """

    name: str
    status: str
    told: str = ""
    reason: str = ""
    latency_ms: float | None = None


def read(text: str) -> list[Said]:
    """All that a body says of health, the worst of each name; nothing when it says nothing."""
    text = text.lstrip("\ufeff").strip()
    if not text:
        return []
    try:
        body = json.loads(text, object_pairs_hook=Pairs)
    except RecursionError:
        return [Said("", "unclear", "it is nested too deep")]
    except ValueError:
        if text[0] in "{[" and text[1:2] not in ("+", "-"):
            return [Said("", "unclear", "it is cut, or no JSON")]
        body = _lines(text)
    found = dict[str, Said]()
    role = "data" if text[0] in "{[" else "parts"
    for said in _value(body, (), role):
        before = found.setdefault(said.name, said)
        if RANK[said.status] > RANK[before.status]:
            found[said.name] = said
    whole = found.get("")
    if whole and whole.status == "skipped":  # nothing was asked
        found[""] = whole._replace(status="unclear")
    return list(found.values())


def worst(found: list[Said]) -> list[Said]:
    """Those that are worst, where that is not well."""
    rank = max((RANK[said.status] for said in found), default=0)
    return [said for said in found if rank and RANK[said.status] == rank]


def _lines(text: str) -> Any:
    """A page's colour, or its words; lines of `name: words` or `[+]name ok`; or a sentence."""
    if text.startswith("<"):
        colour = _COLOUR.search(_SCRIPT.sub("", text))
        page = [" ".join(_UNSAID.sub(" ", of).split()) for of in (text, *_HEADING.findall(text))]
        told = [("status", of) for of in page if words.status(of)]
        return Pairs(told) if told else page[0] or (colour and colour[1])
    pairs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if probed := _PROBED.match(line):
            said = "ok" if probed[1] == "+" else f"failed: {probed[3].removeprefix('failed: ')}"
            pairs.append((probed[2], said))
        elif (named := _LINE.fullmatch(line)) and not words.meaning(words.snake(named[1])):
            pairs.append((named[1], named[2]))
        else:
            pairs.append(("status", line))
    return Pairs(pairs) if len(pairs) > 1 or dict(pairs).keys() - {"status"} else text


def _value(value: Any, at: At, role: str) -> Iterator[Said]:
    """What stands at a place, by its role there.

    `parts`: its members are parts; `part`: it has to say how it is; `data`: it may; `told`: the
    whole has said how it is; `facts`: the part that it is in has.
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = _within(value)
    if len(at) > _DEEPEST:
        yield _said(at, "unclear", "nested too deep")
    elif isinstance(value, Pairs):
        yield from _object(value, at, role)
    elif isinstance(value, list):
        yield from _items(value, at, role)
    elif (status := words.status(value)) or role in ("part", "parts"):
        yield _said(at, status or "unclear", value)


def _within(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return text


def _items(values: list[Any], at: At, role: str) -> Iterator[Said]:
    several = len(values) > 1
    for place, item in enumerate(values, 1):
        if isinstance(item, Pairs):
            name = item.first(_CALLED) if several or role != "part" else None
            name = str(name) if isinstance(name, (str, int)) else f"#{place}" if several else ""
            yield from _value(item, (*at, name), "part" if role == "parts" else role)
        elif isinstance(item, list):
            yield from _value(item, (*at, ""), role)
        elif role in ("part", "parts") or not at:  # "db: ok", or a name that says nothing
            named = _LINE.fullmatch(item) if isinstance(item, str) else None
            name, said = (named[1], named[2]) if named else ("", item)
            status = words.status(said) or "unclear"
            yield _said((*at, name or (str(item) if status == "unclear" else "")), status, said)


def _object(pairs: Pairs, at: At, role: str) -> Iterator[Said]:
    """Its own word, then its parts.

    Of members that are neither, an unknown word counts only where nothing else says how it is.
    """
    found: dict[str, list[Any]] = {"own": [], "part": [], "loose": [], "inner": []}
    for key, value in pairs:
        for kind, said in _member(key, value, at, role):
            found[kind].append(said)
    own, parts = found["own"], found["part"]
    understood = any(said.status != "unclear" for said in own)
    deeper = list[Said]()
    for key, value in found["inner"]:
        deeper += _value(value, (*at, key), _role_of(words.snake(key), at, role, understood))
    if not (own or deeper or role == "told"):
        parts += found["loose"]
    if at and (unused := [said for said in own if said.status == "skipped"]):
        own = unused
    if not (own or parts or deeper):
        told = pairs.first(("message", "msg", "detail"))
        if role == "part" or told:
            own.append(_said(at, words.status(told) or "unclear", told or "no word on its health"))
    for said in own:
        yield said._replace(reason=_reason(pairs) or said.reason, latency_ms=_latency(pairs))
    yield from (*parts, *deeper)


def _role_of(name: str, at: At, role: str, understood: bool) -> str:
    """Of what an object holds, by its name and by what the object says of itself."""
    if role == "facts":
        return role
    if name in _PARTS:
        return "parts"
    if role == "parts" or (role == "data" and not understood and _LIKE_A_PART.fullmatch(name)):
        return "part"
    if name in _OWN:
        return "data"
    return ("facts" if at else "told") if understood else role if role == "told" else "data"


def _member(key: str, value: Any, at: At, role: str) -> Iterator[tuple[str, Any]]:
    """What one member says, and of what: `own`, a `part`, `loose`; or `inner`: it holds more."""
    name, holds = words.snake(key), isinstance(value, (Pairs, list))
    if _BREAKER.search("_".join((*at, key))) and words.is_word(breaker := f"circuit {value}"):
        value = breaker  # closed is well, and open is not
    if name in _OWN | _CODES and not holds:
        if (status := words.status(value)) or name in _OWN:
            yield "own", _said(at, status or "unclear", value, key)
    elif role == "parts" and holds:
        yield "inner", (key, value)
    elif meant := words.meaning(name):
        yield from _named(meant, name, key, value, at)
    elif name in _ABOUT or _FACT.fullmatch(name) or words.of_the_past(name):
        return
    elif value == () and role != "facts" and _LIKE_A_PART.fullmatch(name):
        yield "part", _said((*at, key), "unclear", value)
    elif holds or (isinstance(value, str) and value[:1] in ("{", "[")):
        yield "inner", (key, value)
    elif role == "parts":
        yield from (("part", said) for said in _value(value, (*at, key), "part"))
    elif name in _SETTINGS and value is False:
        yield "own", _said(at, "skipped", value, key)
    elif value in (0, 1) and _LIKE_A_PART.fullmatch(name) and not isinstance(value, bool):
        yield "part" if value else "loose", _said((*at, key), "ok" if value else "unclear", value)
    elif isinstance(value, (str, bool)) or value is None:
        like = role != "facts" and (name in _PARTS or _LIKE_A_PART.fullmatch(name) is not None)
        status = words.status(value, like) if like or isinstance(value, str) else ""
        known = words.is_data(value) or _LIKE_A_PART.fullmatch(words.snake(str(value)))
        if status or not (known or role == "facts" or name in _SETTINGS):
            said = _said((*at, key), status or "unclear", value)
            yield "part" if status or like else "loose", said


def _named(
    meant: words.Meaning, name: str, key: str, value: Any, at: At
) -> Iterator[tuple[str, Any]]:
    """What stands under a name that means something: `healthy`, `db_error`, `failed_checks`."""
    status = words.judged(meant.status, value, name)
    if isinstance(value, Pairs):  # `maintenance: {active: false}`
        switches = [v for k, v in value if words.snake(k) in _SWITCHES and isinstance(v, bool)]
        value = switches[0] if switches and meant.status != "ok" else value
        status = words.judged(meant.status, value, name)
    there, found = at if meant.role == "part" else (*at, key), list[Said]()
    if value and isinstance(value, (Pairs, list)):
        found = list(_value(value, there, meant.role))
    for said in found:
        yield "part", said._replace(status=status) if said.status == "unclear" else said
    if status and not found:
        weighs = name in _WEIGHTS and isinstance(value, bool)
        yield (
            "part" if meant.of else "loose" if weighs else "own",
            _said((*at, meant.of), status, value, key),
        )


def _said(at: At, status: str, value: Any, key: str = "") -> Said:
    """The name is what stands on the way, without what only holds; the words are a reason."""
    name = ".".join(part for part in at if part and words.snake(part) not in _HOLDERS)
    text = (
        value
        if isinstance(value, str)
        else json.dumps(dict(value) if isinstance(value, Pairs) else value)
    )
    told = ": ".join(filter(None, (".".join(filter(None, (*at, key))), text)))
    reason = "" if words.is_word(value) else text
    return Said(name, status, cut(told, 200), cut(reason, 200))


def _reason(pairs: Pairs) -> str:
    told = pairs.first(REASONS)
    return "" if isinstance(told, (Pairs, list)) else cut(str(told or ""), 200)


def _latency(pairs: Pairs) -> float | None:
    """Milliseconds from `latency_ms`, `responseTimeMs`, or `…_seconds`.

    None when not told with a unit.
    """
    for key, number in pairs:
        told = _LATENCY.fullmatch(words.snake(key))
        if told and type(number) in (int, float):
            return float(number) * (1000 if told[1] in ("s", "seconds") else 1)
    return None
