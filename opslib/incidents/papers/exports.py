"""One zip of an incident that opens offline, and can be verified by somebody who has nothing else.

Everything in it is masked once more. People are hidden on request; what was changed by either is
said, since it is no longer what was sealed.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from opslib.core import Json, OpsError, paths, redaction
from opslib.core.waiting import under_way
from opslib.incidents import incidents, timelines
from opslib.incidents.incidents import Incident
from opslib.incidents.papers import documents, indexes, pictures
from opslib.incidents.papers.people import Hidden
from opslib.incidents.timelines import Timeline
from opslib.records import copies, files, index, reading
from opslib.records.chain import database

_TEXT = (".html", ".ipynb", ".md", ".json", ".csv", ".txt")
_NAMED = (("approval", "by"), ("approval", "second"), ("approved", "by"), ("plan", "maker"))
_PLACE = Path(__file__).parent / "exported"


class Export(NamedTuple):
    """`left_out`: what is not in it, and why."""

    files: int
    sha256: str
    left_out: list[str]


def write(incident: Incident, path: Path, *, hide: bool = False) -> Export:
    """Write the zip, and chain its hash to the records. Raises OpsError: it cannot be written."""
    made = _Made(incident, hide)
    content = made.zipped()
    digest = hashlib.sha256(content).hexdigest()
    try:
        files.write_atomically(path, content)
    except OSError as exc:
        raise OpsError(f"{path} cannot be written: {files.reason(exc)}. Nothing is there.") from exc
    incidents.write("exported", incident.id, ended_too=True, sha256=digest, people=not hide)
    return Export(len(made.files), digest, made.left_out)


class _Made:
    """The files by their names in the zip."""

    def __init__(self, incident: Incident, hide: bool) -> None:
        tied = incidents.tied(incident)
        self.incident, self._records = incident, [r for r in tied if r.ended]
        later = "it still runs, export again when it has ended"
        self.left_out = [f"record {r.id}: {later}" for r in tied if not r.ended]
        self._place = f"records/{documents.FOLDER}/{incident.id}"
        self.files: dict[str, bytes] = {}
        made = timelines.timeline(incident)
        if made.looked and made.looked.id not in {r.id for r in self._records}:
            self._records.append(made.looked)
        self._hidden = Hidden(self._people(made)) if hide else None
        self._put_records()
        self._put_told(made)
        self._put_proofs()

    def zipped(self) -> bytes:
        """The same content makes the same bytes: no time, no order of a disk is in it."""
        out = BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in sorted(self.files):
                entry = zipfile.ZipInfo(f"{self.incident.id}/{name}", (1980, 1, 1, 0, 0, 0))
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                zipped.writestr(entry, self.files[name])
        return out.getvalue()

    def _people(self, made: Timeline) -> Iterator[str]:
        """Everybody who is named in a record, an event or a row."""
        yield from (event.who for event in self.incident.events)
        yield from (row.by for row in made.rows if not row.by.startswith("role "))
        for record in self._records:
            of = reading.said(record)
            yield record.who
            yield str(record.arn or "").rpartition("/")[2]
            for part, name in _NAMED:
                yield str((of.get(part) or {}).get(name) or "")

    def _put(self, name: str, content: bytes) -> bool:
        """Masked, and with people hidden; whether it is as it was."""
        was = content
        if name.endswith(_TEXT):
            text = redaction.mask(content.decode(errors="backslashreplace"))
            content = (self._hidden.hide(text) if self._hidden else text).encode()
        self.files[name] = content
        return content == was

    def _put_records(self) -> None:
        self._sealed: list[Json] = []
        with under_way() as tell:  # half a second each
            for number, record in enumerate(self._records, 1):
                tell(f"masking record {number} of {len(self._records)}")
                same = [self._put_file(path) for path in copies.files_of(record.path)]
                self._sealed.append({"id": record.id, "as_sealed": all(same)})

    def _put_file(self, path: Path) -> bool:
        name = path.relative_to(paths.records()).as_posix()
        try:
            copies.fetch_missing(path)
            return self._put(f"records/{name}", path.read_bytes())
        except (OSError, OpsError) as exc:
            self.left_out.append(f"{name}: {files.reason(exc)}")
            return False

    def _put_told(self, made: Timeline) -> None:
        events = [event.as_dict() for event in self.incident.events]
        self._put("timeline.json", _json(made.as_dict(self.incident)))
        self._put("timeline.csv", timelines.as_csv(made.rows).encode(errors="backslashreplace"))
        self._put("events.json", _json(events))
        markdown = ""
        for name in ("post-mortem.ipynb", "post-mortem.md"):
            path = documents.folder(self.incident.id) / name
            if path.is_file():
                self._put(f"{self._place}/{name}", path.read_bytes())
                markdown = path.read_text(encoding="utf-8", errors="replace")
            else:
                self.left_out.append(f"{name}: not made yet (opslib incident post-mortem)")
        drawn = self._put_pictures(made)
        page = indexes.page(self.incident, made, self._records, markdown, self.left_out, *drawn)
        self._put("index.html", page.encode(errors="backslashreplace"))

    def _put_pictures(self, made: Timeline) -> tuple[dict[str, bytes], str]:
        """Those that the post-mortem shows, drawn again where people are hidden; and where their
        values are.
        """
        folder = documents.folder(self.incident.id)
        files = {path.name: path.read_bytes() for path in sorted(folder.glob("metrics*"))}
        if self._hidden and files:
            again = pictures.pictures(self.incident, made, self._hidden.hide)
            files = {each.name: each.png for each in again.drawn}
            files |= {pictures.TABLE: again.table.encode()}
        for name, content in files.items():
            self._put(f"{self._place}/{name}", content)
        values = f"{self._place}/{pictures.TABLE}" if files.pop(pictures.TABLE, b"") else ""
        return files, values

    def _put_proofs(self) -> None:
        """The rows of the chain as they are sealed, the head, the manifest and how to verify."""
        ids, events = {r.id for r in self._records}, {e.number for e in self.incident.events}
        rows, entries, head = index.snapshot()
        chain: Json = {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "head": f"{head[0]}:{head[1]}",
            "columns": [*database.SEALED],
            "entry_columns": [*database.ENTRY],
            "rows": [_sealed(row) for row in rows if row["id"] in ids and row["seq"] is not None],
            "entries": [entry for entry in entries if entry["seq"] in events],
            "files": self._sealed,
            "people_hidden": self._hidden is not None,
        }
        self._put("chain.json", _json(chain))
        for path in _PLACE.glob("*.txt"):
            self.files[path.name.replace(".py.txt", ".py")] = path.read_bytes()
        lines = [
            f"{hashlib.sha256(content).hexdigest()}  {name}"
            for name, content in sorted(self.files.items())
        ]
        self.files["MANIFEST.sha256"] = ("\n".join(lines) + "\n").encode()


def _sealed(row: Json) -> Json:
    names = (*database.SEALED, database.PAGE, "hash")
    return {name: row.get(name) for name in names}


def _json(of: object) -> bytes:
    return json.dumps(of, indent=1, ensure_ascii=False, default=str).encode(
        errors="backslashreplace"
    )
