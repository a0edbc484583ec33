"""Users who are held off: for a while by a key of the cache, for good by a row of the database."""

import re
from collections.abc import Iterator
from datetime import timedelta

from opslib.caches import keys
from opslib.core import (
    UTC_TIME,
    Connection,
    Findings,
    Frame,
    Json,
    Planned,
    Question,
    Select,
    Sql,
    Step,
    Unfinished,
    UsageError,
    ask,
    caches,
    check,
    count,
    frame,
    planner,
    quoted,
)
from opslib.core.actions.stores.caches import Command
from opslib.core.reads.stores.caches import MOST, raw

ENDLESS = "throttled-without-end"
THROTTLED = {"user": "str", "until": UTC_TIME, "left_minutes": "float64"}
_LONGEST = timedelta(days=30)


def _facts(ops: Connection) -> Json:
    facts: Json = ops.target["cache"].get("throttle", {})
    if not facts:
        raise UsageError(
            f"cache.throttle is not in parameters/targets/{ops.target.key}.yaml: which key holds a "
            "user off is not known. Nothing was changed."
        )
    return facts


def _key(facts: Json, user: str) -> str:
    if not re.fullmatch(r"[\w.@+-]{1,120}", user):
        raise UsageError(f"user={user!r} is no id of a user. Nothing was changed.")
    return str(facts["key"]).replace("{user}", user)


def list_throttled(ops: Connection) -> Frame:
    """Who is throttled, and until when (none: for ever). SCAN, TTL. THROTTLED."""
    import pandas as pd

    before, _, after = str(_facts(ops)["key"]).partition("{user}")
    found = keys.find_keys(ops, f"{before}*{after}", MOST)
    found["user"] = found["key"].str[len(before) : -len(after) or None]
    found["left_minutes"] = left = found["left_seconds"].astype("float64") / 60
    found["until"] = ops.now() + pd.to_timedelta(left, unit="min")
    rows = frame(found[[*THROTTLED]].to_dict("records"), THROTTLED)
    return rows.sort_values("until", ignore_index=True)


@check("Who is throttled, and does each end by itself?")
def check_throttled(ops: Connection) -> Findings:
    """A throttle without an end is a warning: nothing ever lifts it. Evidence: THROTTLED."""
    if "throttle" not in ops.target["cache"]:
        return Findings(note="No cache.throttle is described.")
    rows = list_throttled(ops)
    endless = rows[rows["until"].isna()]
    asked = Question("users who are throttled", "each throttle has an end", "SCAN, TTL")
    if endless.empty:
        return Findings(asked.ok(count(len(rows), "user"), cause=ENDLESS), rows)
    said = (
        f"{len(endless)} of {count(len(rows), 'user')} for ever: {', '.join(endless['user'][:3])}"
    )
    return Findings(asked.warn(said, cause=ENDLESS, next="caches/throttle"), rows)


@planner
def plan_throttle(ops: Connection, user: str, minutes: int = 60, ban: bool = False) -> Planned:
    """Hold a user off for a while; `ban`: and for good, by the row that the target's file names.

    Raises UsageError (no id, no such row, too long).
    """
    facts = _facts(ops)
    key, seconds = _key(facts, user), minutes * 60
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise UsageError(f"minutes={minutes}: from 1 to {_LONGEST / timedelta(minutes=1):.0f}.")
    held = Command("GET", key).perform(ops)
    ends = _ends(ops, key)
    set_it = Command("SET", key, ("1", "EX", str(seconds)))
    undo = [Command("SET", key, (str(held), *ends))] if held is not None else []
    undo = undo or [Command("UNLINK", key)]
    title = f"Throttle {user} for {count(minutes, 'minute')}"
    steps = [Step(title, set_it, held, "1", undo, Command("GET", key))]
    notes = ["The throttle ends by itself; the ban does not."] if ban else ["It ends by itself."]
    try:
        steps += [*_row(ops, facts, user, False)][:ban]
    except Unfinished as exc:  # a user may be held off who floods the database
        if ban:
            raise
        notes.append(f"Whether there is such a user is not known: {exc}")
    return Planned(f"throttle {user}" + " and ban" * ban, steps, notes)


@planner
def plan_lift(ops: Connection, user: str) -> Planned:
    """Lift what holds a user off: the throttle, and the ban where the target's file names a row."""
    facts = _facts(ops)
    key = _key(facts, user)
    held = Command("GET", key).perform(ops)
    steps = []
    if held is not None:
        undo = [Command("SET", key, (str(held), *_ends(ops, key)))]
        do, look = Command("UNLINK", key), Command("GET", key)
        steps.append(Step(f"Lift the throttle of {user}", do, held, None, undo, look))
    steps += _row(ops, facts, user, True)
    return Planned(f"lift what holds {user} off", steps)


def _ends(ops: Connection, key: str) -> tuple[str, ...]:
    with caches.session(ops, f"EXPIRETIME {key}") as client:
        ends = int(client.expiretime(raw(key)))
    return ("EXAT", str(ends)) if ends >= 0 else ()


def _row(ops: Connection, facts: Json, user: str, active: bool) -> Iterator[Step]:
    """The user's row, where it is not so yet."""
    if "ban" not in facts:
        return
    table, id, flag = (quoted(facts["ban"][name]) for name in ("table", "id", "active"))
    read = f"SELECT {flag} FROM {table} WHERE {id}::text = :user"
    found = ask(ops, read, {"user": user})
    if len(found) != 1:
        raise UsageError(
            f"{len(found)} rows of {facts['ban']['table']} have the id {user!r}. Nothing "
            "was changed. Find it: databases/query."
        )
    if bool(found.iloc[0, 0]) != active:
        write = f"UPDATE {table} SET {flag} = :active WHERE {id}::text = :user"
        do, undo = (Sql(write, {"active": to, "user": user}, 1) for to in (active, not active))
        title = f"{'Lift the ban of' if active else 'Ban'} {user}"
        yield Step(title, do, not active, active, [undo], Select(read, user=user))
