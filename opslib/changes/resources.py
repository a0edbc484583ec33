"""What describes each resource of a target, as it is now: one mechanism over a table of calls."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from opslib.core import (
    Connection,
    Json,
    NotFound,
    OpsError,
    UsageError,
    beside,
    caches,
    identities,
)
from opslib.core.connections import sql

Key: TypeAlias = tuple[str, str]  # kind of resource and its name
UNREAD = "[unread]"
OWN = {"sql", "cache"}  # asked by their own ways, not as services of AWS


def was_read(of: Any) -> bool:
    """Whether anything of a resource could be read."""
    return any(map(was_read, of.values())) if isinstance(of, dict) else of != UNREAD


def data(name: str) -> Json:
    """A table beside this module. Its head says what an entry says."""
    said: Json = beside(__file__, name)
    return said


def table() -> Json:
    """The kinds of resources, by name."""
    return data("resources")


def services(ops: Connection, kind: str) -> set[str]:
    """Those that tell of a kind, as CloudTrail names them."""
    about = table()[kind]
    asked = {call[0] for call in [about["call"], *about.get("also", {}).values()]} - OWN
    return {ops.client(service).meta.service_model.signing_name for service in asked}


@dataclass
class Described:
    """Resources by kind and name, as AWS describes them; UNREAD in place of what it did not say.

    `absent`: what the target's file names, or what was there before, and is not there now.
    `unread`: why, by operation (`sqs:GetQueueAttributes`), and of which resources.
    """

    found: dict[Key, Any] = field(default_factory=dict)
    absent: list[Key] = field(default_factory=list)
    unread: dict[str, tuple[OpsError, list[Key]]] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """Of how many of the target's own anything could be read."""
        mine = (key for key in self.found if "of_account" not in table()[key[0]])
        return sum(was_read(self.found[key]) for key in mine)

    def called(self, key: Key) -> str:
        """What people call it, where its name is an id; empty where nothing says so."""
        path, of = table()[key[0]].get("called"), self.found.get(key)
        return str(_search(path, of) or "") if path and isinstance(of, dict) else ""


def describe(ops: Connection, known: Iterable[Key] = ()) -> Described:
    """Read everything that the target's file names, and what that leads to.

    `known`: what was there before, looked for when nothing leads to it any more.
    """
    reading = _Reading(ops)
    named = declared(ops)
    reading.read(named)
    lost = [key for key in known if key not in reading.found]
    # Of what a statement is made for, there may be nothing to ask.
    asked = {kind for kind, about in table().items() if about["call"][1] != "{first}"}
    single = [key for key in lost if key[0] in asked and "id" not in table()[key[0]]]
    still = dict(reading.found)
    reading.read(single)
    wanted = [key for key in named if not {"perhaps", "match"} & table()[key[0]].keys()]
    listed = {kind for kind, _ in reading.asked if "id" in table()[kind]} - reading.silent
    gone = [key for key in single if key not in reading.found]
    gone += [key for key in lost if key[0] in listed]
    absent = dict.fromkeys([*(key for key in wanted if key in reading.empty), *gone])
    # What is there and nothing leads to any more is no longer the target's.
    return Described(still, list(absent), reading.unread)


def read_resources(ops: Connection, kind: str = "") -> Described:
    """What AWS says of all that the file names and what that leads to; or only of a `kind`.
    `absent`: what is led to and not there.
    """
    reading = _Reading(ops)
    wanted = [key for key in _named(ops) if kind in ("", key[0])]
    reading.read((key for key in wanted if table()[key[0]]["call"][0] not in OWN), not kind)
    led = [key for key in sorted(reading.empty.difference(wanted)) if "id" not in table()[key[0]]]
    return Described(reading.found, led, reading.unread)


def is_described(ops: Connection) -> bool:
    """Whether the target's file names anything whose configuration can be read."""
    return any(_named(ops))


def declared(ops: Connection) -> list[Key]:
    """What the target's file names. Raises UsageError: nothing."""
    if not (found := list(_named(ops))):
        parts = ", ".join(
            dict.fromkeys(p for about in table().values() for p in about.get("of", {}))
        )
        raise UsageError(
            f"parameters/targets/{ops.target.key}.yaml describes no resource to look at: "
            f"none of {parts}. Add what it has."
        )
    return found


def named(ops: Connection) -> set[str]:
    """Names in the target's file to find in what was done: of services, too, which `describe` does
    not read.
    """
    services = ops.target.at("services").values()
    return {name for _, name in _named(ops)} | {
        facts[part] for facts in services for part in ("name", "family") if part in facts
    }


def _named(ops: Connection) -> Iterator[Key]:
    facts = ops.target.facts.plain()
    for kind, about in table().items():
        for part, path in about.get("of", {}).items():
            for name in _search(path, facts[part]) or () if part in facts else ():
                if name:
                    yield kind, name


def _search(path: str, data: Any, name: str = "") -> Any:
    import jmespath

    return jmespath.search(path.replace("$id", f"`{json.dumps(name)}`"), data)


class _Reading:
    """A walk from what is declared to what it leads to, a round of parallel reads each."""

    def __init__(self, ops: Connection) -> None:
        self._ops = ops
        self.found: dict[Key, Any] = {}
        self.asked: set[Key] = set()
        self.empty: set[Key] = set()  # asked, and there is none
        self.silent: set[str] = set()  # kinds of which not all could be listed
        self.unread: dict[str, tuple[OpsError, list[Key]]] = {}

    def read(self, keys: Iterable[Key], follow: bool = True) -> None:
        ahead = [key for key in dict.fromkeys(keys) if key not in self.asked]
        while ahead:
            self.asked.update(ahead)
            led: list[Key] = []
            for key, bodies in self._ops.each(self._one, ahead).items():
                self.found |= bodies
                if not bodies and key[0] not in self.silent:
                    self.empty.add(key)
                for (kind, name), body in bodies.items():
                    for to, path in table()[kind].get("leads", {}).items():
                        named = _search(path, body, name) if isinstance(body, dict) else ()
                        listed = named if isinstance(named, list) else ()  # not what is unread
                        led += [(to, each) for each in listed if isinstance(each, str)]
            ahead = [key for key in dict.fromkeys(led) if follow and key not in self.asked]

    def _one(self, key: Key) -> dict[Key, Any]:
        """The resource of that name; or all that a call lists for it, where it lists several."""
        kind, name = key
        about = table()[kind]
        words: Json = {"today": f"{self._ops.now():%Y-%m-%d}"}
        body = words["first"] = self._call(key, about["first"], words) if "first" in about else ""
        if body not in (None, UNREAD):
            body = self._call(key, about["call"], words)
        if body == UNREAD and "id" in about:
            self.silent.add(kind)
            return {}
        if body in (None, UNREAD):
            return {key: UNREAD} if body else {}
        if "id" not in about:
            return {key: self._whole(key, body, words)}
        named = {str(_search(about["id"], each)): each for each in body}
        return {
            (kind, each): self._whole((kind, each), body, words)
            for each, body in named.items()
            if not about.get("match") or fnmatchcase(each, name)
        }

    def _whole(self, key: Key, body: Any, words: Json) -> Any:
        also, words = table()[key[0]].get("also", {}), words | {"main": body}
        parts = {name: self._call(key, call, words) for name, call in also.items()}
        return body | parts if parts else body

    def _call(self, key: Key, call: list[Any], words: Json) -> Any:
        """What it answers; None where AWS says that there is none, UNREAD where it does not say."""
        service, operation, given, path = call
        path = path.replace("$id", f"`{json.dumps(key[1])}`")
        parameters, ops = _filled(given, key[1], words), self._ops.at(_region(self._ops, key[1]))
        try:
            if service == "sql":
                # Names are to be the same whatever a login's search path is; the file's is by that.
                schemas = "" if "{0}" in operation else "public"
                rows = sql.ask(self._ops, operation.format(key[1], **words), path=schemas)
                return _search(path, json.loads(rows.to_json(orient="records")))
            if service == "cache":
                with caches.session(self._ops, "INFO") as client:
                    return _search(path, dict(client.info(operation)))
            if path.endswith("[]"):
                return ops.pages(service, operation, path, **parameters)
            return _search(path, ops.call(service, operation, **parameters))
        except NotFound:
            return None
        except OpsError as exc:
            asked = {"sql": "SQL"}.get(service, service)
            if service not in OWN:
                named = self._ops.client(service).meta.method_to_api_mapping[operation]
                asked = f"{service}:{named}"
            self.unread.setdefault(asked, (exc, []))[1].append(key)
            return UNREAD


def _region(ops: Connection, name: str) -> str:
    """Where a resource is: an ARN says it, or of WAF's the scope."""
    if re.match("arn:([^:]*:){3}", name):
        return name.split(":")[3]
    return identities.kept_in(ops.target.region, name.split(" ")[-1])


def _filled(given: Any, name: str, words: Json) -> Any:
    if isinstance(given, dict):
        return {key: _filled(each, name, words) for key, each in given.items()}
    if isinstance(given, list):
        return [_filled(each, name, words) for each in given]
    if isinstance(given, str) and given.startswith("$"):
        return _search(given[1:], words["main"])
    if isinstance(given, str):
        return given.format(*name.split(" "), last=name.rsplit("/", 1)[-1], **words)
    return given
