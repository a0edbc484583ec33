"""Parameters: what is given is checked before anything starts."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest

from opslib.catalogue import parameters, procedures
from opslib.core.connections import targets
from opslib.core.errors import UsageError

CELL = """target: str = "lab/x-y"  # the target
to: str = ""  # the version = the number
minutes: int = 15  # how far back
most: int = 10
names: list = []
share: float = 0.2
follow: bool = False  # on
queue: str = "orders"  # [required, of queues] which queue
"""


def parsed() -> list[parameters.Parameter]:
    return parameters.parse(CELL, "queues/x")


def test_a_cell_gives_names_types_defaults_and_help() -> None:
    assert [(p.name, p.type, p.default, p.help) for p in parsed()][:3] == [
        ("target", "str", "lab/x-y", "the target"),
        ("to", "str", "", "the version = the number"),
        ("minutes", "int", 15, "how far back"),
    ]


def test_what_a_parameter_declares_steers_and_its_help_does_not() -> None:
    queue = parsed()[-1]
    assert (queue.required, queue.of, queue.any, queue.all) == (True, "queues", False, False)
    told = 'x: str = "a"  # required: any of the queues as the target\'s file calls them; all'
    [plain] = parameters.parse(told, "queues/x")
    assert (plain.required, plain.of, plain.any, plain.all) == (False, "", False, False)


def test_a_declaration_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UsageError,
        match=r"x: \[requird\] is none of required, empty, any, all, time, of SECTION, A|B",
    ):
        parameters.parse('x: str = ""  # [requird] which', "queues/x")


def test_papermill_reads_the_same_parameters_from_every_notebook() -> None:
    import papermill

    for procedure in procedures.list_procedures():
        seen = papermill.inspect_notebook(str(procedure.path))
        assert list(seen) == [p.name for p in procedure.parameters], procedure.name


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ({"to": "012345678901"}, {"to": "012345678901"}),
        ({"minutes": "5"}, {"minutes": 5}),
        ({"share": "1"}, {"share": 1.0}),
        ({"share": 1}, {"share": 1.0}),
        ({"follow": "yes"}, {"follow": True}),
    ],
)
def test_text_is_read_as_the_declared_type(given: dict[str, Any], typed: dict[str, Any]) -> None:
    assert parameters.coerce(parsed(), given, "queues/x") == typed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"minuts": "5"}, "Unknown parameter 'minuts' of queues/x. Did you mean 'minutes'?"),
        ({"minutes": "five"}, "minutes='five' of queues/x is not int. How far back"),
        (
            {"minutes": "-5"},
            "minutes='-5' of queues/x is not more than 0 and at most 5,256,000. How far back",
        ),
        (
            {"minutes": 0},
            "minutes=0 of queues/x is not more than 0 and at most 5,256,000. How far back",
        ),
        (
            {"minutes": 10**9},
            "minutes=1000000000 of queues/x is not more than 0 and at most 5,256,000. How far back",
        ),
        ({"share": "nan"}, "share='nan' of queues/x is not a number."),
        ({"share": "inf"}, "share='inf' of queues/x is not a number."),
        ({"share": "1e999"}, "share='1e999' of queues/x is not a number."),
        ({"most": 10**30}, f"most={10**30} of queues/x is not 0 to 1,000,000,000."),
        ({"most": "-1"}, "most='-1' of queues/x is not 0 to 1,000,000,000."),
        ({"names": "[1, NaN]"}, "names='[1, NaN]' of queues/x is not made of numbers that end."),
        ({"names": [1e999]}, "names=[inf] of queues/x is not made of numbers that end."),
        ({"names": "[" * 99_999}, f"names={'[' * 99_999!r} of queues/x is not list."),
        (
            {"names": '[{"tenant": 1, "tenant": 2}]'},
            "One of tenant stands twice in an object. Nothing was run.",
        ),
        ({"minutes": True}, "minutes=True of queues/x is not int. How far back"),
        ({"to": 3}, "to=3 of queues/x is not str. The version = the number"),
        ({"follow": "maybe"}, "follow='maybe' of queues/x is not bool. On"),
        (
            {"queue": ""},
            "queues/x needs queue (str: required: which queue (of queues in the target's file)). "
            "Give it with -p queue=…",
        ),
        (
            {"target": "x-y"},
            "queues/x needs queue (str: required: which queue (of queues in the target's file)). "
            "Give it with -p queue=…",
        ),
    ],
)
def test_bad_input_is_refused_with_what_and_what_next(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        parameters.coerce(parsed(), given, "queues/x")
    assert str(refused.value) == message


CHOICES = """target: str = "lab/x-y"
since: str = ""  # [time] from
to: str = "latest"  # [required, time] the moment
unseen: str = ""  # [done|not done] what you saw
"""


@pytest.mark.parametrize("since", ["", "2h", "1w", "2026-11-22", "2026-11-22T14:05+02:00"])
@pytest.mark.parametrize("to", ["latest", "30m"])
@pytest.mark.parametrize("unseen", ["", "done", "not done"])
def test_a_time_and_one_of_some_words_are_taken_as_declared(
    since: str, to: str, unseen: str
) -> None:
    given = {"since": since, "to": to, "unseen": unseen}
    assert parameters.coerce(parameters.parse(CHOICES, "x/y"), given, "x/y") == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"since": "yesterday"},
            "since='yesterday' of x/y is not a time: 2h (ago), 14:05, or 2026-11-22T14:05. From",
        ),
        (
            {"to": "newest"},
            "to='newest' of x/y is not a time: 2h (ago), 14:05, or 2026-11-22T14:05. Required: the "
            "moment",
        ),
        ({"unseen": "no"}, "unseen='no' of x/y is not 'done' or 'not done'. What you saw"),
    ],
)
def test_what_is_no_time_or_none_of_its_words_is_refused(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parameters.typed(parameters.parse(CHOICES, "x/y"), given, "x/y")
    assert str(refused.value) == message


def test_every_parameter_that_is_a_moment_says_so() -> None:
    every = [p for each in procedures.list_procedures() for p in each.parameters]
    assert all(p.time for p in every if p.name in ("since", "until") or "UTC" in p.help)
    assert all(p.record for p in every if p.name == "record")


def test_a_default_that_one_system_has_is_declared_to_be_of_that_section_or_system() -> None:
    """Else it is taken on another system, too, which has no such name."""
    described = [targets.load(name).facts.plain() for name in targets.names()]
    places = ["functions", "services", "queues", "buckets", "tables", "jobs"]
    places += ["database.queries", "cache.keys"]
    names = {n for of in described for at in places for n in jmespath.search(at, of) or ()}
    assert not [
        f"{each.name}: {p.name}={p.default}"
        for each in procedures.list_procedures()
        for p in each.parameters
        if p.default in [*names] and not (p.of or p.own or p.words)
    ]


WINDOW = """target: str = "lab/x-y"
since: str = ""  # [time] from
until: str = ""  # [time] to
"""


@pytest.mark.parametrize(
    "given", [{"since": "3h", "until": "1h"}, {"since": "2h"}, {"until": "1h"}]
)
def test_a_window_begins_before_it_ends(given: dict[str, Any]) -> None:
    assert parameters.typed(parameters.parse(WINDOW, "x/y"), given, "x/y") == given


@pytest.mark.parametrize(
    ("since", "until"), [("1h", "3h"), ("1h", "1h"), ("2026-11-22T14:05", "2026-11-22")]
)
def test_a_window_that_ends_before_it_begins_is_refused(since: str, until: str) -> None:
    with pytest.raises(UsageError, match=f"between since={since} and until={until} of x/y"):
        parameters.typed(parameters.parse(WINDOW, "x/y"), {"since": since, "until": until}, "x/y")


@pytest.mark.parametrize("line", ["minutes = 5", "minutes: Path = 5", "print('x')"])
def test_a_line_that_is_no_parameter_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="parameters cell"):
        parameters.parse(line, "queues/x")
