"""The index made again from the files of the records, when it was lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib.core import Json, OpsError, count, paths, removal
from opslib.records import copies, index, records, sealing
from opslib.records.chain import beside, database
from opslib.records.facts import moment
from opslib.records.records import Row
from opslib.records.texts import words

_ELSEWHERE = "(rebuilt)"  # the host of a run of which we do not know whether it is still alive


@dataclass(frozen=True)
class Rebuilt:
    """What was done. `running`: ids of runs that had not ended, closed when they give no sign of
    life; `left`: files that were not entered, and why; `doubts`: entered, but look at them.
    """

    at: str
    entered: list[str]
    running: list[str]
    left: dict[str, str]
    doubts: dict[str, str]
    set_aside: str  # what the file of a damaged index is called now
    head_before: str  # which was not the last row, so it was put back; empty: it was
    searchable: int  # records that can be searched now, and could not be before
    events: int  # of incidents, that were entered from their files

    @property
    def changed(self) -> bool:
        return bool(self.entered or self.running or self.head_before or self.events)


def rebuild() -> Rebuilt:
    """Enter every record that has no row, from its file, in the order in which they ended; and
    every event of an incident.

    The chain says that this was done. An index that cannot be read is set aside, never removed.
    Raises OpsError.
    """
    with _alone():
        aside = _set_aside_when_damaged()
        names = copies.names()
        with database.transaction(may_be_lost=True):
            back = index.put_head_back()
            found, left = _read(index.ids())
            ended = sorted((f for f in found if f["ended"]), key=lambda f: (f["ended"], f["id"]))
            running = [facts for facts in found if not facts["ended"]]
            doubts = {facts["id"]: why for facts in ended if (why := _doubt(facts["id"], names))}
            events = beside.kept(beside.digests(index.entries()))
            left, doubts = left | events.left, doubts | events.doubts
            told = _told(ended, doubts, back, len(events.entries))
            if told:
                index.enter("rebuilt", said=told)
            for facts in ended:
                index.seal(_row(facts, names))
            for event in events.entries:
                was = {name: event[name] for name in ("at", "who")}
                kind, id, said = event["kind"], event["id"], event["said"]
                index.enter(kind, id, said=said, **was)
            for facts in running:
                index.insert(records.row(facts) | _lease())
            known = index.pages_in(index.entries())
            for name in names if ended else ():
                if name.endswith("-summary.html") and name not in known:
                    digest = copies.sha256(paths.records() / name)
                    index.enter("summary", sha256=digest, said=name)
    ids = [facts["id"] for facts in ended], [facts["id"] for facts in running]
    return Rebuilt(moment(), *ids, left, doubts, aside, back, words.fill(), len(events.entries))


def _read(known: set[str]) -> tuple[list[Json], dict[str, str]]:
    """The facts of records without a row; the names of files that have none, and why."""
    found, left = [], {}
    for name in copies.records():
        if Path(name).stem in known:
            continue
        try:
            said = {"ended": None} | copies.said(name)
            if records.place(str(said["id"])).as_posix() != name:
                raise ValueError(f"it is the file of record {said['id']}")
            outcomes = records.OUTCOMES if said["ended"] else (records.RUNNING,)
            if said["outcome"] not in outcomes:
                raise ValueError(f"its outcome is {said['outcome']!r}")
            records.Record.of(records.row(said))
            found.append(said)
        except KeyError as exc:
            left[name] = f"it does not say its {exc}"
        except (OSError, ValueError, TypeError, OpsError) as exc:
            left[name] = str(exc)
    return found, left


def _row(facts: Json, names: list[str]) -> Row:
    file = records.place(facts["id"])
    page = file.with_suffix(".html")
    there = page.as_posix() in names
    return records.row(facts) | {
        "sha256": copies.sha256(paths.records() / file),
        "page": copies.sha256(paths.records() / page) if there else "",
    }


def _doubt(id: str, names: list[str]) -> str:
    """A page is a witness: it shows the hash that its record had when it was sealed."""
    file = records.place(id)
    page = file.with_suffix(".html")
    if page.as_posix() not in names:
        return "its page is not there"
    claimed = sealing.claim(copies.content(paths.records() / page))
    if claimed and (claimed[0], claimed[2]) != (id, copies.sha256(paths.records() / file)):
        return "its page was made of another file, so one of the two was altered"
    return ""


def _told(ended: list[Json], doubts: dict[str, str], back: str, events: int) -> str:
    """Empty: nothing was done."""
    if not (ended or back or events):
        return ""
    told = [f"the head of the chain was {back} and is its last row again"] * bool(back)
    told += [f"{len(ended)} records were entered from their files"] * bool(ended)
    told += [f"{count(events, 'event')} of incidents, too"] * bool(events)
    told += [f"{id}: {why}" for id, why in doubts.items()]
    return ", ".join(told)


def _lease() -> Row:
    """Its own process renews this; when none does, the run is closed as interrupted."""
    return {"host": _ELSEWHERE, "pid": None, "pid_started": None, "heartbeat": moment()}


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time on this disk; in another database the chain's head is locked."""
    file = database.file()
    if file is None:
        yield
        return
    import fcntl

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock: Any = file.with_name(f"{file.name}.lock").open("a")
    except OSError as exc:
        raise OpsError(f"The index cannot be made in {file.parent}: {exc}.") from exc
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _set_aside_when_damaged() -> str:
    """The name that the file has now; empty when it is whole, or not there. Raises OpsError."""
    file = database.file()
    if file is None or not file.is_file():
        return ""
    try:
        with closing(
            sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=30)
        ) as found:
            whole = found.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError as exc:  # locked, or may not be read: it is not lost
        raise OpsError(
            f"The index at {file} cannot be opened: {exc}. Nothing was changed. "
            "Is another process at work on it?"
        ) from exc
    except sqlite3.DatabaseError:
        whole = False
    if whole:
        return ""
    aside = f"{file.name}.lost-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for end in ("-journal", "-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            removal.put(file.with_name(file.name + end), file.with_name(aside + end))
    return aside
