"""Documents that an index lacks are put into it."""

from dataclasses import replace

from opslib.core import (
    Action,
    Connection,
    Json,
    NotFound,
    Planned,
    Refused,
    Step,
    UsageError,
    batched,
    count,
    domains,
    identifier,
    planner,
    quoted,
    result,
)
from opslib.core.actions.stores.searches import Put, Search, Take
from opslib.search import indices

_BATCH, _MOST = 1_000, 50_000
TABLE = "table"


@planner
def plan_reindex(
    ops: Connection, index: str, source: str = TABLE, strays: bool = False, most: float = 10.0
) -> Planned:
    """Puts what an index lacks: made of its rows, or taken from another index (`source`).

    `strays`: takes out documents whose row is gone, for good; `most` percent of all. An index that
    is missing is made first, with the mapping that is described. What is there is not written over.
    Raises UsageError (not described), NotFound (no such source), Refused (too many strays).
    """
    facts = indices.described(ops, index)
    name, lacking = str(facts["index"]), "table" if "table" not in facts else ""
    if source == TABLE and "fields" not in facts:
        lacking = lacking or "fields"
    if lacking:
        raise UsageError(
            f"search.indices.{index} in parameters/targets/{ops.target.key}.yaml describes no "
            f"{lacking}, which says what belongs into the index. Add it."
        )
    if source != TABLE:
        domains.ask(ops, "GET", f"/{source}")
    missing = not behind(ops, name)
    found = indices.find_documents(ops, index, empty=missing)
    late = [*found[found["why"] == indices.LATE]["id"]]
    put = late[:_MOST]
    steps = [_made(name, facts)] if missing else []
    for number, some in enumerate(batched(put, _BATCH), 1):
        step = _batch(name, facts, source, [*some], number)
        steps.append(replace(step, undo=[]) if missing else step)  # they go with the index
    notes = ["What a document holds is read when it is put; one that is there by then is left."]
    said = [f"put {count(len(put), 'document')} into {name}"] if put or missing else []
    if left := len(late) - len(put):
        notes.append(f"{left:,} more are left: run it again after this.")
    extra = [*found[found["why"] == indices.EXTRA]["id"]]
    if extra and strays:
        held = domains.ask(ops, "GET", f"/{name}/_count")["count"]
        if len(extra) > max(20, most / 100 * held):
            raise Refused(
                f"{len(extra):,} of {held:,} documents in {name} have no row: over {most:g} %. "
                "They may be the only trace of rows that were lost. Nothing was changed. See who "
                "took the rows away, and restore those beside."
            )
        title = f"Take {count(len(extra), 'document')} without a row out of {name}"
        do = Take(name, extra)
        steps.append(Step(title, do, len(extra), 0, None, _holds(name, extra)))
        said.append(f"take {count(len(extra), 'document')} out of {name}")
    elif extra:
        notes.append(f"{count(len(extra), 'document')} without a row stay: strays=True.")
    if missing:
        notes.append("Undo takes the index away again, with what was written to it meanwhile.")
    return Planned(", ".join(said) or f"{name} lacks nothing", steps, notes if said else notes[1:])


def behind(ops: Connection, name: str) -> list[str]:
    """The indices that a name stands for: itself, those of an alias, none; denied is an error."""
    try:
        return [*domains.ask(ops, "GET", f"/{name}")]
    except NotFound:
        return []


def read(name: str) -> Action:
    """Reads the name of an index, where there is one."""
    return Search("GET", f"/{name}", pick="keys(@) | [0]")


def _made(name: str, facts: Json) -> Step:
    mapping = facts["mapping"].plain() if "mapping" in facts else {}
    do = Search("PUT", f"/{name}", {"mappings": mapping})
    return Step(
        f"Make index {name}", do, "absent", name, [Search("DELETE", f"/{name}")], read(name)
    )


def _holds(name: str, ids: list[str]) -> Action:
    """Counts which of these an index holds."""
    asked = {"query": {"ids": {"values": ids}}}
    return Search("GET", f"/{name}/_count", asked, "count")


def _batch(name: str, facts: Json, source: str, ids: list[str], number: int) -> Step:
    fields = (
        f"{quoted(column)} AS {identifier(field)}"
        for field, column in facts.get("fields", {}).items()
    )
    made = f"(SELECT row_to_json(d)::text FROM (SELECT {', '.join(fields)}) AS d) AS document"
    rows = source == TABLE
    do = Put(name, ids, *((indices.chosen(facts, made), "") if rows else ("", source)))
    title = f"Put {count(len(ids), 'document')} into {name}"
    undo = [Take(name, result(f"batch{number}.created"))]
    return Step(title, do, 0, len(ids), undo, _holds(name, ids), f"batch{number}")
