"""Dead letters: how they are read without being lost, and why each of them failed."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

from opslib import jobs
from opslib.core import Connection, Json, OpsError, Queue, Sign, depths, dtypes
from opslib.queues.proofs import Proofs
from opslib.queues.reasons import attributes_of, find_field, find_reason, unwrapped

LETTERS = dtypes("""
    queue    str
    failure  str
    item     str
    sent     utc
    receives int64
    error    str
    body     str
""")
_QUIET_ROUNDS = 15  # receives without a new message before a sample counts as all there is to see
_HIDDEN_SECONDS = 120
_MOST = 1_000  # letters of a sample


class Why(NamedTuple):
    """Why a letter failed: what that means, its error's text, and what it is about."""

    sign: Sign
    error: str
    item: str


class Dead(Queue):
    """The dead letters of a queue of the target. `name`: what AWS calls theirs."""

    def __init__(self, ops: Connection, queue: str) -> None:
        super().__init__(ops, ops.target["queues"][queue]["dead_letters"])
        self.queue = queue

    def count(self) -> int:
        """How many are visible; SQS counts up to a minute late."""
        return depths(self.attributes())["visible"]

    def sources(self) -> set[str]:
        """The names of the work queues whose dead letters come here, each by its RedrivePolicy."""
        asked = "sqs", "list_dead_letter_source_queues", "queueUrls[]"
        urls = self.ops.pages(*asked, QueueUrl=self.url)
        return {str(url).rsplit("/", 1)[-1] for url in urls}

    def origins(self) -> Counter[str]:
        """How many messages were seen of which work queue; "" where SQS does not say."""
        key = "DeadLetterQueueSourceArn"
        arns = (message["Attributes"].get(key, "") for message in self.sample())
        return Counter(str(arn).rpartition(":")[2] for arn in arns)

    def sample(self) -> list[Json]:
        """Messages without hiding them (visibility timeout 0), until all, _MOST or nothing new."""
        depth, quiet = min(self.count(), _MOST), 0
        seen: dict[str, Json] = {}
        while len(seen) < depth and quiet < _QUIET_ROUNDS:
            known = len(seen)
            seen |= self.receive(0)
            quiet = 0 if len(seen) > known else quiet + 1
        return list(seen.values())

    def every(self) -> list[Json]:
        """Every message, ordered by id: hidden while they are read, given back at once after.

        What comes round again was hidden for too short a time: then these are not all.
        """
        taken: dict[str, Json] = {}
        try:
            while batch := self.receive(_HIDDEN_SECONDS):
                known = len(taken)
                taken |= batch
                if len(taken) == known:
                    break
        finally:
            self.give_back(taken.values())
        kept = [
            {
                "id": message["MessageId"],
                "sent": _sent(message).isoformat(),
                "attributes": attributes_of(message),
                "body": message["Body"],
            }
            for message in taken.values()
        ]
        return sorted(kept, key=itemgetter("id"))

    def described(self) -> list[Json]:
        """Rows of LETTERS of a sample.

        The error is the message's own, else what the job's row keeps. What it means is looked at
        in the world before it is said that a message can never be worked on.
        """
        messages = self.sample()
        told = [(attributes_of(message), message["Body"]) for message in messages]
        return [
            {
                "queue": self.queue,
                "failure": why.sign.name,
                "item": why.item,
                "sent": _sent(message).replace(microsecond=0),
                "receives": int(message["Attributes"].get("ApproximateReceiveCount", 0)),
                "error": why.error,
                "body": message["Body"],
            }
            for message, why in zip(messages, self.explain(told), strict=True)
        ]

    def explain(self, letters: Sequence[tuple[dict[str, str], str]]) -> list[Why]:
        """Why each of the letters, told by attributes and body, failed."""
        bodies = [unwrapped(text) for _, text in letters]
        ids = [str(find_field(body, "job_id") or "") for body in bodies]
        asked, kept = list(filter(None, ids)), dict[str, str]()
        for kind in self._of("jobs") if asked else ():  # what the jobs' tables keep, if they answer
            try:
                kept |= jobs.find_errors(self.ops, kind, asked)
            except OpsError as exc:
                print(f"The jobs' own errors could not be read: {exc}", flush=True)
        works = (*self._of("jobs").values(), *self._of("workflows").values())
        fields = list(dict.fromkeys(str(facts["item"]) for facts in works if "item" in facts))
        item, proofs = next(iter(fields), "id"), Proofs(self.ops, set(fields))
        found = []
        for (attributes, _), body, job in zip(letters, bodies, ids, strict=True):
            error = find_reason(attributes, body, kept.get(job, ""))
            if fields and isinstance(body, str):
                error = error or "The message is not JSON, as every other of this queue is"
            sign = proofs.judge(error, body)
            found.append(Why(sign, error, str(find_field(body, item) or "")))
        return found

    def _of(self, section: str) -> Json:
        """What of a section of the target's file comes through this queue."""
        every = self.ops.target.at(section)
        return {name: of for name, of in every.items() if of.get("queue") == self.queue}


def _sent(message: Json) -> datetime:
    return datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
