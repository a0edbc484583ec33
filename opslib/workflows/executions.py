"""Executions of a window: how they ended, why they failed, which of them hang."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Question,
    answer,
    check,
    count,
    cut,
    dtypes,
    few,
    frame,
    metrics,
    window,
)
from opslib.workflows.histories import FAILED, Failure, find_failure
from opslib.workflows.machines import DONE, MOST, RUNNING, Machine

STUCK = "executions-stuck"  # a cause that findings name
SHOWN = dtypes("""
    execution str
    status    str
    minutes   float64
    item      str
    state     str
    error     str
""")
_LOOKED_INTO, _MANY = 20, 0.1  # failures whose history is read; a share that is critical
_USUAL, _TIMES, _LEAST_MINUTES = 100, 3, 10.0  # what is compared; no shorter one hangs
_SOURCE = "stepfunctions ListExecutions, GetExecutionHistory"


class Failed(NamedTuple):
    """An execution that failed. `mended`: a later one of the same item did not, or runs."""

    row: Json
    why: Failure
    mended: bool


@check("How do the executions end?")
def check_executions(ops: Connection, workflow: str = "", minutes: float = 1440) -> Findings:
    """Of one state machine, or of all (empty): those of the window, and all that run.

    A failure counts unless the same item succeeded later. Evidence: SHOWN.
    """
    read = Machine.each(ops, workflow, partial(_judge, minutes), "executions of {}")
    rows = chain.from_iterable(rows for _, rows in read)
    return Findings(chain.from_iterable(found for found, _ in read), frame(rows, SHOWN))


def _judge(minutes: float, machine: Machine) -> tuple[list[Finding], list[Json]]:
    about, logged = machine.about, machine.about.get("loggingConfiguration", {}).get("level", "OFF")
    asked = Question(
        f"state machine {machine.name}", "ACTIVE", "stepfunctions DescribeStateMachine"
    )
    state = about.get("status", "ACTIVE")
    seen = f"{state}, {about['type'].lower()}, logging {logged}"
    found = [asked.judged(state == "ACTIVE", seen)]
    if machine.express:
        look = partial(_express, machine, minutes, logged)
        return [*found, answer(f"executions of {machine.name}", look)], []
    recent = machine.executions(window(machine.ops, minutes).start)
    failed = _explained(machine, recent)
    stuck, rows = _stuck(machine)
    told = [*(each.row for each in failed), *rows]
    found += [*_failed(machine, recent, failed, minutes), stuck]
    if "table" in machine.facts:
        found.append(answer(f"failed rows of {machine.key}", _rows, machine, minutes))
    return found, told


def _rows(machine: Machine, minutes: float) -> Finding:
    """What fails before an execution begins, or is marked so by the app, only the table tells."""
    rows = machine.failed_rows(minutes)
    asked = Question(f"failed rows of {machine.key}", "none", f"table {machine.facts['table']}")
    seen = f"{count(len(rows), 'row')} in {minutes / 60:g} h"
    if len(rows):
        seen += f": {few([*rows['item']], 5)}: {cut(str(rows['error'][0]), 220)}"
    return asked.judged(rows.empty, seen, otherwise="warn", next="workflows/restart")


def _express(machine: Machine, minutes: float, logged: str) -> Finding:
    """Of an express machine CloudWatch counts the executions, and its log tells of them."""
    names = "ExecutionsStarted", "ExecutionsFailed", "ExecutionsTimedOut"
    about = {"StateMachineArn": machine.arn}
    wanted = {name: ("AWS/States", name, about, "Sum") for name in names}
    read = metrics.series(machine.ops, wanted, window(machine.ops, minutes))
    begun, *bad = [int(each.sum()) for each in read.values()]
    asked = Question(f"executions of {machine.name}", "none failed", "cloudwatch AWS/States")
    seen = f"{sum(bad)} of {begun} failed. Step Functions keeps no history of express ones: "
    seen += "their log group tells" if logged != "OFF" else "and they do not log"
    status = "critical" if sum(bad) > _MANY * begun else "warn"
    return asked.judged(not sum(bad), seen, otherwise=status, next="logs/search")


def _explained(machine: Machine, recent: Frame) -> list[Failed]:
    """The last ones that failed, each with why."""
    failed = recent[~recent["status"].isin([DONE, *RUNNING])].head(_LOOKED_INTO)
    well = recent[recent["status"].isin([DONE, *RUNNING])]

    def one(arn: str) -> Failed:
        told = machine.describe(arn)
        why, listed = find_failure(machine, told), failed[failed["arn"] == arn].iloc[0]
        later = well[well["started"] > listed["started"]]["execution"]
        item = told["item"]
        mended = bool(item) and later.str.contains(item, regex=False).any()
        row = dict(listed) | {"item": item, "state": why.state, "error": cut(why.error, 300)}
        return Failed(row, why, bool(mended))

    return list(machine.ops.each(one, failed["arn"]).values())


def _failed(
    machine: Machine, recent: Frame, failed: list[Failed], minutes: float
) -> Iterator[Finding]:
    """One finding for each cause; one that says how many succeeded where there is none."""
    asked = Question(f"executions of {machine.name}", "none failed for good", _SOURCE)
    counts = ", ".join(
        f"{n} {status.lower()}" for status, n in recent["status"].value_counts().items()
    )
    total = f"{counts or 'none'} in {minutes / 60:g} h"
    total += f", the newest {MOST:,} only" if len(recent) >= MOST else ""
    left = [each for each in failed if not each.mended]
    if not left:
        again = f"; {len(failed)} failed and succeeded later" if failed else ""
        yield asked.ok(total + again, cause=FAILED)
    status = "critical" if len(left) > _MANY * len(recent) else "warn"
    for cause in dict.fromkeys(each.why.cause for each in left):
        mine = [each for each in left if each.why.cause == cause]
        why, items = mine[0].why, [each.row["item"] or each.row["execution"] for each in mine]
        seen = (
            f"{len(mine)} failed in {why.state or 'no state'}: {cut(why.error, 220)}; {why.means}. "
        )
        seen += f"Items: {', '.join(items[:5])}{'…' if items[5:] else ''}; in all {total}"
        yield asked.answer(status, seen, cause=cause, next=why.next)


def _stuck(machine: Machine) -> tuple[Finding, list[Json]]:
    """Whether one runs for much longer than those did that succeeded last."""
    running = machine.executions(None, "RUNNING")
    usual = machine.executions(None, DONE, _USUAL)["minutes"].max()
    asked = Question(
        f"running executions of {machine.name}",
        f"none {_TIMES} times as long as any before",
        _SOURCE,
    )
    if running.empty or usual != usual:  # NaN: none has succeeded yet
        status = "ok" if running.empty else "unknown"
        seen = f"{len(running)} running" + (", and none succeeded before" if len(running) else "")
        return asked.answer(status, seen, cause=STUCK), []
    limit = max(_TIMES * usual, _LEAST_MINUTES)
    long = running[running["minutes"] > limit]
    seen = f"{len(running)} running, {len(long)} of them for over {limit:.0f} minutes"
    rows = []
    for row in long.head(_LOOKED_INTO).to_dict("records"):
        told = machine.describe(row["arn"])
        rows.append({**row, "item": told["item"], "state": find_failure(machine, told).state})
    if rows:
        seen += f"; the longest usual took {usual:g}. In {rows[-1]['state']}: "
        seen += ", ".join(row["item"] or row["execution"] for row in rows[:5])
    return asked.judged(not rows, seen, cause=STUCK, next="workflows/restart"), rows
