"""Snapshots of the domain, and indices restored from them."""

import re
from datetime import UTC, datetime

from opslib.core import (
    Connection,
    Findings,
    Frame,
    Plan,
    Planned,
    Question,
    Refused,
    Step,
    UsageError,
    check,
    domains,
    dtypes,
    frame,
    planner,
)
from opslib.core.actions.stores.searches import Search, Serves
from opslib.search import indices
from opslib.search.reindexing import behind, read

SNAPSHOTS = dtypes("""
    snapshot   str
    repository str
    state      str
    started    utc
    indices    str
""")
_GOOD = "SUCCESS"
_SHOWN = 12
_HOURS = 26  # AWS takes one an hour, of old versions one a day
_SAFE = r"[a-z0-9][a-z0-9_.-]{0,200}"


def find_snapshots(ops: Connection) -> Frame:
    """Every snapshot of every repository, newest first; cs-automated… are AWS's own, kept for two
    weeks. Columns: SNAPSHOTS.
    """
    rows = [
        (
            each["snapshot"],
            repository,
            each["state"],
            datetime.fromtimestamp(each["start_time_in_millis"] / 1000, UTC),
            ", ".join(sorted(each["indices"])),
        )
        for repository in domains.ask(ops, "GET", "/_snapshot")
        for each in domains.ask(ops, "GET", f"/_snapshot/{repository}/_all")["snapshots"]
    ]
    found = frame(rows, SNAPSHOTS)
    return found.sort_values("started", ascending=False, kind="stable", ignore_index=True)


@check("Is there a snapshot of today that can be restored?")
def check_snapshots(ops: Connection) -> Findings:
    """Age of the newest good snapshot, and how many failed. Evidence: SNAPSHOTS, the newest."""
    found = find_snapshots(ops)
    good = found[found["state"] == _GOOD]
    asked = Question("newest snapshot", f"good, within {_HOURS} h", "GET _snapshot/…/_all")
    if good.empty:
        seen = f"none of {len(found)} is good" if len(found) else "there is none"
        return Findings(asked.critical(seen), found)
    newest = good.iloc[0]
    hours = (ops.now() - newest["started"]).total_seconds() / 3600
    bad = int((found["state"].isin(["FAILED", "PARTIAL"])).sum())
    seen = f"{newest['snapshot']} of {newest['started']:%Y-%m-%d %H:%M} UTC, {len(good)} good"
    seen += f", {bad} failed" * bool(bad)
    return Findings(asked.judged(hours < _HOURS, seen, otherwise="warn"), found.head(_SHOWN))


@planner
def plan_restore(ops: Connection, index: str, snapshot: str = "latest", name: str = "") -> Planned:
    """Restores an index under another name, beside the present one, which is not touched.

    `name`: empty: the index's, "restored" and the snapshot's day; its own name where it is gone.
    Raises UsageError (no such snapshot, a name that cannot be), Refused (an index of that name is
    there, or the snapshot is not good).
    """
    wanted = str(indices.described(ops, index)["index"])
    found = find_snapshots(ops)
    chosen = found[found["snapshot"] == snapshot]
    if snapshot == "latest":
        chosen = found[found["state"] == _GOOD]
    if chosen.empty:
        raise UsageError(f"No snapshot {snapshot!r} in {ops.where}. See the list of them.")
    row = chosen.iloc[0]
    real = next(iter(behind(ops, wanted)), wanted)
    if real not in str(row["indices"]).split(", "):
        raise UsageError(f"Snapshot {row['snapshot']} holds no {real}; it has {row['indices']}.")
    if row["state"] != _GOOD:
        raise Refused(f"Snapshot {row['snapshot']} is {row['state']}: choose one that is {_GOOD}.")
    name = name or f"{real}-restored-{row['started']:%Y%m%d-%H%M}"
    if not re.fullmatch(_SAFE, name):
        raise UsageError(f"name={name!r}: small letters, digits, - _ . and no space.")
    if behind(ops, name):
        raise Refused(
            f"An index or alias {name} is there already. OpenSearch would refuse, and to delete it "
            "first would leave nothing if the restore fails. Nothing was changed; name another."
        )
    body = {"indices": real, "include_global_state": False, "include_aliases": False}
    body |= {"rename_pattern": f"^{re.escape(real)}$", "rename_replacement": name}
    do = Search("POST", f"/_snapshot/{row['repository']}/{row['snapshot']}/_restore", body)
    undo = [Search("DELETE", f"/{name}")]
    serving = f"/_cluster/health/{name}", "status == 'red' && 'coming' || 'serving'", "serving"
    steps = [
        Step(f"Restore {real} as {name}", do, "absent", name, undo, read(name)),
        Step(
            f"Wait until {name} can be read",
            Serves(*serving),
            None,
            "serving",
            [],
            Search("GET", serving[0], pick=serving[1]),
        ),
    ]
    notes = [
        f"What was written after {row['started']:%Y-%m-%d %H:%M} UTC is not in it, and what was "
        "erased since is in it again: forget it there, too.",
        f"{wanted} stays as it is. What it lacks is put into it by search/reindex, source={name}.",
    ]
    return Planned(f"restore {real} of {row['snapshot']} as {name}", steps, notes)


@check("Is the restored index usable?")
def check_restored(ops: Connection, index: str, name: str) -> Findings:
    """How many documents it holds, beside the present one."""
    here = int(domains.ask(ops, "GET", f"/{name}/_count")["count"])
    asked = Question(f"documents of {name}", "some", "GET _count")
    wanted = str(indices.described(ops, index)["index"])
    seen = f"{here:,}"
    if name != wanted and behind(ops, wanted):
        there = domains.ask(ops, "GET", f"/{wanted}/_count")["count"]
        seen += f"; the present {wanted} has {there:,}"
    return Findings(asked.judged(here > 0, seen))


def name_of_restored(plan: Plan) -> str:
    """The index that a plan of plan_restore makes."""
    return str(plan.steps[0].after)
