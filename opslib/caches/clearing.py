"""Keys are taken away: those that were found, in small parts, and nothing beside them."""

import fnmatch
from collections.abc import Iterator

from opslib.caches import keys as kinds
from opslib.core import Connection, Planned, Refused, Step, batched, count, planner, result
from opslib.core.actions.stores.caches import Held, Restore, Unlink
from opslib.core.reads.stores.caches import find, values

_BATCH, _MOST = 500, 20_000
_KEPT_BYTES = 1_000_000  # of values that a record keeps for the undo


@planner
def plan_clear(ops: Connection, keys: str, lost: bool = False) -> Planned:
    """Take away the keys of a name of the target's file, or of a pattern.

    What comes after the plan was made is left. A kind with `stored` goes only as far as the
    database has it (`lost`: also what it has not). With `keep` what they held is kept in the
    record, and undo brings it back; else nothing can.
    Raises UsageError, Refused (not all of it is in the database).
    """
    pattern = kinds.pattern_of(ops, keys)
    facts = ops.target["cache"].get("keys", {}).get(keys, {})
    checked = "stored" in facts and not lost
    names, whole = find(ops, pattern, _MOST)
    if checked:
        rows = kinds.compare(ops, keys)
        if behind := int((~rows["in_database"]).sum()):
            raise Refused(
                f"{behind:,} of {count(len(rows), 'key')} of {keys} hold what the database has "
                "not: it would be lost. Bring it there first: caches/sync. Nothing was changed."
            )
    elif not lost:
        _refuse_others(ops, keys, names)
    # Of the texts that they hold; what is no text is small by no means.
    keep = (
        bool(facts.get("keep"))
        and sum(_KEPT_BYTES if each is None else len(each) for each in values(ops, names).values())
        <= _KEPT_BYTES
    )
    stored = kinds.stored_sql(ops, keys) if checked else ""
    steps = [*_steps(names, keep, stored)]
    if not steps:
        return Planned(f"{pattern}: no such key", notes=["There is nothing to take away."])
    summary = f"take away {count(len(names), 'key')} of {pattern}"
    return Planned(summary, steps, [*_notes(names, whole, keep, checked)])


def _refuse_others(ops: Connection, keys: str, names: list[str]) -> None:
    """A pattern that is wider than it was thought of takes what is nowhere else."""
    for kind, facts in ops.target["cache"].get("keys", {}).items():
        if kind != keys and "stored" in facts:
            mine = fnmatch.filter(names, str(facts["pattern"]))
            if mine:
                raise Refused(
                    f"{count(len(mine), 'key')} of these are {kind}, which may not be in the "
                    f"database yet: {mine[0]}. Clear them by that name, keys={kind}, the others by "
                    "narrower patterns. Nothing was changed."
                )


def _steps(names: list[str], keep: bool, stored: str) -> Iterator[Step]:
    for number, some in enumerate(batched(names, _BATCH), 1):
        name = f"batch{number}"
        yield Step(
            f"Take away {count(len(some), 'key')}: {some[0]} …",
            Unlink(some, keep, stored),
            len(some),
            None if stored else 0,
            [Restore(result(f"{name}.kept"))] if keep else None,
            None if stored else Held(some),
            name,
        )


def _notes(names: list[str], whole: bool, keep: bool, checked: bool) -> Iterator[str]:
    yield "A key that comes after this plan is left. UNLINK frees their memory aside: nobody waits."
    if not whole:
        yield f"There are more than {len(names):,}: run it again after this."
    if checked:
        yield "A key that by then holds more than the database has is left, and told."
    if not keep:
        yield "What they hold is not kept: this cannot be undone."
