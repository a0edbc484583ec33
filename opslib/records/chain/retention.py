"""Records that are kept long enough: their files go, their rows stay in the chain, which says so.

So `verify` still proves the whole chain, and what somebody attached elsewhere is still known.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from opslib.core import Json, OpsError, Refused, decoded, paths, removal
from opslib.records import copies, index, records
from opslib.records.chain import database
from opslib.records.records import ID, Record, Row
from opslib.records.texts import words

KIND = "pruned"
LEAST = timedelta(days=7)  # a preview, an approval, a change to undo may be needed until then
_OURS = (KIND, "rebuilt", "late", "again", "page", "summary", "note")


class Pruning(NamedTuple):
    """`go`: the records whose files are not kept any longer; `spared`: older ones that are, by id,
    and why; `files`: how many go; `left`: files that are not what was sealed, so nobody touches
    them.
    """

    go: list[Record]
    spared: Json
    files: int
    left: list[str]


def prune(older: timedelta, keep: int = 1, *, apply: bool = False) -> Pruning:
    """What a policy removes; with `apply`, it is chained and removed. Raises Refused, OpsError.

    Of each procedure on each target the newest `keep` stay, whatever their age.
    """
    if older < LEAST:
        raise Refused(
            f"Records are kept for {LEAST.days} days at least: a preview, an approval or what "
            "undoes a change may be needed until then. Nothing was removed."
        )
    rows, entries, _ = index.snapshot()
    end = datetime.now(UTC) - older
    old = [row for row in rows if row["seq"] is not None and Record.of(row).started < end]
    gone = set(pruned(entries))
    kept = _Kept(rows, entries, keep)
    spared, go = {}, []
    for row in old:
        if row["id"] in gone:
            continue
        if why := kept.why(row):
            spared[row["id"]] = why
        else:
            go.append(row)
    pages = index.pages_in(entries)
    left: list[str] = []
    names = set(copies.names())
    unfinished = [row for row in rows if row["id"] in gone and row["path"] in names]
    mine = {row["id"]: [*_files(row, pages, names, left)] for row in [*go, *unfinished]}
    go = [row for row in go if row["path"] not in left]  # `verify` has something to say of it
    if apply and (go or unfinished):
        _forget(go, f"older than {older.days} days, the newest {keep} of each kept")
        for row in [*go, *unfinished]:
            for file in mine[row["id"]]:
                copies.remove(file)
            removal.remove_empty((paths.records() / row["path"]).with_suffix(".spill"))
    going = [Record.of(row) for row in go]
    return Pruning(going, spared, sum(len(mine[each.id]) for each in going), left)


def pruned(entries: Sequence[Row]) -> Iterator[str]:
    """The ids of the records whose files were removed, by what the chain says."""
    for each in entries:
        if each["kind"] == KIND:
            yield from ID.findall(each["said"])


class _Kept:
    """Why a record is kept, however old it is."""

    def __init__(self, rows: Sequence[Row], entries: Sequence[Row], keep: int) -> None:
        told = [each for each in entries if each["kind"] not in _OURS]
        self._named = {id for each in told for id in ID.findall(f"{each['id']} {each['said']}")}
        self._incidents = [*_incidents(each for each in told if each["kind"] == "incident")]
        self._newest: set[str] = set()
        seen: Counter[tuple[str, str]] = Counter()
        for row in sorted(rows, key=lambda row: str(row["started"]), reverse=True):
            seen[row["name"], row["target"]] += 1
            if seen[row["name"], row["target"]] <= keep:
                self._newest.add(row["id"])

    def why(self, row: Row) -> str:
        """Empty: nothing keeps it."""
        if row["id"] in self._named:
            return "an incident, or another entry of the chain, names it"
        for target, start, end in self._incidents:
            if row["target"] == target and start <= Record.of(row).started <= end:
                return "it ran while an incident was open on its target"
        if row["id"] in self._newest:
            return "one of the newest of its procedure on its target"
        with contextlib.suppress(OSError, ValueError, OpsError):
            if row["plan"] and (said := copies.said(row["path"])).get("sitting"):
                return "a sitting with changes" if said.get("steps") else ""
        return ""


def _incidents(entries: Iterator[Row]) -> Iterator[tuple[str, datetime, datetime]]:
    """Target, start and end of each; one that is open has not ended yet."""
    of: dict[str, list[Row]] = {}
    for each in entries:
        of.setdefault(each["id"], []).append(each)
    for said in of.values():
        events = [decoded(each["said"], {}) for each in said]
        told = [each["at"] for each in said] + [e["happened"] for e in events if "happened" in e]
        times = [datetime.fromisoformat(each) for each in told]
        ends = [e["event"] for e in events if e.get("event") in ("end", "reopen")]
        until = max(times) if ends[-1:] == ["end"] else datetime.max.replace(tzinfo=UTC)
        for target in {str(event["target"]) for event in events if "target" in event}:
            yield target, min(times), until


def _files(row: Row, pages: Json, names: set[str], left: list[str]) -> Iterator[Path]:
    """The files of a record that are what was sealed; others go to `left`."""
    name = records.place(row["id"]).as_posix()
    page = name.removesuffix(".ipynb") + ".html"
    sealed = {page: pages.get(page, row[database.PAGE])}
    with contextlib.suppress(OSError, ValueError, OpsError):
        for each in copies.said(name).get("spilled") or ():
            sealed[f"{Path(name).parent.as_posix()}/{each['file']}"] = each["sha256"]
    sealed[name] = row["sha256"]  # the last to go: it says what lies beside it
    for each, digest in sealed.items():
        if each not in names:
            continue
        if copies.sha256(paths.records() / each) == digest:
            yield paths.records() / each
        else:
            left.append(each)


def _forget(rows: Sequence[Row], policy: str) -> None:
    """Chain that they are not kept any longer, before the first file goes."""
    with database.transaction():
        if rows:
            said = f"{policy}: {' '.join(row['id'] for row in rows)}"
            index.enter(KIND, said=said)
        for row in rows:
            words.forget(row["id"])
