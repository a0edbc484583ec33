"""Rows of jobs in one form, whatever a system's table calls its columns and states."""

from opslib.core import beside, identifier, quoted
from opslib.core.tables import Params

_TIME = "timestamptz"
TABLE = beside(__file__, "rows")
_COLUMNS = TABLE["columns"]


def source(facts: Params) -> str:
    """What to select from: the table's rows with the columns `item` (text) and those of _COLUMNS.

    `status` is queued, running, completed, failed, or what the table says where the target's file
    (jobs.*.states) does not know it.
    """
    named = ", ".join(
        f"{column(facts, name)}{'::text' * (name == 'status')} AS {name}" for name in _COLUMNS
    )
    item, table = quoted(facts["item"]), quoted(facts["table"])
    return f"(SELECT {item}::text AS item, {named} FROM {table}) AS jobs"


def has(facts: Params, key: str) -> bool:
    """Whether the table has that column (a key of jobs.*.columns)."""
    return facts.get("columns", {}).get(key, key) is not None


def column(facts: Params, name: str) -> str:
    """An expression for a column of _COLUMNS."""
    kind = TABLE["types"].get(name, _TIME if name.endswith("_at") else "")
    called = facts.get("columns", {}).get(_COLUMNS[name], name)
    written = facts.get("columns", {}).get("updated")
    if called is None and name in TABLE["written"] and written:
        # the last that was written of the row
        states = ", ".join(f"'{state}'" for state in TABLE["written"][name])
        when = f"CAST({identifier(written)} AS {_TIME})"
        return f"CASE WHEN {column(facts, 'status')} IN ({states}) THEN {when} END"
    if called is None:
        return f"CAST(NULL AS {kind or 'text'})"
    plain = called if called == name else identifier(str(called))
    if name == "status" and "states" in facts:
        # In our words; PostgreSQL's own text of it where nobody said what it means.
        whens = ""
        for key, ours in TABLE["states"].items():
            theirs = [str(each).lower().replace("'", "''") for each in facts["states"].get(key, ())]
            if theirs:
                told = ", ".join(f"'{each}'" for each in theirs)
                whens += f"WHEN lower({plain}::text) IN ({told}) THEN '{ours}' "
        return f"CASE {whens}ELSE {plain}::text END" if whens else plain
    return plain if called == name or not kind else f"CAST({plain} AS {kind})"
