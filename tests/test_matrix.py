"""Every entry of a runbook under every drill.

The cause is named by those that should, and by no other.

A few drills are put in at once (`BATCHES`: none hides another, and what they touch is alike). Those
that should name one of them have to name it beside the others, and of those that should not, and
read what one touches, one of each procedure names none. Who is wrong there is asked under each
alone, and has to be right. With `--all` every entry is run under every drill alone; without
`--slow` a few of the batches are. Two drills at a time: a sample of the pairs, all of them with
`--all`. What an entry reads is in
tests/pins/reads.json, made by `--write-pins`; the run of it against the healthy target says whether
that is still so.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from opslib import OpsError
from opslib.catalogue import runbooks
from opslib.core.checks import plots
from opslib.core.connections import connection, targets
from opslib.lab import places as base
from tests.conftest import PracticeLab
from tests.notebooks import run

DRILLS = {
    (system, drill.name): drill
    for system in runbooks.systems()
    for drill in base.load(system).drills
}
TARGETS = sorted(
    map(targets.load, targets.names()), key=lambda each: len(runbooks.entries(each.system))
)
# Where a system's drills are put: a target that is no production, where there is one.
TARGET = {each.system: each.key for each in sorted(TARGETS, key=lambda each: -each.production)}
LED: dict[str, set[str]] = {}  # by the entry that ran last: where findings that name a cause send
ONWARD: dict[str, set[str]] = {}  # the same of every trouble, with a cause or without
TOOLS = {  # where one is sent with something to look for, and what that is
    "changes/configuration": "who changed the role or definition that the finding names",
    "functions/configuration": "the limits of the function that the failing state calls",
    "databases/health": "the CPU and the queries of the database that the finding names",
    "search/health": "why the search domain takes no writes",
    "queues/dead-letters": "the letters of what failed",
    "workflows/executions": "the state that failed, of which the letters are",
    "databases/query": "the statement that the finding quotes",
    "logs/query": "which routes the slow requests are of",
    "logs/search": "the lines that the finding quotes",
    "logs/throttling": "whether the throttling has ended: then the letters are sent back",
    "metrics/dashboard": "when it began",
}
# They show what one asks for; triage judges what other entries judge, and sends on
NOT_FOR_LOOKING = {"logs/follow", "logs/query", "reports/respond", "reports/triage"}


@functools.cache
def entries(system: str) -> dict[str, str]:
    """The procedure of each entry that judges what it sees."""
    return {
        e.name: e.procedure for e in runbooks.entries(system) if e.procedure not in NOT_FOR_LOOKING
    }


WORDS = {
    "cloudwatch": "metrics",
    "cognito-idp": "cognito",
    "http": "api",
    "redis": "cache",
    "postgresql": "database",
    "secretsmanager": "secrets",
}
EVERYTHING = [
    "sns",
    "acm",
    "api",
    "cache",
    "ce",
    "cloudtrail",
    "cognito",
    "database",
    "ec2",
    "ecr",
    "ecs",
    "elbv2",
    "iam",
    "lambda",
    "logs",
    "metrics",
    "opensearch",
    "rds",
    "s3",
    "secrets",
    "sesv2",
    "sqs",
]
PINNED = Path(__file__).parent / "pins" / "reads.json"


@functools.cache
def pinned() -> dict[str, list[str]]:
    known: dict[str, list[str]] = json.loads(PINNED.read_text())
    return known


def touches(system: str, drill: str) -> set[str]:
    return set(DRILLS[system, drill].touches)


def reads(entry: str) -> set[str]:
    """What a healthy run of it asks; an entry that is new may ask anything."""
    return set(pinned().get(entry, EVERYTHING))


# What has no default on its target's practice copy.
GIVEN = {"image-caption/erase-user": {"id": "1e4a0000-0000-4000-8000-000000000001"}}


def look(entry: str, target: str, monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], set[str]]:
    """The causes that an entry names, and what it asked.

    One that refuses to plan has named what it saw before.
    """
    seen: list[connection.Connection] = []
    connect = connection.Connection.__init__

    def watched(self: connection.Connection, *args: Any, **given: Any) -> None:
        seen.append(self)
        connect(self, *args, **given)

    with monkeypatch.context() as patch:
        patch.setattr(connection.Connection, "__init__", watched)
        try:
            run(entry, target=f"lab/{target}", **GIVEN.get(entry, {}))
        except OpsError:
            assert seen, f"{entry} did not even connect"
    asked = {
        event["service"] for ops in seen for event in ops.journal.events if event["event"] == "call"
    }
    ONWARD[entry] = {f.next for f in seen[0].findings.troubles if f.next}
    LED[entry] = {f.next for f in seen[0].findings.troubles if f.cause and f.next}
    return set(seen[0].findings.causes), {
        WORDS.get(service, service) for service in asked - {"sts"}
    }


@pytest.fixture(autouse=True, scope="module")
def unasked(lab: PracticeLab) -> None:
    """What other tests asked and were denied is no sign of somebody who probes."""
    lab.reset()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Much is looked at here: no plot is painted."""
    monkeypatch.setattr(plots, "page", lambda *_: b"")


def expected(system: str, drill: str) -> dict[str, set[str]]:
    """What each entry should name.

    The drill's cause where the drill says that it is found there, else nothing.

    Where a drill lists an entry of a procedure, that procedure's other entries should not name it.
    """
    named = set(DRILLS[system, drill].found_by)
    by_entry = {procedure for entry, procedure in entries(system).items() if entry in named}
    return {
        entry: {drill}
        if entry in named or (procedure in named and procedure not in by_entry)
        else set()
        for entry, procedure in entries(system).items()
    }


def wanted(system: str, drills: list[str]) -> dict[str, set[str]]:
    """What each entry should name under some drills at once."""
    each = [expected(system, drill) for drill in drills]
    return {entry: set().union(*(of[entry] for of in each)) for entry in entries(system)}


def wrong(
    lab: PracticeLab,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    drills: list[str],
    asked: Iterable[str],
) -> dict[str, set[str]]:
    """What entries name under some drills, of those that name anything else than they should.

    And who finds a cause sends one on to where something is seen or done.
    """
    with ExitStack() as stack:
        for drill in drills:
            stack.enter_context(lab.broken(drill, TARGET[system]))
        looked = {entry: look(entry, TARGET[system], monkeypatch)[0] for entry in asked}
    brought = set().union(*(DRILLS[system, drill].brings for drill in drills))
    should = wanted(system, drills)
    led = set().union(*(LED[entry] for entry in looked if should[entry]))
    assert {n for n in led if not any(goes_on(system, drill, n) for drill in drills)} == set()
    return {e: causes - brought for e, causes in looked.items() if causes - brought != should[e]}


def goes_on(system: str, drill: str, name: str) -> bool:
    """Whether who is sent there sees the cause, makes a plan, or finds what the finding names."""
    procedure = runbooks.find(name)[0]
    by = {runbooks.find(each)[0].name for each in DRILLS[system, drill].found_by}
    return procedure.changes or procedure.name in by | TOOLS.keys()


API = {"api-unreachable", "api-slow", "api-html", "api-404"}
# What one trouble hides of another, and why: there both need not be named.
HIDES: list[tuple[set[str], set[str], str]] = [
    ({"region-lost"}, {name for _, name in DRILLS}, "nothing answers, so nothing is seen"),
    (API, API | {"migration-pending"}, "one answer of the API can be wrong in one way only"),
    (
        {"access-denied"},
        {"dead-letter-backlog", "database-unavailable", "database-exposed"},
        "what is denied is not seen",
    ),
    (
        {"database-unavailable"},
        {"connections-near-limit", "database-cpu-high", "slow-query", "migration-pending"},
        "the database takes no login, so nothing is asked of it",
    ),
    (
        {"access-denied"},
        {
            "documents-not-indexed",
            "documents-stale",
            "expensive-search",
            "index-missing",
            "search-red",
            "search-write-blocked",
            "search-yellow",
        },
        "the domain that lets nobody in tells nothing",
    ),
    (
        {"index-missing", "search-red"},
        {"documents-not-indexed", "documents-stale", "search-red", "search-yellow"},
        "an index that is gone, or cannot be read, has nothing to look at",
    ),
    (
        {"bucket-missing"},
        {"orphans", "stale-listings", "orphan-keys-miscompared", "images-too-large", "copy-behind"},
        "what was in the bucket is gone with it",
    ),
    (
        {"orphan-keys-miscompared"},
        {"orphans", "images-too-large"},
        "while keys are compared wrongly nothing is said of single objects",
    ),
    ({"image-missing"}, {"image-vulnerable"}, "what is not there was not scanned"),
    (
        {"orphans"},
        {"stale-listings", "orphan-keys-miscompared"},
        "one finding of a scan has one cause",
    ),
    (
        {"vpc-endpoint-missing", "endpoint-closed", "bucket-missing"},
        {"migration-pending"},
        "what fails on the way says nothing of the schema",
    ),
    (
        {"bad-version", "configuration-drift", "migration-pending"},
        {"bad-version", "configuration-drift", "migration-pending"},
        "the version that was deployed last is the one that serves",
    ),
    (
        {"bad-version", "timeout-too-low", "cold-start", "slow-query", "database-unavailable"},
        {"timeout-too-low", "cold-start", "slow-query", "function-throttled", "malformed-requests"},
        "requests that fail otherwise are not slow; what takes the most time is the cause",
    ),
    (
        {"image-not-pulled", "bad-revision", "task-out-of-memory", "secret-missing"},
        {"app-throws"},
        "the revision that was deployed last is the one that serves",
    ),
    (
        {"app-throws", "bad-revision", "secret-missing", "migration-pending", "migration-failed"},
        {"app-throws", "bad-revision", "secret-missing", "migration-pending", "migration-failed"},
        "the revision that was deployed last is the one that serves, and says what it needs",
    ),
    (
        {"role-denied"},
        {"app-throws", "app-too-slow", "upstream-throttled"},
        "what is denied at once neither throws, nor waits, nor is throttled",
    ),
    (
        {"cache-unreachable"},
        {"cache-full", "cache-evicting", "throttled-without-end", "usage-not-synced"},
        "a cache that does not answer tells nothing",
    ),
    (
        {"cache-full", "cache-evicting"},
        {"cache-full", "cache-evicting"},
        "one cache is full in one way",
    ),
    (
        {"at-capacity", "upstream-throttled", "provider-slow", "database-slow"},
        {"cold-start"},
        "where every answer is slow, the first after a pause is none of its own",
    ),
    (
        {"connections-near-limit", "database-cpu-high"},
        {"timeout-too-low", "cold-start"},
        "a database that is not well comes before a function's own limits",
    ),
]


# Of these no two are in one batch: alone, and most by twos, they are told apart; of more at once
# the commonest is what is told.
CROWDS = [
    {"at-capacity", "database-slow", "no-capacity", "provider-slow", "upstream-throttled"},
    {"bad-revision", "image-not-pulled", "role-denied", "task-out-of-memory"},
    {"connections-near-limit", "database-cpu-high", "migration-pending", "slow-query"},
    {"executions-stuck", "item-unreadable", "state-denied", "state-unavailable"},
    {"mfa-stale", "migration-pending"},
    {"app-throws", "secret-stale"},
    {"client-secret-wrong", "secret-stale"},
]


def paired(system: str) -> list[tuple[str, str]]:
    """Every two drills of a system."""
    return list(combinations(sorted(name for of, name in DRILLS if of == system), 2))


def hidden(pair: tuple[str, str]) -> set[str]:
    return {
        one
        for one, other in (pair, pair[::-1])
        for hiders, lost, _ in HIDES
        if other in hiders and one in lost
    }


def crowd(two: set[str]) -> bool:
    """Whether these are no two for one batch."""
    first, second = two
    return bool(hidden((first, second))) or any(two <= each for each in CROWDS)


PAIRS = sorted((system, *pair) for system in runbooks.systems() for pair in paired(system))
_SAMPLE = 3  # of each system
# Those that are always run: where neither hides the other, drawn by their names.
_DRAWN = sorted(
    (each for each in PAIRS if not hidden(each[1:])), key=lambda each: crc32(repr(each).encode())
)
SAMPLE = [
    each
    for system in runbooks.systems()
    for each in [pair for pair in _DRAWN if pair[0] == system][:_SAMPLE]
]


_AT_ONCE = 6


def batches(system: str) -> list[list[str]]:
    """All drills of a system, a few at once: those that touch the same side by side, and in one
    batch none that hides another, nor two of a crowd.
    """
    made: list[list[str]] = []
    for drill in sorted(
        (name for of, name in DRILLS if of == system),
        key=lambda name: (sorted(touches(system, name)), name),
    ):
        fitting = (
            each
            for each in reversed(made)
            if len(each) < _AT_ONCE and not any(crowd({drill, other}) for other in each)
        )
        if (batch := next(fitting, None)) is not None:
            batch.append(drill)
        else:
            made.append([drill])
    return made


PLACES = {each: turn for turn, each in enumerate(sorted(DRILLS))}
BATCHES = [
    (system, drills)
    for system in sorted(runbooks.systems(), key=lambda each: len(entries(each)))
    for drills in batches(system)
]


def seeing(system: str, drills: list[str]) -> dict[str, list[str]]:
    """By procedure, its entries that read what one of some drills touches, and should name none."""
    found: dict[str, list[str]] = defaultdict(list)
    touched = set().union(*(touches(system, drill) for drill in drills))
    for entry, causes in wanted(system, drills).items():
        if reads(entry) & touched and not causes:
            found[entries(system)[entry]].append(entry)
    return found


def concerned(system: str, drills: list[str]) -> list[str]:
    """Those that should name one of some drills; of those that should not and read what one
    touches, one of each procedure, in turn.
    """
    naming = [entry for entry, causes in wanted(system, drills).items() if causes]
    turn = PLACES[system, drills[0]]
    return naming + [group[turn % len(group)] for group in seeing(system, drills).values()]


@pytest.mark.some(30)
@pytest.mark.parametrize(
    ("system", "drills"),
    BATCHES,
    ids=lambda each: each if isinstance(each, str) else "+".join(each),
)
def test_causes_are_named_where_they_should_be_and_nowhere_else(
    lab: PracticeLab,
    records_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    system: str,
    drills: list[str],
) -> None:
    """By all that should name one of some drills at once; who is wrong there is asked alone, under
    each where it named too much, else under those that it did not name, and has to be right.
    """
    if whole := request.config.getoption("--all"):
        lab.reset()  # it is long since the last, and who did what is told of the latest events
    doubted = {} if whole else wrong(lab, monkeypatch, system, drills, concerned(system, drills))
    should = wanted(system, drills)
    named = {}
    for drill in drills:
        alone = expected(system, drill)
        again = [
            entry
            for entry, causes in doubted.items()
            if reads(entry) & touches(system, drill)
            and (causes - should[entry] or alone[entry] - causes)
        ]
        if again or whole:
            named[drill] = wrong(lab, monkeypatch, system, [drill], again or entries(system))
    assert not any(named.values()), named


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "other" in metafunc.fixturenames:
        chosen = PAIRS if metafunc.config.getoption("--all") else SAMPLE
        metafunc.parametrize(("system", "one", "other"), chosen)


def fewest(should: dict[str, set[str]], causes: tuple[str, str]) -> list[str]:
    """For each cause an entry that should name it, and the other one, too, where there is one."""
    chosen: list[str] = []
    for cause in causes:
        if not any(cause in should[entry] for entry in chosen):
            naming = (entry for entry in should if cause in should[entry])
            chosen.append(max(naming, key=lambda entry: len(should[entry])))
    return chosen


@pytest.mark.some(8)
def test_of_two_troubles_at_once_both_are_named_and_no_other(
    lab: PracticeLab,
    records_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    system: str,
    one: str,
    other: str,
) -> None:
    """By the fewest entries that should name both when each is alone; by all of them with --all."""
    should = wanted(system, [one, other])
    looking = [entry for entry, causes in should.items() if causes]
    if not request.config.getoption("--all"):
        looking = fewest(should, (one, other))
    with lab.broken(one, TARGET[system]), lab.broken(other, TARGET[system]):
        named = {entry: look(entry, TARGET[system], monkeypatch)[0] for entry in looking}
    may_lack = hidden((one, other))
    brought = DRILLS[system, one].brings | DRILLS[system, other].brings
    more = {entry: named[entry] - should[entry] - brought for entry in looking}
    assert {entry: causes for entry, causes in more.items() if causes} == {}
    lost = {entry: should[entry] - named[entry] - may_lack for entry in looking}
    assert {entry: causes for entry, causes in lost.items() if causes} == {}


def test_what_hides_another_is_a_drill_and_does_so_for_a_reason() -> None:
    known = {name for _, name in DRILLS}
    for hiders, lost, why in HIDES:
        assert (hiders | lost) - known == set()
        assert why
    assert set().union(*CROWDS) - known == set()


@pytest.mark.some(6)
@pytest.mark.parametrize(
    "target",
    TARGETS,
    ids=lambda each: each.key,
)
def test_a_healthy_target_names_no_cause_and_is_asked_what_is_known_to_be_read(
    lab: PracticeLab,
    records_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    target: targets.Target,
) -> None:
    looked = {entry: look(entry, target.key, monkeypatch) for entry in entries(target.system)}
    assert not set().union(*(causes for causes, _ in looked.values()))
    if target.key != TARGET[target.system]:
        return
    asked = {entry: sorted(words) for entry, (_, words) in looked.items()}
    if request.config.getoption("--write-pins"):
        kept = json.loads(PINNED.read_text()) if PINNED.exists() else {}
        PINNED.write_text(json.dumps(kept | asked, indent=1, sort_keys=True) + "\n")
        pinned.cache_clear()
    assert {entry: sorted(reads(entry)) for entry in asked} == asked


def test_what_should_name_a_drill_reads_what_it_touches() -> None:
    blind = {
        (system, drill, entry)
        for system, drill in DRILLS
        for entry, causes in expected(system, drill).items()
        if causes and not reads(entry) & touches(system, drill)
    }
    assert blind == set()


def test_a_drill_is_found_by_something() -> None:
    for system in runbooks.systems():
        known = {name for each in runbooks.entries(system) for name in (each.name, each.procedure)}
        for found_by in (drill.found_by for (of, _), drill in DRILLS.items() if of == system):
            assert found_by
            assert set(found_by) <= known
