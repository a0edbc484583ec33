"""Verbs about what is stored: messages in queues, objects in buckets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from opslib.lab.forms.data import Duration
from opslib.lab.resources import buckets, names, queues
from opslib.lab.verbs.verbs import Stage, Verb, verb


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
            messages.append((f"{rng.getrandbits(128):032x}", sent, body.replace("{number}", number)))
        name = str(place.facts["queues"][self.queue]["dead_letters"])
        stage.kept = put(stage, name, messages)

    def undo(self, stage: Stage) -> None:
        take_back(stage, stage.kept)


def put(stage: Stage, name: str, messages: list[tuple[str, Any, str]]) -> tuple[list[str], Any]:
    """Messages (id, sent at, body) with the depth that they make. Returns what `take_back` needs."""
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
    """Objects in a bucket of the target's file that were put there long ago."""

    bucket: str
    keys: list[str]
    ago: Duration = timedelta(days=20)
    body: str = "practice"
    kind: str = "text/plain"

    def apply(self, stage: Stage) -> None:
        for key in self.keys:
            when = stage.ago(self.ago)
            body = f"{self.body} {key}".encode()
            buckets.put(stage.place, self._name(stage), key, body, when, self.kind)

    def undo(self, stage: Stage) -> None:
        for key in self.keys:
            buckets.forget(stage.place, self._name(stage), key)

    def _name(self, stage: Stage) -> str:
        return str(stage.place.facts["buckets"][self.bucket]["name"])
