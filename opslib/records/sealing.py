"""The file of a record: saved now and then while its run is under way, sealed at its end, its page.

It is masked and whole each time.
"""

import contextlib
import hashlib
import json
import re
import secrets
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib.core import Json, OpsError, paths, redaction, removal
from opslib.pages.pages import render
from opslib.records import copies, files, index, outcomes, records
from opslib.records.facts import ended, lease, of_the_code, uptime
from opslib.records.outcomes import Ending, Event
from opslib.records.outputs import Outputs
from opslib.records.records import Record
from opslib.records.texts import words

_EVERY_SECONDS = 1.0
_QUICK_SECONDS = 0.1
_CLAIM = re.compile(r'<meta name="opslib-seal" content="(\S+) (\d+) ([0-9a-f]{64})">')
_SHARE = 0.01  # of the time may go into saving: of each of the runs at a time


class Draft:
    """A notebook and its facts in a file, what is spilled beside it, its journal and its ledger.

    The last two go when the record is whole.
    """

    def __init__(self, notebook: Any, facts: Json) -> None:
        self.notebook, self.facts = notebook, facts
        self.ticks = uptime()  # when it was begun
        redaction.register_typed(facts.get("parameters") or {})
        self.path = paths.records() / records.place(facts["id"])
        self.journal = self.path.with_suffix(".journal.jsonl")
        self.ledger = self.path.with_suffix(".steps.jsonl")  # of a change, by who applies it
        self.reserve = files.Reserve(self.path)
        self.unkept = False  # could its end not be written?
        self.outputs = Outputs(self.path.with_suffix(".spill"))
        self.saved_at = self._next = self._took = 0.0
        self._changed = False

    def masked(self, **more: Any) -> Any:
        """The notebook as it may be kept, with the facts in its metadata."""
        import nbformat

        metadata = {**self.notebook["metadata"], "opslib": self.facts | more}
        return nbformat.from_dict(redaction.mask_tree({**self.notebook, "metadata": metadata}))

    def begin(self) -> Any:
        """Make the file; the masked notebook. Raises OpsError when records cannot be kept."""
        files.require_writable(self.path.parent)
        masked = self.masked()
        try:
            self._put(masked)
            self.reserve.hold()
            copies.push(self.path)
        except OSError as exc:
            self.discard()
            raise files.unwritable(self.path.parent, exc) from exc
        return masked

    def save_soon(self, told: Sequence[Event], *, changed: bool, at_once: bool = False) -> bool:
        """Save what has changed, when the last save is long enough ago; whether something waits.

        `at_once`: now, unless saving takes long. When it cannot be saved, the run goes on.
        """
        self._changed |= changed
        started = time.monotonic()
        due = started >= self._next or (at_once and self._took < _QUICK_SECONDS)
        if not self._changed or not due:
            return self._changed
        with contextlib.suppress(OSError):  # perhaps there is room again at the end
            self.outputs.save()
            self._put(self.masked(**outcomes.add_up(told)))
            self._changed = False
        ended = time.monotonic()
        self._took = ended - started
        self._next = ended + max(_EVERY_SECONDS, self._took / _SHARE)
        return self._changed

    def conclude(self, ending: Ending, told: Sequence[Event], here: Collection[str] = ()) -> None:
        """What its run came to, by what was told and written down. Nobody is sent on to `here`."""
        said = outcomes.conclude(ending, outcomes.with_ledger(told, self.ledger))
        said["next"] = [name for name in said["next"] if name not in here]
        self.facts |= said | {"ended": ended(self.facts["started"], self.ticks)}

    def finish(self) -> OSError | None:
        """The last save, on the disk when this returns; what went wrong.

        The notebook is now masked.

        When there is no room for outputs, what was found and done is kept without them, and the
        file says so; when there is no room for that either, the file stays as it was last saved.
        """
        trouble = None
        try:
            self.outputs.save(everything=True)
        except OSError as exc:
            trouble = exc
            self.outputs.name_lost(self.notebook["cells"], files.reason(exc))
        with contextlib.suppress(OSError):
            self.facts["spilled"] = self.outputs.listed()
        self.notebook = self.masked()
        self.reserve.release()
        try:
            self._put(self.notebook, durable=True)
        except OSError as exc:
            trouble = exc
            self.facts["incomplete"] = f"Outputs were not kept: {files.reason(exc)}."
            bare = self.masked()
            for cell in bare["cells"]:
                if "outputs" in cell:
                    cell["outputs"] = []
            try:
                self._put(bare, durable=True)
            except OSError:
                self.unkept = True
                # Where a whole file has no room a line may have, for who closes this run later.
                said = {name: self.facts[name] for name in ("outcome", "verdict", "ended")}
                outcomes.write_down(self.journal, {"event": "ended", **said})
        return trouble

    def discard(self) -> None:
        """Nothing was run: leave no file."""
        self.reserve.release()
        with contextlib.suppress(OSError):
            for file in (self.path, self.journal, self.ledger):
                removal.remove_file(file)

    def _put(self, masked: Any, *, durable: bool = False) -> None:
        import nbformat

        # Whole it is made up as notebooks are, which takes five times as long: for people's tools.
        write = nbformat.v4.nbjson.writes if durable else json.dumps
        text = write(masked, ensure_ascii=False)
        content = f"{text}\n".encode(errors="backslashreplace")
        files.write_atomically(self.path, content, durable=durable)
        self.saved_at = time.time()


def opened(notebook: Any, known: Json) -> Draft:
    """The draft of a run that begins, with its row. Raises OpsError: then nothing of it is kept."""
    draft = Draft(notebook, known | of_the_code())
    draft.begin()
    try:
        index.insert(records.row(draft.facts) | lease())
    except OpsError:
        draft.discard()
        raise
    return draft


def read(path: Path) -> Any:
    """The notebook in a record's file. Raises OSError, ValueError."""
    import nbformat

    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def keep(draft: Draft) -> str:
    """Write, seal, make the page; what went wrong with what was kept.

    Its notebook is now masked.
    """
    taken_for_dead = False
    with contextlib.suppress(OpsError):
        taken_for_dead = index.is_sealed(draft.facts["id"])
    if taken_for_dead:  # its sealed file is left as it is
        draft.notebook = draft.masked()
        return (
            f"Record {draft.facts['id']} was closed as interrupted while this run went on, "
            "so its end is not in it."
        )
    failure = draft.finish()
    trouble = f"its record could not be kept whole: {files.reason(failure)}." if failure else ""
    try:
        if draft.unkept:  # a seal would say that this is all; it is closed when there is room
            return _told(draft, trouble)
        seal(draft, read(draft.path) if failure else draft.notebook)
    except (OpsError, OSError, ValueError) as exc:
        trouble = f"its record could not be sealed: {exc}"
        with contextlib.suppress(OSError):  # a page can be made again: opslib records page
            files.write_atomically(draft.path.with_suffix(".html"), _page(draft.notebook))
    try:
        copies.push(draft.path)
    except OpsError as exc:
        trouble = f"its record is on this disk only: {exc}"
    return trouble and _told(draft, trouble)


def seal(draft: Draft, notebook: Any) -> None:
    """Chain the row of a finished file to those before, with its page. Raises OpsError, OSError.

    The page shows the file's hash and its number in the chain, so it is made in this order: file,
    number, page, seal.
    """
    digest = files.sha256(draft.path)
    blank = secrets.token_hex(16)  # in the number's place: rendering keeps nobody waiting
    text = _page(notebook, {"id": draft.facts["id"], "number": blank, "sha256": digest})

    def page(number: int) -> str:
        content = text.replace(blank.encode(), str(number).encode())
        try:
            files.write_atomically(draft.path.with_suffix(".html"), content)
        except OSError:
            return ""  # sealed without a page, which can be made: opslib records page
        return hashlib.sha256(content).hexdigest()

    index.seal(records.row(draft.facts) | {"sha256": digest}, page)
    with contextlib.suppress(OpsError):  # it can be entered later: opslib records index --rebuild
        words.enter(draft.facts["id"], notebook["metadata"]["opslib"])
    draft.reserve.release()
    for file in (draft.journal, draft.ledger):
        removal.remove_file(file)


def _told(draft: Draft, trouble: str) -> str:
    facts = draft.facts
    without = ", without outputs" if facts.get("incomplete") else ""
    saved = datetime.fromtimestamp(draft.saved_at, UTC)
    return (
        f"The run ended ({facts['outcome']}: {facts['verdict']}), but {trouble} "
        f"Kept: {draft.path}, as of {saved:%H:%M:%S} UTC{without}. "
        "Free some space before the next run"
        f"{', which completes this record' if draft.unkept else ''}."
    )


def _page(notebook: Any, seal: Json | None = None) -> bytes:
    return render(notebook, seal).encode(errors="backslashreplace")


def claim(page: bytes) -> tuple[str, int, str] | None:
    """What a page says of its seal: the record's id, number in the chain and sha256."""
    found = _CLAIM.search(page[:4000].decode(errors="replace"))
    return (found[1], int(found[2]), found[3]) if found else None


def make(record: Record) -> Path:
    """Make the page of a record again; one that is not as it was sealed is chained as made again.

    Raises OpsError, OSError.
    """
    copies.fetch_missing(record.path)
    [row] = index.rows(id=record.id)
    seal = {"id": record.id, "number": row["seq"], "sha256": row["sha256"]} if row["seq"] else None
    if seal and not seal["sha256"] == files.sha256(record.path) == copies.sha256(record.path):
        raise OpsError(
            f"{record.path} is not what was sealed, so no page is made of it. "
            "Look: opslib records verify"
        )
    content = _page(read(record.path), seal)
    digest = hashlib.sha256(content).hexdigest()
    files.write_atomically(record.page, content)
    copies.push(record.path)
    if seal and digest != index.page_of(row):
        index.enter("page", record.id, digest, f"{records.place(record.id).with_suffix('.html')}")
    return record.page


def keep_summary(page: Path, text: str) -> None:
    """Write a page that is made from records, and chain its hash. Raises OpsError, OSError."""
    content = text.encode(errors="replace")
    files.write_atomically(page, content)
    copies.push(page)
    name = page.relative_to(paths.records()).as_posix()
    index.enter("summary", sha256=hashlib.sha256(content).hexdigest(), said=name)
