"""Verbs about what is stored: messages in queues, objects in buckets."""

import copy
import re
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal

from moto.dynamodb.models.table import GlobalSecondaryIndex

from opslib.lab.forms.values import Duration
from opslib.lab.resources import buckets, names, pictures, queues
from opslib.lab.resources.placeholders import Drawn
from opslib.lab.verbs.verbs import Stage, Verb, verb

_AT = re.compile(r"\{at(?::(\w+))?\}")


@verb("messages", "sqs", "metrics")
class Messages(Verb):
    """Dead letters of a queue of the target's file, sent evenly over the last while.

    bodies: text and how often; `{number}` in it is another one in each
    """

    queue: str
    bodies: list[tuple[str, int]]
    over: Duration = timedelta(hours=20)

    def apply(self, stage: Stage) -> None:
        place = stage.place
        texts = [body for body, count in self.bodies for _ in range(count)]
        messages = []
        for at, body in enumerate(texts):
            rng = names.generator(place, f"{stage.drill}/{at}")
            sent = stage.ago(self.over * (1 - at / len(texts)) + timedelta(minutes=6))
            number = f"{rng.randrange(10**6)}"
            messages.append(
                (f"{rng.getrandbits(128):032x}", sent, body.replace("{number}", number))
            )
        name = str(place.facts["queues"][self.queue]["dead_letters"])
        stage.kept = put(stage, name, messages)

    def undo(self, stage: Stage) -> None:
        take_back(stage, stage.kept)


def put(stage: Stage, name: str, messages: list[tuple[str, Any, str]]) -> tuple[list[str], Any]:
    """Messages (id, sent at, body), with their depth. Returns what `take_back` needs."""
    place, attempts = stage.place, stage.place.memory["data"].queues.attempts
    queues.put(place, name, messages, attempts)
    times = sorted(sent.timestamp() for _, sent, _ in messages)
    overlay = place.metrics.overlay(
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        {"QueueName": name},
        times[0],
        place.now(),
        lambda minute: float(sum(sent <= minute for sent in times)),
        "Count",
    )
    place.metrics.tick()
    return [body for _, _, body in messages], overlay


def take_back(stage: Stage, kept: tuple[list[str], Any] | None) -> None:
    if kept:
        kept[1].remove()
        queues.take_back(stage.place, kept[0], stage.since)


@verb("objects", "s3")
class Objects(Verb):
    """Objects in a bucket of the target's file that were put there long ago.

    keys:      text and how often; `{at}` in it counts from 0, and `{10-99}` is a number by chance
    every:     each is so much older than the one before it
    picture:   JPEGs; else texts
    drawn:     what the numbers by chance are drawn with, if not the drill's name
    """

    bucket: str
    keys: list[tuple[str, int]]
    prefix: str = ""
    ago: Duration = timedelta(days=20)
    every: Duration = timedelta(0)
    picture: Literal["", "small", "large"] = ""
    drawn: str = ""

    def apply(self, stage: Stage) -> None:
        stage.kept = [*self._keys(stage)]
        for at, key in enumerate(stage.kept):
            when = stage.ago(self.ago + at * self.every)
            body, kind = self._body(key)
            buckets.put(stage.place, self._name(stage), self.prefix + key, body, when, kind)

    def _keys(self, stage: Stage) -> Iterator[str]:
        drawn = Drawn(names.generator(stage.place, self.drawn or stage.drill))
        for text, count in self.keys:
            for at in range(count):
                counted = _AT.sub(lambda found, at=at: format(at, found[1] or ""), text)  # type: ignore[misc]
                yield drawn.text(stage.filled(counted))

    def _body(self, key: str) -> tuple[bytes, str]:
        if self.picture:
            return pictures.drawn(key, self.picture), "image/jpeg"
        return key.encode(), "text/plain"

    def undo(self, stage: Stage) -> None:
        for key in stage.kept or ():
            buckets.forget(stage.place, self._name(stage), self.prefix + key)

    def _name(self, stage: Stage) -> str:
        return str(stage.place.facts["buckets"][self.bucket]["name"])


@verb("cors", "s3")
class Cors(Verb):
    """The rules of a bucket name other origins."""

    bucket: str
    origins: list[str]

    def apply(self, stage: Stage) -> None:
        held = self._bucket(stage)
        stage.kept = held.cors
        held.cors = copy.deepcopy(held.cors)
        for rule in held.cors:
            rule.allowed_origins = list(self.origins)

    def undo(self, stage: Stage) -> None:
        self._bucket(stage).cors = stage.kept

    def _bucket(self, stage: Stage) -> Any:
        return buckets.held(stage.place, stage.place.facts["buckets"][self.bucket]["name"])


@verb("hold", "s3")
class Hold(Verb):
    """A legal hold on every version of objects of a bucket. `keys`: a pattern."""

    bucket: str
    keys: str

    def apply(self, stage: Stage) -> None:
        held = self._bucket(stage)
        stage.kept = held.object_lock_enabled
        held.object_lock_enabled = True
        self._set(stage, "ON")

    def undo(self, stage: Stage) -> None:
        self._set(stage, None)
        self._bucket(stage).object_lock_enabled = stage.kept

    def _set(self, stage: Stage, status: str | None) -> None:
        for key, versions in self._bucket(stage).keys.lists():
            for each in versions if fnmatchcase(key, self.keys) else ():
                if hasattr(each, "lock_legal_status"):
                    each.lock_legal_status = status

    def _bucket(self, stage: Stage) -> Any:
        return buckets.held(stage.place, stage.place.facts["buckets"][self.bucket]["name"])


@verb("spoil", "s3")
class Spoil(Verb):
    """Objects of a bucket are deleted, or written over where `text` is given, a while ago.

    keys: a pattern of those that are there
    """

    bucket: str
    keys: str
    text: str = ""
    ago: Duration = timedelta(minutes=40)

    def apply(self, stage: Stage) -> None:
        place, name = stage.place, self._name(stage)
        keys, when = buckets.held(place, name).keys, stage.ago(self.ago)
        stage.kept = {
            key: list(keys.getlist(key)) for key in list(keys) if fnmatchcase(key, self.keys)
        }
        for key in stage.kept:
            if self.text:
                buckets.put(place, name, key, self.text.encode(), when, "text/plain")
            else:
                buckets.hide(place, name, key, when)

    def undo(self, stage: Stage) -> None:
        """As they were, whatever was done about it meanwhile."""
        for key, versions in (stage.kept or {}).items():
            buckets.held(stage.place, self._name(stage)).keys.setlist(key, versions)

    def _name(self, stage: Stage) -> str:
        return str(stage.place.facts["buckets"][self.bucket]["name"])


@verb("capacity", "dynamodb", "metrics")
class Capacity(Verb):
    """A table of the target's file has so many units a second, in place of as many as it takes.

    index: one that it then has, by the attribute that the table's own sort key is
    """

    table: str
    read: int
    write: int
    index: str = ""

    def apply(self, stage: Stage) -> None:
        held = self._table(stage)
        stage.kept = held.billing_mode, held.throughput, list(held.global_indexes)
        units = {"ReadCapacityUnits": self.read, "WriteCapacityUnits": self.write}
        held.billing_mode, held.throughput = "PROVISIONED", {"NumberOfDecreasesToday": 0, **units}
        if self.index:
            keys = [{"AttributeName": held.range_key_attr, "KeyType": "HASH"}]
            about = {"IndexName": self.index, "KeySchema": keys, "ProvisionedThroughput": units}
            made = {**about, "Projection": {"ProjectionType": "KEYS_ONLY"}}
            held.global_indexes.append(GlobalSecondaryIndex.create(made, held.table_key_attrs))

    def undo(self, stage: Stage) -> None:
        held = self._table(stage)
        held.billing_mode, held.throughput, held.global_indexes = stage.kept

    def _table(self, stage: Stage) -> Any:
        name = stage.place.facts["tables"][self.table]["name"]
        return stage.place.backend("dynamodb").get_table(name)
