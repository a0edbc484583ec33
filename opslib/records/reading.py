"""Records found again: listed, by id, and what their files say."""

import json
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from opslib.core import Json, OpsError, Refused, UsageError, unknown_name
from opslib.records.records import OUTCOMES, RUNNING, Record


def list_records(
    target: str | Collection[str] | None = None,
    since: datetime | None = None,
    outcome: str | None = None,
    most: int | None = None,
) -> list[Record]:
    """The records, newest first, or the `most` newest. A run whose process is gone is closed as
    interrupted first.
    """
    from opslib.records import index, interruptions

    if outcome is not None and outcome not in (*OUTCOMES, RUNNING):
        raise unknown_name("outcome", outcome, (*OUTCOMES, RUNNING))
    interruptions.close_abandoned()
    start = f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" if since else ""
    found = map(Record.of, reversed(index.rows(start, most=most, target=target, outcome=outcome)))
    return [record for record in found if since is None or record.started >= since]


def unlisted() -> list[str]:
    """The files of ended runs that have no row; only `verify` looks for them in s3."""
    from opslib.records import copies, index

    if copies.base():
        return []
    listed = index.ids()
    new = [name for name in copies.records() if Path(name).stem not in listed]
    return [name for name in new if copies.is_ended(name)]


def find(id: str) -> Record:
    """The record of that id, or of its only continuation.

    Raises UsageError that offers the nearest.
    """
    from opslib.records import index, interruptions

    interruptions.close_abandoned()
    hits = index.rows(begins=id) if id else []
    if len(hits) > 1:
        raise UsageError(
            f"Record {id!r} is one of {len(hits)}: {', '.join(row['id'] for row in hits[:5])} …"
        )
    if not hits:
        known = [row["id"] for row in index.rows()]
        raise unknown_name("record", id, known, " (list them: opslib records)")
    return Record.of(hits[0])


def details(record: Record) -> Json:
    """What the record's file says of its run: calls, findings, plan, steps, versions.

    Raises OpsError.
    """
    from opslib.records import copies, index
    from opslib.records.chain import late_notes, retention

    copies.fetch_missing(record.path)
    try:
        notebook = json.loads(record.path.read_text(encoding="utf-8"))
        said = dict(notebook["metadata"]["opslib"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        if record.id in retention.pruned(index.entries()):
            raise UsageError(
                f"The file of record {record.id} is not kept any longer: opslib records prune "
                "removed it. A copy that somebody kept can be checked: opslib records verify FILE."
            ) from exc
        raise UsageError(
            f"The file of record {record.id} cannot be read: "
            f"{getattr(exc, 'strerror', None) or exc}. Look: opslib records verify"
        ) from exc
    if added := late_notes.of(record.id):
        said["notes"] = [*(said.get("notes") or ()), *added]
    return said


def said(record: Record) -> Json:
    """`details`; nothing of a file that cannot be read: its row still stands."""
    try:
        return details(record)
    except OpsError:
        return {}


def sealed(record: Record) -> Json:
    """`details` of a record by which something is done. Raises Refused: it is not as sealed."""
    from opslib.records import copies, files, index

    [row] = index.rows(id=record.id)
    was = row["hash"]  # which the next one in the chain holds, or its head
    held = index.rows(previous=was) or index.entries(previous=was) or was == index.last_seal()[1]
    try:
        copies.fetch_missing(record.path)
        same = files.sha256(record.path) == copies.sha256(record.path) == row["sha256"]
    except OSError as exc:
        raise Refused(f"The file of record {record.id} cannot be read: {exc}.") from exc
    if not (same and held) or index.row_hash(row) != was:
        raise Refused(
            f"Record {record.id} was altered, so nothing is done by it: opslib records verify."
        )
    return details(record)
