"""A change applied where no engine keeps the run is kept as a record of its own.

So it is in JupyterLab and in plain papermill.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opslib.core import Connection, Plan
from opslib.core.journal import Ledger
from opslib.records.outcomes import Event
from opslib.records.sittings import places

_RECORDED = "recorded"


@contextmanager
def recorded(ops: Connection, plan: Plan) -> Iterator[None]:
    """Keep what happens inside as a record, unless an engine does.

    Raises OpsError, before, when it cannot be kept.
    """
    if ops.journal.kept:
        yield
        return
    from opslib.records import facts, outcomes, sealing

    known = facts.at_start(name := places.named(), name, ops.target.name, {})
    draft = sealing.opened(_notebook(plan), known)
    ending, begun = outcomes.Ending(outcomes.DONE), len(ops.journal.events)
    ops.journal.ledger = Ledger(draft.ledger)
    try:
        yield
    except BaseException as exc:
        how = "interrupted" if isinstance(exc, KeyboardInterrupt) else "failed"
        ending = outcomes.Ending(how, f"{type(exc).__name__}: {exc}")
        raise
    finally:
        ops.journal.ledger = None
        told = [*_of_this_change(ops.journal.events, begun)]
        told.append({"event": "plan", "plan": plan.as_dict()})
        draft.conclude(ending, told)
        trouble = sealing.keep(draft)
        ops.journal.write(_RECORDED, id=known["id"])
        print(trouble or f"Kept as record {known['id']}.")


def _of_this_change(told: list[Event], begun: int) -> Iterator[Event]:
    """Of all that a session told: who it is, what it saw since the last change, what it did.

    Findings that verify the change before are not of this one.
    """
    last = max((at for at in range(begun) if told[at]["event"] == _RECORDED), default=0)
    for at, event in enumerate(told):
        kind = event["event"]
        seen = kind == "call" or (
            kind == "findings" and not any(finding["verifies"] for finding in event["findings"])
        )
        if kind == "connected" or at >= begun or (at >= last and seen):
            yield event


def _notebook(plan: Plan) -> Any:
    from nbformat import v4

    told = [
        f"# {plan.summary[:1].upper()}{plan.summary[1:]}",
        "Applied in an interactive session: the plan, its steps and the calls are kept here, "
        "the session's other cells are not.",
        "```text\n" + repr(plan).replace("```", "'''") + "\n```",
    ]
    return v4.new_notebook(cells=[v4.new_markdown_cell(text) for text in told])
