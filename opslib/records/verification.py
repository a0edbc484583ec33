"""The proof that records are what they were when they were sealed."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from opslib.core import OpsError, UsageError
from opslib.records import copies
from opslib.records.chain.looking import NO_ROW, Look, Problem
from opslib.records.records import Row

_HEAD = re.compile(r"(\d+):([0-9a-f]{64}|)")


class Examined(NamedTuple):
    """What `verify` found; `notes` say what its proof does not cover. `head`: `number:hash`."""

    head: str
    records: int
    problems: list[Problem]
    notes: list[str]


def verify(heads: Sequence[str] = ()) -> list[Problem]:
    """What was altered, added, is missing, or breaks the index's chain; empty when all is as it was
    sealed. `heads`, kept elsewhere (`number:hash`, or files of them), must be in the chain.

    Raises UsageError for what is no head, OpsError when the index is lost or does not answer.
    """
    return examine(heads).problems


def examine(heads: Sequence[str] = ()) -> Examined:
    """`verify`, with what goes with it."""
    from opslib.records import index, interruptions
    from opslib.records.chain import retention

    anchored, unread, told = _anchored()
    wanted = [head for given in [*heads, *anchored] for head in _heads(given)]
    interruptions.close_abandoned()
    names = set(copies.names())  # before the rows: what is added in between has a row by then
    rows, entries, end = index.snapshot()
    chained = sorted((r for r in [*rows, *entries] if r["seq"] is not None), key=lambda r: r["seq"])
    look = Look(names, index.pages_in(entries), {*retention.pruned(entries)})
    problems = [
        *unread,
        *chain(chained, end, wanted),
        *(problem for row in rows for problem in look.at(row)),
        *look.at_summaries(),
        *look.strangers({row["id"] for row in rows}),
        *(
            Problem(each["id"], _AGAIN.format(**each))
            for each in entries
            if each["kind"] == "again"
        ),
    ]
    notes = [*filter(None, map(_note, entries)), *look.notes(), *told]
    if any(problem.problem.endswith(NO_ROW) for problem in problems):
        notes.append(
            "Files without a row: the index was lost or is an older copy (opslib records index "
            "--rebuild enters them), or somebody put them there (look at them, and move them away)."
        )
    return Examined(f"{end[0]}:{end[1]}", len(rows), problems, notes)


def _anchored() -> tuple[list[str], list[Problem], list[str]]:
    """The anchors' heads, where there are any; that they cannot be read; and what is told."""
    from opslib.records.chain import anchors

    if not anchors.place():
        return [], [], []
    try:
        found = anchors.heads()
        [*map(list, map(_heads, found))]
    except OpsError as exc:
        return [], [Problem("(anchor)", f"{exc} So nothing was compared with them.")], []
    newest = max((int(each.partition(":")[0]) for each in found), default=0)
    compared = f"{len(found)} anchors, the newest of number {newest}" if found else "no anchor"
    return found, [], [f"Compared with {compared}, in {anchors.place()}."]


def head() -> str:
    """The end of the chain, `number:hash`, to be kept elsewhere: `verify` checks against it."""
    from opslib.records import index

    number, digest = index.last_seal()
    return f"{number}:{digest}"


def _heads(given: str) -> Iterator[tuple[int, str]]:
    """A head, or those in a file, one a line; what is after # is a comment."""
    lines = [given]
    if not _HEAD.fullmatch(given.strip().lower()):
        try:
            lines = Path(given).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as exc:
            raise UsageError(
                f"{given!r} is neither a head of a chain (<number>:<sha256>, as `opslib records "
                f"head` prints it) nor a file of them: "
                f"{getattr(exc, 'strerror', None) or exc}."
            ) from exc
    said = [text for line in lines if (text := line.partition("#")[0].strip().lower())]
    for text in said:
        found = _HEAD.fullmatch(text)
        if not found or (found[2] == "") != (int(found[1]) == 0):
            raise UsageError(f"{text!r} is no head of a chain: <number>:<sha256>.")
        yield int(found[1]), found[2]
    if not said:
        raise UsageError(f"{given} holds no head of a chain, so nothing was compared.")


def chain(
    chained: list[Row], end: tuple[int, str], heads: Sequence[tuple[int, str]] = ()
) -> Iterator[Problem]:
    """What is wrong with the chain of rows and entries, in their order."""
    from opslib.records import index

    number, previous, broken = 0, "", "the chain is broken before it: "
    for row in chained:
        id = row["id"] or f"({row['kind']})"
        if row["seq"] != number + 1:
            missing = _rows(row["seq"] - number - 1)
            yield Problem(id, f"{broken}{missing} missing from the index")
        elif row["previous"] != previous:
            seen = "it was sealed after a row that is not the one there now"
            yield Problem(id, broken + seen)
        if index.row_hash(row) != row["hash"]:
            yield Problem(id, "its row in the index was altered")
        number, previous = row["seq"], row["hash"]
    last, digest = end
    if last > number:
        missing = _rows(last - number)
        yield Problem("(last)", f"the chain is cut off: {missing} missing at the end of the index")
    elif digest != previous:
        yield Problem("(last)", "the end of the chain is not the last row's hash")
    yield from _gone(chained, heads)


def heads_gone(heads: Sequence[str]) -> list[Problem]:
    """Which heads, kept elsewhere, are not in the chain any more."""
    from opslib.records import index

    wanted = [head for given in heads for head in _heads(given)]
    return list(_gone([*index.rows(), *index.entries()], wanted)) if wanted else []


def _gone(chained: list[Row], heads: Sequence[tuple[int, str]]) -> Iterator[Problem]:
    there = {0: ""} | {row["seq"]: row["hash"] for row in chained}
    for wanted, digest in heads:
        if there.get(wanted) != digest:
            now = f"is {there[wanted]} now" if wanted in there else "is not there"
            yield Problem(
                "(head)",
                f"the chain does not contain {wanted}:{digest}: its number {wanted} {now}. The "
                "index was altered, made again, or replaced by an older copy since it was taken",
            )


def _rows(count: int) -> str:
    return "a row is" if count == 1 else f"{count} rows are"


_AGAIN = (
    "it had been sealed, was found open, and was sealed again at {at} by {who}: what its file said "
    "before is not proved"
)


def _note(entry: Row) -> str | None:
    if entry["kind"] == "rebuilt":
        return (
            f"Index rebuilt at {entry['at']} by {entry['who']}: {entry['said']}. What was before "
            f"is proved only as far as number {entry['seq'] - 1} of the chain, and by heads kept "
            "elsewhere (--head)."
        )
    if entry["kind"] == "late":
        return (
            f"Record {entry['id']} ended at {entry['said']} and was sealed at {entry['at']} by "
            f"{entry['who']}, since its own process was gone; what lies between is not proved."
        )
    if entry["kind"] == "pruned":
        policy, _, ids = entry["said"].partition(": ")
        return (
            f"The files of {len(ids.split())} records were removed at {entry['at']} by "
            f"{entry['who']} ({policy}); what the chain says of them is kept."
        )
    return None
