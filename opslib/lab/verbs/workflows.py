"""Verbs about state machines: items that come in, and what really becomes of them."""

from dataclasses import field
from uuid import UUID

from opslib.lab.corrections.workflows import executions as held
from opslib.lab.forms.values import Duration
from opslib.lab.resources import buckets, names, queues
from opslib.lab.resources.databases import statements
from opslib.lab.resources.search import indices
from opslib.lab.verbs.verbs import Stage, Verb, verb
from opslib.lab.work import deliveries, executions

_PDF = "application/pdf"
_SEEN = ("stepfunctions", "database", "s3", "sqs", "lambda", "logs", "metrics")


@verb("processed", *_SEEN)
class Processed(Verb):
    """Items that come in now, and are processed to their end, however that is.

    Their rows are made by the estate's statement `uploaded`, and taken away by `removed`.

    name:   what each is called, `{at}` in it counts
    body:   what its object holds
    since:  what its object holds now: somebody put it there anew
    hang:   how long ago their executions began, which nobody ends; none: they are processed now
    """

    workflow: str
    count: int = 1
    name: str = "report-{at}.pdf"
    size: int = 96_000_000
    body: str = "%PDF-1.4\n% a document of the lab\nA report"
    since: str = ""
    hang: list[Duration] = field(default_factory=list)

    def apply(self, stage: Stage) -> None:
        place, facts = stage.place, stage.place.facts["workflows"][self.workflow]
        stage.kept = ids = []
        for at in range(len(self.hang) or self.count):
            drawn = names.generator(place, f"{stage.drill}/{at}")
            id = str(UUID(int=drawn.getrandbits(128), version=4))
            called = self.name.format(at=at + 1)
            row = statements.asked(place, "uploaded", [id, called, self.size, id, called])[0]
            key, bucket = row[facts["object"]["key"]], facts["object"]["bucket"]
            bucket_name = str(place.facts["buckets"][bucket]["name"])
            buckets.put(place, bucket_name, key, self.body.encode(), place.now(), _PDF)
            ids.append((id, bucket_name, key))
            given = {field: value.format_map(row) for field, value in facts["input"].items()}
            if self.hang:
                about, begun = given | {"attempt": 1}, stage.ago(self.hang[at])
                executions.add(place, self.workflow, f"{id}-1", about, begun, None)
                statements.asked(place, "begun", [1, id])
            else:
                queues.send(place, facts["queue"], given)
        deliveries.tick(place)
        held.settle()
        for _, bucket_name, key in ids if self.since else ():
            buckets.put(place, bucket_name, key, self.since.encode(), place.now(), _PDF)
        place.metrics.tick()

    def undo(self, stage: Stage) -> None:
        """With what anyone started for them meanwhile."""
        place, ids = stage.place, [id for id, _, _ in stage.kept or ()]
        held.settle()

        def about(text: str) -> bool:
            return any(id in text for id in ids)

        machine = executions.arn(place, self.workflow)
        found = [each.arn for each in held.every(machine) if about(each.input)]
        held.forget(found)
        bodies = [m.body for name in queues.every(place) for m in queues.held(place, name)]
        queues.take_back(place, list(filter(about, bodies)), stage.since)
        for id, bucket, key in stage.kept or ():
            buckets.forget(place, bucket, key)
            for index in indices.held(place)["indices"].values():
                index["documents"].pop(id, None)
        statements.asked(place, "removed", [ids])
