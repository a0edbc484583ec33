"""What is in an account and region: a table of calls, asked at once; what was denied is told."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import jmespath

from opslib.core import Connection, Json, NotFound, OpsError
from opslib.discovery.known import known, words


@dataclass
class Account:
    """What was found, by kind; and why something of a kind is not known."""

    things: dict[str, list[Json]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> list[Json]:
        return self.things.get(kind, [])


def look(ops: Connection, prefix: str = "") -> Account:
    """Everything of known kinds whose name or tags have the words of the prefix; reads only."""
    found = Account()
    ops.each(partial(_list, ops, found), _kinds())
    tags = {_last(each["ResourceARN"]): each.get("Tags", ()) for each in found["tags"]}
    for kind, things in found.things.items():
        for thing in things:
            thing["tags"] = {tag["Key"]: tag["Value"] for tag in tags.get(thing["name"], ())}
        if kind not in known("linked"):
            found.things[kind] = [thing for thing in things if _belongs(thing, prefix)]
    asked = [(found, kind, thing) for kind in _kinds() for thing in found[kind]]
    ops.gather(*(partial(_ask, ops, *each) for each in asked))
    return found


def absent(ops: Connection) -> Iterator[str]:
    """What the target's file names and the account does not have, or could not be asked for."""
    found, facts = Account(), ops.target.facts.plain()
    wanted = {kind: jmespath.search(path, facts) for kind, path in known("described").items()}
    names = {kind: [name for name in each or () if name] for kind, each in wanted.items()}
    ops.each(partial(_list, ops, found), [kind for kind, each in names.items() if each])
    for kind, each in names.items():
        if kind in found.unknown:
            yield f"Not known whether it is there: {', '.join(each)}: {found.unknown[kind]}"
        there = {name for thing in found[kind] for name in (thing["name"], thing.get("ARN"))}
        for name in dict.fromkeys(each) if kind in found.things else ():
            if name not in there:
                yield f"Not there, in {ops.where}: {name} ({kind}); {len(there)} others are"


def _kinds() -> Json:
    return {**known("kinds"), **known("beside")}


def _list(ops: Connection, found: Account, kind: str) -> None:
    about = _kinds()[kind]
    try:
        things: list[Json] = []
        for given in _above(ops, found, about):
            told = ops.pages(*about["listed"].split(" ", 2), **given)
            things += ({**given, **thing, "name": _named(about, thing)} for thing in told)
        found.things[kind] = things
    except OpsError as exc:
        found.unknown[kind] = str(exc)


def _above(ops: Connection, found: Account, about: Json) -> list[Json]:
    """The parameters by which it is listed, of each thing of the kind above it. Raises OpsError."""
    for kind, name in about.get("of", {}).items():
        _list(ops, found, kind)
        if kind in found.unknown:
            raise OpsError(found.unknown[kind])
        return [{name: each["name"]} for each in found[kind]]
    return [about.get("given", {})]


def _ask(ops: Connection, found: Account, kind: str, thing: Json) -> None:
    """Adds what else is known of a thing; what is not there, or not of it, is not added."""
    about = _kinds()[kind]
    for key, (operation, wanted, given) in about.get("more", {}).items():
        parameters = {name: jmespath.search(path, thing) for name, path in given.items()}
        call = f"{about['listed'].split()[0]} {operation}".split()[-2:]
        try:
            if all(parameters.values()):
                thing[key] = jmespath.search(wanted, ops.call(*call, **parameters))
        except NotFound:
            continue
        except OpsError as exc:
            found.unknown.setdefault(f"{kind}: {key}", str(exc))


def _named(about: Json, thing: Json) -> str:
    name = str(jmespath.search(about["name"], thing))
    if name.startswith(("http://", "https://", "arn:", "/hostedzone/")):
        return _last(name)
    return name.rstrip(".")  # of a host of Route 53


def _last(name: str) -> str:
    return re.split("[:/]", name)[-1]


def _belongs(thing: Json, prefix: str) -> bool:
    texts = [thing["name"], *map(str, thing["tags"].values())]
    return set(words(prefix)) <= set(words(" ".join(texts)))
