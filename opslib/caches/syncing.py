"""What the cache has counted is written to the database."""

import re

from opslib.caches import keys as kinds
from opslib.core import Connection, Json, Planned, Sql, Step, UsageError, count, planner, sql

_NAME = re.compile(r"\\\{(\w+)\\\}")
_MOST = 5_000


@planner
def plan_sync(ops: Connection, keys: str) -> Planned:
    """Write counters of a kind to the database, those that it has not, all in one transaction.

    By `store` of the target's file: a statement whose parameters are the parts of a key as `named`
    says ("usage:{kind}:{user_id}:{day}") and :value. It never makes a number smaller if the
    statement does not. Raises UsageError.
    """
    facts = kinds.described(ops, keys)
    if "store" not in facts or "named" not in facts:
        raise UsageError(
            f"cache.keys.{keys} in parameters/targets/{ops.target.key}.yaml says no `named` and "
            "`store`: how a counter is written is not known. Nothing was changed."
        )
    rows = kinds.compare(ops, keys)
    behind = rows[~rows["in_database"]]
    form = re.compile(_NAME.sub(r"(?P<\1>[^:]+)", re.escape(facts["named"])))
    given, odd = list[Json](), list[str]()
    for key, held in zip(behind["key"], behind["held"], strict=True):
        found = form.fullmatch(key)
        if found and re.fullmatch(r"\d+", held):
            given.append({**found.groupdict(), "value": int(held)})
        else:
            odd.append(key)
    notes = [f"{count(len(odd), 'key')} are left: no counter of that form: {odd[0]}"] if odd else []
    if left := len(given) - _MOST:
        notes += [f"{left:,} more are left: run it again after this."] * (left > 0)
    given = given[:_MOST]
    if wrong := sql.refused(ops, str(facts["store"]), given):
        notes.append(f"{count(len(wrong), 'counter')} the database does not take: {wrong[0]}")
        given = [each for each in given if each not in wrong]
    if not given:
        return Planned(f"{keys}: nothing to write", notes=notes or ["The database has it all."])
    title = f"Write {count(len(given), 'counter')} of {keys} to the database"
    step = Step(title, Sql(str(facts["store"]), given, len(given)))
    notes.append("What the database had before is not kept: this cannot be undone.")
    return Planned(f"write {count(len(given), 'counter')} of {keys}", [step], notes)
