"""Texts of an estate that name what the target's file describes.

{database.instance}                 a fact of the target's file
{0.8 * database.max_connections}    a number of it, times another
{secret_arn database.secret}        the ARN of the secret that the file names there
{queue_url queues.analysis.name}    the address of a queue
{crc 431/0}                         a number that this seed draws for these words, in hexadecimal
{username ada@example.com}          what the pool calls a user
{targets gateway}                   a service's target group, as CloudWatch calls it
{name} {environment} {region} {account} {system} {gateway} {schema} {pool} {balancer} {targets}
{source_secret_arn}
"""

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import names, secrets, users

_PLACEHOLDER = re.compile(r"\{(?:(secret_arn|queue_url) |([\d.]+) \* )?([A-Za-z][\w.-]*)\}")
_ASKED = re.compile(r"\{(crc|username|targets) ([^{}]+)\}")


def _source_secret_arn(place: Place) -> str:
    """The ARN of the secret that opens the database from which data is copied into this one."""
    source = place.world.places.get(str(place.facts["sync"]["source"]))
    if source is None:
        return ""
    return names.arn(source, "secretsmanager", f"secret:{source.facts['database']['secret']}")


_KNOWN: Mapping[str, Callable[[Place], Any]] = {
    "name": lambda place: place.name,
    "account": lambda place: place.account,
    "region": lambda place: place.region,
    "gateway": names.gateway,
    "schema": lambda place: place.memory.get("schema", ""),
    "balancer": lambda place: place.memory.get("balancer", ""),
    "targets": lambda place: place.memory.get("targets", ""),
    "pool": lambda place: place.memory.get("pool", ""),
    "source_secret_arn": _source_secret_arn,
}


def filled(place: Place, value: Any) -> Any:
    """A text, or all texts in lists and mappings, with what they name. One alone keeps its type.

    What stands in no estate is a stranger's own, with whatever braces it has.
    """
    if place.memory.get("literal"):
        return value
    if isinstance(value, str):
        if whole := _PLACEHOLDER.fullmatch(value):
            return _named(place, whole)
        value = _ASKED.sub(lambda found: _answered(place, found[1], found[2]), value)
        return _PLACEHOLDER.sub(lambda found: str(_named(place, found)), value)
    if isinstance(value, Mapping):
        return {filled(place, key): filled(place, each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [filled(place, each) for each in value]
    return value


def text(place: Place, value: str) -> str:
    return str(filled(place, value))


def _named(place: Place, found: re.Match[str]) -> Any:
    what, factor, path = found.groups()
    value = _KNOWN[path](place) if path in _KNOWN else _fact(place, path)
    if what == "secret_arn":  # a fact that names it, or the secret's own entry
        return secrets.arn(place, value if isinstance(value, str) else path.rpartition(".")[2])
    if what == "queue_url":
        return queue_url(place, value)
    return value if factor is None else float(factor) * value


def _answered(place: Place, what: str, of: str) -> str:
    if what == "crc":
        return f"{names.number(place, of):08x}"
    if what == "targets":
        return str(place.memory["behind"][of]["TargetGroup"])
    return str(getattr(users.find(place, of), "username", ""))


def _fact(place: Place, path: str) -> Any:
    value: Any = place.facts
    for part in path.split("."):
        value = value[part]
    return value


def queue_url(place: Place, name: str) -> str:
    """As AWS names it; what the functions' variables hold."""
    return f"https://sqs.{place.region}.amazonaws.com/{place.account}/{name}"


_DRAWN = re.compile(r"\{(?:(hex|digits) (\d+)|(\d+)-(\d+))\}")


class Drawn:
    """Texts with what is drawn.

    `{hex 128}` are so many bits, `{digits 6}` so many digits, `{12-59}` is a number of these.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def text(self, value: str) -> str:
        return _DRAWN.sub(self._one, value)

    def _one(self, found: re.Match[str]) -> str:
        if found[3]:
            return str(self._rng.randrange(int(found[3]), int(found[4]) + 1))
        size = int(found[2])
        if found[1] == "hex":
            return f"{self._rng.getrandbits(size):0{size // 4}x}"
        return f"{self._rng.randrange(10**size):0{size}d}"


def drawn(place: Place, value: str, purpose: str) -> str:
    """A text with what it names and what is drawn in it; another one for each purpose."""
    return text(place, Drawn(names.generator(place, purpose)).text(value))
