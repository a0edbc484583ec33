"""Rows: a statement of an operator's own, committed only when it does what was shown.

What a statement is and does is asked of the database: see `effects`.
"""

from dataclasses import replace
from typing import Any

from opslib.core import (
    Connection,
    Findings,
    Frame,
    Json,
    Planned,
    Question,
    Refused,
    Shown,
    Sql,
    Step,
    Text,
    check,
    count,
    planner,
    result,
    sessions,
    sql,
)
from opslib.databases.data import effects, queries
from opslib.databases.data.effects import Effect
from opslib.databases.instances import snapshots

_ROUGHLY = 10  # times as many as allowed, by the planner's estimate: certainly too many
_MEANT = Question("rows that it would change", "those that you mean", "database")


def explain_statement(ops: Connection, statement: str) -> Text:
    """The plan that the database makes of the statement, without running it.

    Nothing when there is none.
    """
    if not statement.strip():
        return Text("")
    return queries.planned(ops, "The statement", effects.of(ops, statement).text, own=True)


@check("What would it change?")
def check_statement(ops: Connection, statement: str, limit: int = 60) -> Findings:
    """The rows as they are that a statement would change, or those that it would add.

    It is done and rolled back: for that moment it locks them.
    """
    ops.target["database"]  # a target without one has no rows
    if not statement.strip():
        return Findings(note=f"No statement was given: {effects.FORMS}.")
    rows, number = sample(ops, effects.of(ops, statement), limit)
    seen = count(number, "row") + (f", {limit} of them shown" if number > limit else "")
    return Findings(_MEANT.judged(number > 0, seen, otherwise="warn", next=_LOOK), rows)


def sample(ops: Connection, effect: Effect, limit: int) -> tuple[Frame, int]:
    with sessions.session(ops, f"{sql.brief(effect.text)} (rolled back)", write=True) as session:
        rows = queries.shown(sessions.run(session, effect.sampled(limit)), limit)
    met = rows.pop("rows met")
    return rows, int(met.iloc[0]) if len(met) else 0


def trial(ops: Connection, effect: Effect) -> tuple[str, Json]:
    """The statement that does it and what it found, done and rolled back.

    What it makes anew each time (a clock, a sequence) is left out: for that it is done twice.
    """
    if effect.verb == "Delete":
        measured = effect.measured(())
        return measured, sql.measure(ops, measured)
    twice = [sql.measure(ops, effect.measured(effect.columns, parts=True)) for _ in range(2)]
    each = zip(effect.columns, *(found["parts"] for found in twice), strict=True)
    measured = effect.measured([name for name, one, other in each if one == other])
    found = sql.measure(ops, measured)
    found.pop("made", None)  # other keys each time
    return measured, found


def steps_for_statement(
    ops: Connection, statement: str, most: int = 1000, snapshot: bool = True
) -> Planned:
    """The statement in one transaction, committed only when it does what is shown here.

    The rows it meets and makes and the rows of each table that follows are part of the plan: when
    one is changed meanwhile, the plan is refused. Raises UsageError (no WHERE, another kind of
    statement), Refused (more than `most` rows, also with those that follow).
    """
    if not statement.strip():
        return Planned("change rows", notes=["No statement was given."])
    effect = effects.of(ops, statement)
    if effect.estimate > _ROUGHLY * most:  # not even tried: it would lock and rewrite them
        _refuse_many(f"About {effect.estimate:,}", effect.estimate, most)
    measured, found = trial(ops, effect)
    number = found["rows"]
    whole = sql.rows_touched(found["tables"])
    _refuse_many(f"{whole:,}", whole, most)  # with those that follow
    if not number:
        return Planned("change rows", notes=[_NO_ROW])
    if effect.verb == "Update" and found["met"] != number:
        raise Refused(
            f"{number} rows of {effect.name} would be changed, and {found['met']} are there under "
            "the same key: it changes the key itself, so its rows cannot be told. Nothing was "
            "changed."
        )
    follows = [f"{name}: {said}" for name, said in found["tables"].items()] * (whole > number)
    added = effect.verb == "Insert" and bool(effect.key)
    made: Any = result("rows.made")
    step = Step(
        f"Change {count(number, 'row')}",
        do=Shown(effect.text, measured, found),
        before=f"{count(number, 'row')}, digest {(found.get('before') or found['after'])[:12]}",
        after=f"{count(number, 'row')} changed",
        undo=[Sql(effect.taken_back(ops), made, number)] if added else None,
        name="rows" if added else "",
    )
    saved = snapshots.steps_for_snapshot(ops, "before a change of rows") if snapshot else []
    kept = [replace(each, undo=[]) for each in saved]  # undo leaves it there: the only way back
    notes = [_ADDED, *effect.notes] if added else [*_NOTES[: 1 + snapshot], *effect.notes]
    if follows:
        notes.insert(0, f"It takes other rows along, {whole:,} in all: {'; '.join(follows)}.")
    return Planned(f"change {count(number, 'row')} by a statement", [*kept, step], notes)


plan_statement = planner(steps_for_statement)


def _refuse_many(said: str, number: float, most: int) -> None:
    if number > most:
        raise Refused(
            f"{said} rows would be changed, more than {most:,}. Nothing was changed. "
            "Look at them (databases/query) and narrow the condition."
        )


_LOOK = "databases/query"
_NO_ROW = (
    f"No row fits its condition, or is so already: look with {_LOOK} what the rows hold (upper and "
    "lower case, spaces, NULL, another database)."
)
_ADDED = (
    "Undo deletes the rows that it added, by their keys, all or none, and only while no other row "
    "refers to one of them."
)
_NOTES = [
    "It cannot be undone from here: what the rows held is in the table above, as far as it is "
    "shown. All or none: when it would do anything else than shown, it is rolled back.",
    "The way back is the snapshot: databases/restore brings it up beside this database.",
]
