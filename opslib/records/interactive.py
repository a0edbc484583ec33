"""A change that is applied where no engine keeps the run (JupyterLab, plain papermill) is kept as a record of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.plans.plans import Plan
from opslib.records.events import Event, Events

_RECORDED = "recorded"


@contextmanager
def recorded(ops: Connection, plan: Plan) -> Iterator[None]:
    """Keep what happens inside as a record, unless an engine does. Raises OpsError, before, when it cannot be kept."""
    if ops.journal.kept:
        yield
        return
    from opslib.records import index, outcomes, sealing
    from opslib.records.drafts import Draft
    from opslib.records.facts import at_start, lease, moment, of_the_code, row
    from opslib.records.outcomes import Ending

    facts, notebook = at_start(_request(ops)) | of_the_code(), _notebook(plan)
    draft, ending, begun = Draft(facts["id"]), Ending(outcomes.DONE), len(ops.journal.events)
    draft.begin(notebook, facts)
    index.insert(row(facts) | lease())
    try:
        yield
    except BaseException as exc:
        ending = Ending(
            "interrupted" if isinstance(exc, KeyboardInterrupt) else "failed",
            f"{type(exc).__name__}: {exc}",
        )
        raise
    finally:
        events = _of_this_change(ops.journal.events, begun)
        events.plan = plan.as_dict()
        facts |= events.as_metadata() | outcomes.conclude(ending, events) | {"ended": moment()}
        _, trouble = sealing.keep(draft, notebook, facts)
        ops.journal.write(_RECORDED, id=facts["id"])
        print(trouble or f"Kept as record {facts['id']}.")


def _of_this_change(told: list[Event], begun: int) -> Events:
    """Of all that a session told: who it is, what it looked at since the change before this one, and what it did."""
    from opslib.records.events import Events

    last = max(
        (at for at, event in enumerate(told[:begun]) if event["event"] == _RECORDED), default=0
    )
    looked = [event for event in told[last:begun] if event["event"] == "call" or _is_seen(event)]
    return Events(
        [*(event for event in told if event["event"] == "connected"), *looked, *told[begun:]]
    )


def _is_seen(event: Event) -> bool:
    """Findings that do not verify the change before."""
    return event["event"] == "findings" and not any(
        finding["verifies"] for finding in event["findings"]
    )


def _request(ops: Connection) -> Any:
    from opslib.records import records
    from opslib.records.facts import Request

    session = os.environ.get(
        "JPY_SESSION_NAME"
    )  # Jupyter's server says which notebook a kernel is for
    name = "/".join(Path(session).parts[-2:]).removesuffix(".ipynb") if session else "notebook"
    return Request(
        id=records.new_id(datetime.now(UTC)),
        name=name,
        procedure=name,
        target=ops.target.name,
        kernel="",
        parameters={},
        timeout_seconds=0,
    )


def _notebook(plan: Plan) -> Any:
    from nbformat import v4

    told = [
        f"# {plan.summary[:1].upper()}{plan.summary[1:]}",
        "Applied in an interactive session: the plan, its steps and the calls are kept here, the session's other cells are not.",
        "```text\n" + repr(plan).replace("```", "'''") + "\n```",
    ]
    return v4.new_notebook(cells=[v4.new_markdown_cell(text) for text in told])
