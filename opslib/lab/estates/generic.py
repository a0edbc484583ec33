"""Drills of any system: what can go wrong with whatever a target's file describes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from opslib.lab.places import Drill, Place
from opslib.lab.verbs import verbs
from opslib.lab.verbs.access import Deny, LoseBucket
from opslib.lab.verbs.databases import Connections
from opslib.lab.verbs.functions import Deploy
from opslib.lab.verbs.requests import Answers
from opslib.lab.verbs.searches import LoseIndex
from opslib.lab.verbs.stores import Messages
from opslib.lab.verbs.verbs import Verb

_DAILY = "reports/daily"
_LETTERS = [
    ('{"id": {number}, "error": "ThrottlingException: Too many requests"}', 9),
    ('{"id": {number}, "error": "ValidationException: Input is too long"}', 4),
]
_NEAR = 0.9  # of the connections
_PATHS = {  # how the API's address answers: title, cause
    "unreachable": (
        "The API does not answer at all",
        "Connections to it are closed without an answer.",
    ),
    "slow": (
        "Every answer of the API takes 3 seconds",
        "Something before the app holds each request back.",
    ),
    "html": (
        "The API answers 200 with a web page",
        "The name leads to a parking page instead of the API.",
    ),
    "404": ("Every path of the API answers 404", "API Gateway has lost its routes."),
}


def drills() -> Iterator[Drill]:
    for kind, (title, cause) in _PATHS.items():
        yield _drill(
            f"api-{kind}", title, cause, ("health/quick", _DAILY), _probes, partial(_answers, kind)
        )
    yield _drill(
        "dead-letter-backlog",
        "Messages pile up in a dead-letter queue",
        "13 messages of two causes: throttled, input too long.",
        ("queues/dead-letters", _DAILY),
        _queue,
        lambda key: [Messages(queue=key, bodies=_LETTERS)],
    )
    yield _drill(
        "bad-version",
        "One request in four fails with 500 since the last deployment, an hour ago",
        "The newest version of the function behind the API fails.",
        ("functions/rollback", _DAILY),
        _released,
        lambda key: [Deploy(function=key, bad=True)],
    )
    yield _drill(
        "configuration-drift",
        "A function runs with other settings than its file says",
        "A deployment by hand lost a variable.",
        ("functions/configuration", _DAILY),
        _variable,
        lambda key: [Deploy(function=key.split()[0], lost=frozenset({key.split()[1]}))],
    )
    yield _drill(
        "connections-near-limit",
        "The database has hardly a connection left",
        "The app leaves its connections open.",
        ("databases/health", _DAILY),
        lambda facts: facts.get("database", {}).get("max_connections"),
        lambda key: [Connections(share=_NEAR)],
        brings=frozenset({"limit-near"}),  # when its climb falls into three quarters of an hour
    )
    yield _drill(
        "bucket-missing",
        "Nothing can be read from a bucket",
        "The bucket is gone.",
        ("buckets/create",),
        lambda facts: next(iter(facts.get("buckets", {})), None),
        lambda key: [LoseBucket(bucket=key)],
    )
    yield _drill(
        "index-missing",
        "Searches find nothing at all: the index is gone",
        "Somebody deleted the index.",
        ("search/health", "search/reindex", _DAILY),
        _index,
        lambda index: [LoseIndex(index=index)],
    )
    yield _drill(
        "access-denied",
        "The queues cannot be looked at: AccessDenied",
        "The operator's role lost its read access to SQS.",
        ("queues/dead-letters", _DAILY),
        _queue,
        lambda key: [
            Deny(operations=["sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:ListQueues"])
        ],
    )


def _answers(kind: Any, key: str) -> list[Verb]:
    return [Answers(kind=kind, seconds=3.0 if kind == "slow" else 0.0)]


def _drill(
    name: str,
    title: str,
    cause: str,
    found_by: tuple[str, ...],
    about: Callable[[Any], Any],
    does: Callable[[str], Sequence[Verb]],
    **other: Any,
) -> Drill:
    """`about`: what of a target's file it is about, None where there is none; `does`: the verbs;
    `other`: of Drill.
    """

    def verbs_for(place: Place) -> Sequence[Verb]:
        return does(about(place.facts))

    touches = frozenset().union(*(each.touched() for each in does("any thing")))

    def needs(place: Place) -> bool:
        return about(place.facts) is not None

    told = {"title": title, "cause": cause, "found_by": found_by, **other}
    return verbs.played(name, verbs_for, touches=touches, needs=needs, **told)


def _probes(facts: Any) -> Any:
    return facts.get("api", {}).get("probes")


def _index(facts: Any) -> str | None:
    every = facts.get("search", {}).get("indices", {}).values()
    return next((str(each["index"]) for each in every), None)


def _queue(facts: Any) -> str | None:
    every = facts.get("queues", {}).items()
    return next((key for key, each in every if "dead_letters" in each), None)


def _released(facts: Any) -> str | None:
    """The function behind the API, when it has an alias."""
    first = next(iter(facts.get("functions", {}).items()), None)
    return first[0] if first and "api" in facts and "alias" in first[1] else None


def _variable(facts: Any) -> str | None:
    """A function and one of its variables."""
    every = facts.get("functions", {}).items()
    return next(
        (f"{key} {each['variables'][0]}" for key, each in every if each.get("variables")), None
    )
