"""A look at the files in the place of the records: which are what was sealed, and which are not."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opslib.core import OpsError, paths
from opslib.records import copies, files, records
from opslib.records.records import Row
from opslib.records.sittings import places

_MOMENT = timedelta(seconds=30)
_BESIDE_INDEX = ("", "-journal", "-wal", "-shm", ".lock")
_UNDER_WAY = r"\.(?:journal|steps)\.jsonl"  # what tells of a run until it is sealed
_SET_ASIDE = re.compile(r"[^/]+\.lost-\d{8}T\d{6}Z(-\w+)?|(.*/)?\.[^/]+")  # and what is no page
NO_ROW = "has no row in the index"
_WORKED_IN = (f"{places.FOLDER}/", "incidents/")  # a sitting, a post-mortem: people write there
_SHOWN = (".html", ".ipynb")


@dataclass(frozen=True)
class Problem:
    """Something that `verify` found wrong with a record."""

    id: str
    problem: str


class Look:
    """A look at the files in the place of the records: which are as they were sealed."""

    def __init__(self, names: set[str], pages: dict[str, str], pruned: Collection[str]) -> None:
        worked_in = {name for name in names if name.startswith(_WORKED_IN)}
        self._names, self._pages = names - worked_in - _of_the_index(), pages
        self._known: set[str] = set()
        self._pruned = pruned  # records whose files were removed, as the chain says
        self._open: set[str] = set()  # records of which we cannot know what lies beside them
        self._not_covered = 0
        self._before = ""  # the end of the last record whose page was not sealed yet

    def at(self, row: Row) -> Iterator[Problem]:
        """The files of a record."""
        id, name = row["id"], row["path"]
        stem = name.removesuffix(".ipynb")
        self._known.add(name)
        if row["seq"] is None:
            self._open.add(stem)
            if row["outcome"] != records.RUNNING:
                yield Problem(id, f"its row is not sealed, though it ended ({row['outcome']})")
            return
        if name != records.place(id).as_posix():
            yield Problem(id, f"its row names the file of another: {name}")
        if not self._went(id, stem + ".html"):
            yield from self._page(row)
        if self._went(id, name):
            self._open.add(stem)
            return
        wrong = self._differs(name, row["sha256"])
        if wrong:
            self._open.add(stem)
            yield Problem(id, f"its file {name} {wrong}")
            return
        yield from self._inside(row)

    def _went(self, id: str, name: str) -> bool:
        """Was it removed, as the chain says that its record's files are?"""
        self._known.add(name)
        return id in self._pruned and name not in self._names

    def _inside(self, row: Row) -> Iterator[Problem]:
        """What the file says is what its row says; those beside it are named with their hashes."""
        from opslib.records.index import row_hash

        try:
            said = copies.said(row["path"])
        except (OSError, ValueError):
            return  # sealed as it was found
        if said.get("ended") and row_hash(row) == row["hash"]:
            as_row = records.row({"id": row["id"]} | said)
            other = [key for key in records.COLUMNS if key in said and as_row[key] != row[key]]
            if other:
                yield Problem(row["id"], f"its row and its file differ in {', '.join(other)}")
        beside = row["path"].removesuffix(".ipynb") + ".spill/"
        for each in said.get("spilled") or ():
            name = f"{Path(row['path']).parent.as_posix()}/{each['file']}"
            self._known.add(name)
            wrong = self._differs(name, each["sha256"])
            if wrong and not self._went(row["id"], name):
                seen = "is missing" if wrong.startswith("is missing") else wrong
                yield Problem(row["id"], f"{each['file']} beside it {seen}")
        for name in sorted(self._names - self._known):
            if name.startswith(beside):
                self._known.add(name)
                yield Problem(row["id"], f"{name} was added: the record does not name it")

    def _page(self, row: Row) -> Iterator[Problem]:
        name = row["path"].removesuffix(".ipynb") + ".html"
        digest = self._pages.get(name, row["page"])
        if digest is None:
            self._before = max(self._before, row["ended"] or "")
            self._not_covered += name in self._names
        elif not digest and name in self._names:
            yield Problem(row["id"], f"its page {name} was added: it was sealed without one")
        elif digest and (wrong := self._differs(name, digest)):
            again = f"make it again: opslib records page {row['id']}"
            yield Problem(row["id"], f"its page {name} {wrong}; {again}")

    def at_summaries(self) -> Iterator[Problem]:
        """The pages that were made of several records."""
        for name in sorted(set(self._pages) - self._known):
            self._known.add(name)
            if wrong := self._differs(name, self._pages[name]):
                yield Problem("(summary)", f"the summary {name} {wrong}")

    def _differs(self, name: str, digest: str) -> str:
        """How a file is not what was sealed; empty when it is."""
        try:
            same = copies.sha256(paths.records() / name) == digest
        except (OSError, OpsError) as exc:
            return f"is missing or cannot be read ({files.reason(exc)})"
        return "" if same else "was altered"

    def strangers(self, ids: set[str]) -> Iterator[Problem]:
        """What lies there and no record names."""
        for name in sorted(self._names - self._known):
            id = Path(name).name.partition(".")[0]
            if name == records.place(id).as_posix() and id not in ids:
                self._open.add(name.removesuffix(".ipynb"))
                if not _just_begun(name):
                    yield Problem(id, f"{name} {NO_ROW}")
        for name in sorted(self._names - self._known):
            beside = re.sub(r"/\.(\w+-\w+)\.reserve-\d$", r"/\1", name)
            beside = re.sub(rf"(\.spill/.*|\.html|\.ipynb|{_UNDER_WAY})$", "", beside)
            if beside in self._open:
                continue
            if re.search(f"{_UNDER_WAY}$", name) and f"{beside}.ipynb" in self._known:
                continue
            stamp = re.match(r"\d{4}/\d\d/(\d{8}T\d{6})Z-summary\.html$", name)
            if stamp and stamp[1] <= re.sub(r"[-:]", "", self._before)[:15]:
                self._not_covered += 1
            elif not _SET_ASIDE.fullmatch(name) or name.endswith(_SHOWN):
                yield Problem("(file)", f"{name} was added: no record names it")

    def notes(self) -> Iterator[str]:
        """What nothing proves."""
        if self._not_covered:
            yield (
                f"{self._not_covered} pages were made before pages were sealed, and are not "
                "covered. To seal one: opslib records page ID."
            )
        aside = [
            name
            for name in sorted(self._names - self._known)
            if _SET_ASIDE.fullmatch(name) and not name.endswith(_SHOWN)
        ]
        if aside:
            yield f"No records, and not covered: {', '.join(aside[:5])}{' …' * (len(aside) > 5)}"


def _just_begun(name: str) -> bool:
    """A run makes its file a moment before its row."""
    try:
        said = copies.said(name)
        age = datetime.now(UTC) - datetime.fromisoformat(said["started"])
        return said["outcome"] == records.RUNNING and age < _MOMENT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _of_the_index() -> set[str]:
    from opslib.records.chain import database

    file = database.file()
    if file is None or not file.is_relative_to(paths.records()):
        return set()
    name = file.relative_to(paths.records()).as_posix()
    return {f"{name}{beside}" for beside in _BESIDE_INDEX}
