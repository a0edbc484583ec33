"""What every procedure keeps to, asked of all of them.

Denied is unknown, a preview is inert, an undo brings back.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore import xform_name

from opslib import OpsError
from opslib import lab as practice
from opslib.catalogue import procedures
from opslib.changes.resources import table
from opslib.core.checks import plots
from opslib.core.connections import connection, targets
from opslib.core.errors import NotAllowed
from opslib.core.findings import Finding
from opslib.records import reading
from tests.conftest import PracticeLab
from tests.notebooks import run
from tests.rooms import LIBRARY
from tests.states import differences
from tests.test_pins import CASES as PLANNED
from tests.undoing import confirmed


@dataclass(frozen=True)
class Case:
    """A procedure that has something to do."""

    procedure: str
    target: str
    drill: str = ""
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.target.removeprefix(targets.LAB)

    def __str__(self) -> str:
        return f"{self.procedure} {self.key}"


def changing() -> list[Case]:
    """The first case of each procedure on each system."""
    cases: dict[str, Case] = {}
    for target, planned in PLANNED.items():
        for drill, procedure, given in planned:
            case = Case(procedure, target, drill, given)
            cases.setdefault(str(case), case)
    return [case for case in cases.values() if case.key != "bluemoxon-production"]


SHORT = {"logs/follow": {"seconds": 2}}  # what waits for a person looks at no more for that


def looking() -> list[Case]:
    """Every procedure on the target that it names itself,
    and on those where it can change something.
    """
    cases = [
        Case(each.name, str(each.parameters[0].default), "", SHORT.get(each.name, {}))
        for each in procedures.list_procedures()
    ]
    known = {str(case) for case in cases}
    return cases + [
        Case(each.procedure, each.target, "", each.given)
        for each in changing()
        if str(each) not in known
    ]


def every(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=str)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, records_folder: Path) -> None:
    """Much is run here: no plot is painted."""
    monkeypatch.setattr(plots, "page", lambda *_: b"")


@contextmanager
def broken(lab: PracticeLab, case: Case) -> Iterator[None]:
    with ExitStack() as stack:
        if case.drill:
            stack.enter_context(lab.broken(case.drill, case.key))
        yield


def settled(key: str) -> dict[str, Any]:
    """The state of a target once nothing in it works by itself any more."""
    state, end = practice.state(key), time.monotonic() + 60
    while (now := practice.state(key)) != state:
        assert time.monotonic() < end, differences(state, now)
        state = now
        time.sleep(0.2)
    return state


@dataclass
class Looked:
    """What a run of a procedure said, also when it ended with an error."""

    findings: list[Finding]
    calls: set[str]
    error: OpsError | None


def look(case: Case) -> Looked:
    seen: list[connection.Connection] = []
    connect = connection.Connection.__init__

    def watched(self: connection.Connection, *args: Any, **given: Any) -> None:
        seen.append(self)
        connect(self, *args, **given)

    error = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.Connection, "__init__", watched)
        try:
            run(case.procedure, target=case.target, **case.given)
        except OpsError as exc:
            error = exc
    calls = {
        f"{event['service']}:{event['operation']}"
        for ops in seen
        for event in ops.journal.events
        if event["event"] == "call"
        and event["service"] not in ("http", "postgresql", "redis", "sts")
    }
    return Looked([found for ops in seen for found in ops.findings], calls, error)


# Looking is inert, and what is denied is unknown


# What is only shown beside what is judged, and missing there: tests of their own ask for it.
BESIDE = {
    ("edge/block", "cloudtrail:LookupEvents"),  # said where the name would stand
    ("databases/health", "rds:DescribePendingMaintenanceActions"),
    ("functions/health", "lambda:GetAccountSettings"),
    ("functions/invoke", "lambda:GetAccountSettings"),
    ("functions/scale", "lambda:GetAccountSettings"),
    ("functions/update", "lambda:GetAccountSettings"),
    ("logs/errors", "cloudwatch:GetMetricData"),
    ("reports/daily", "lambda:GetAccountSettings"),
    ("reports/daily", "rds:DescribePendingMaintenanceActions"),
    ("reports/triage", "lambda:GetAccountSettings"),
    ("services/rollback", "ecr:DescribeImages"),  # the plan's notes say that it is not known
}


# One mechanism asks them all, from a table: some of each form are denied for all.
ALIKE = {
    "events:ListRuleNamesByTarget",  # more of a resource, and what it leads to
    "sqs:GetQueueUrl",  # before the question itself
    "ec2:DescribeVpcs",  # a list, and other lists that it leads to
    "s3:GetBucketPolicy",
    "cloudtrail:LookupEvents",
}


SOME = 6  # of the report's operations each so many: its checks are denied in their procedures, too


def denied_in_turn(procedure: str, calls: set[str], whole: bool = False) -> list[str]:
    """Each operation that it asks; of those that one mechanism asks, and of the report's, some."""
    if procedure == "changes/configuration":
        return sorted(calls & ALIKE)
    each = sorted(call for call in calls if xform_name(call.partition(":")[2]) not in alike())
    return each[:: SOME if procedure == "reports/daily" and not whole else 1]


@functools.cache
def alike() -> set[str]:
    """Operations that only the table asks."""
    code = "".join(path.read_text() for path in LIBRARY.glob("*/**/*.py"))
    kinds = yaml.safe_load((LIBRARY / "databases/instances/rds.yaml").read_text())["kinds"]
    code += json.dumps(kinds)
    listed = {call[1] for each in table().values() for call in _calls(each)}
    return {operation for operation in listed if f'"{operation}"' not in code}


def _calls(about: dict[str, Any]) -> list[Any]:
    return [about[name] for name in ("first", "call") if name in about] + [
        *about.get("also", {}).values()
    ]


def at_once(procedure: str, operations: list[str]) -> list[list[str]]:
    """Those that are denied together: one of each service, where one check goes on without the
    other. Where a plan is made, the first that is denied ends it: there each alone.
    """
    if procedures.find(procedure).changes:
        return [[operation] for operation in operations]
    by_service = [[*group] for _, group in groupby(operations, lambda each: each.split(":")[0])]
    return [[each for each in row if each] for row in zip_longest(*by_service)]


def names(found: Finding, operation: str) -> bool:
    """Whether it says that this operation is denied."""
    service, _, asked = operation.partition(":")
    return re.search(rf"\b{service} {xform_name(asked)}\b", found.seen) is not None


def says_so(found: Finding) -> bool:
    return found.status == "unknown" or "denied" in found.seen.lower()


def judged(looked: Looked) -> set[tuple[str, str]]:
    """Check and status of what was not denied; how fast an API answers is this machine's
    business.
    """
    return {
        (each.check, each.status)
        for each in looked.findings
        if not says_so(each) and not each.check.startswith("/")
    }


@pytest.mark.some(40)
@every(looking())
def test_looking_changes_nothing_and_what_is_denied_is_unknown_and_never_ok_nor_absent(
    lab: PracticeLab, case: Case, request: pytest.FixtureRequest
) -> None:
    before = settled(case.key)
    well = look(case)
    assert differences(before, practice.state(case.key)) == []
    whole = request.config.getoption("--all")
    waiting = at_once(case.procedure, denied_in_turn(case.procedure, well.calls, whole))
    for operations in waiting:
        with ExitStack() as stack:
            for operation in operations:
                stack.enter_context(lab.denied(operation, case.key))
            denied = look(case)
        told = [
            each
            for each in denied.findings
            if each.cause == "access-denied" or "denied" in each.seen.lower()
        ]
        if len(operations) > 1:  # who is not named beside the others is denied alone
            waiting += [[each] for each in operations if not any(names(f, each) for f in told)]
        else:
            beside = (case.procedure, operations[0]) in BESIDE
            assert told or isinstance(denied.error, NotAllowed) or beside, operations
        assert {each.cause for each in denied.findings if each.cause} <= {"access-denied"}, (
            operations
        )
        assert judged(denied) <= judged(well), operations


# A preview is inert, an undo brings back


# What an undo leaves otherwise than it was, and means to: nothing is ever removed from these.
REMAINS = {
    "databases/migrate-back": ".pgmigrations",  # its row is a new one
    "deployments/verify": ".ledger.universal_registry",  # the test record, flagged
    "jobs/oversized": ".analysis_jobs",  # the job that was started again
}
TOLD_BESIDE = {
    "alarms/silence": {"warn"},  # it is silent now
    "services/autoscaling": {"warn"},  # the target's file says the old value
    "tables/restore": {"warn"},  # what a restore does not bring
    "services/deploy": {"unknown"},  # nobody has asked it yet
    "databases/migrate-back": {"warn"},  # the code needs what was taken back
    "databases/password": {"warn"},  # sessions of before go on until they end
    "users/password": {"warn"},  # a one-time password has to be changed
}
# What they change is none.
NO_STATE = {
    "databases/restart",
    "databases/upkeep",
    "functions/invoke",  # as it stands it counts
    "health/request",  # what is asked here only counts
    "metrics/publish",
    "services/restart",
}


@pytest.mark.some(30)
@every(changing())
def test_a_preview_changes_nothing_what_was_applied_is_verified_and_an_undo_brings_it_back(
    lab: PracticeLab, case: Case
) -> None:
    known = {parameter.name for parameter in procedures.find(case.procedure).parameters}
    given = case.given | ({"watch_seconds": 0} if "watch_seconds" in known else {})
    unwatched = (
        {"unknown"} if "watch_seconds" in known else set()
    )  # nobody waits here for the traffic
    sure = {"target": case.target, "approved": "now", "confirm": confirmed(case.target)}
    with broken(lab, case):
        before = settled(case.key)
        shown = run(case.procedure, target=case.target, **given)
        assert shown["plan"].steps
        assert not shown["applied"].changed
        assert differences(before, practice.state(case.key)) == []
        left = run(case.procedure, **sure, **given)
        assert shown["plan"].digest("", "") == left["plan"].digest("", "")
        verified = {found.status for found in left["ops"].findings if found.verifies}
        beside = TOLD_BESIDE.get(case.procedure, set())
        assert verified - unwatched - beside <= {"ok"}
        assert verified
        assert differences(before, settled(case.key)) != [] or case.procedure in NO_STATE
        if left["plan"].reversible:
            run("changes/undo", **sure, record=reading.list_records()[0].id)
            assert remains(case, before, settled(case.key)) == []
    if not left["plan"].reversible and case.procedure not in NO_STATE:
        lab.reset()


def remains(case: Case, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What an undo left otherwise than it was.

    A version of a function that was published stays, and nobody calls it.
    """
    meant = REMAINS.get(case.procedure, "nothing")
    return [
        path
        for path in differences(before, after)
        if not (path.startswith("lambda.") and ".versions." in path) and not path.endswith(meant)
    ]
