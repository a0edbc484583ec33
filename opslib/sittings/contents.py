"""What JupyterLab may write: sittings and the rest, but neither the catalogue nor records.

In `notebooks/` a procedure's defaults are everybody's, the scheduler's too. So it is shown there,
and saved only in a JupyterLab for whoever writes procedures: ./run lab --edit. A record is proved
as it was sealed, and JupyterLab saves by itself what somebody only touched.
"""

from pathlib import Path
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError
from traitlets import Bool

from opslib.core import paths
from opslib.records.sittings import cells, places
from opslib.records.sittings.hearing import SCRIPT, WIDGET

_WRITTEN_ON = "post-mortem"  # by who was in an incident
_NOT_CHANGED = (
    "{} is of the catalogue, or kept as it was sealed: nobody works in it, and it was not changed. "
    "To work with a procedure, open it: opslib open NAME -t TARGET. To write on a record, copy it "
    "out of records/; to write a procedure: ./run lab --edit"
)


class Contents(AsyncLargeFileManager):  # type: ignore[misc]
    """`editable`: procedures may be saved, without what they showed."""

    editable = Bool(False, config=True)

    def is_writable(self, path: str) -> bool:
        """JupyterLab does not even try to save by itself what is not."""
        return self._may_change(path) and bool(super().is_writable(path))

    def mark_trusted_cells(self, nb: Any, path: str = "") -> None:
        """The catalogue is the project's own: its buttons work at the first click. Where it holds
        an output, which it should not, Jupyter asks as ever.
        """
        super().mark_trusted_cells(nb, path)
        code = [cell for cell in nb["cells"] if cell["cell_type"] == "code"]
        if self._in_catalogue(path) and not any(cell["outputs"] for cell in code):
            self.notary.mark_cells(nb, True)

    async def get(self, path: str, *args: Any, **more: Any) -> Any:
        """A sitting with what was run while no page of it was open, or after it was last saved."""
        model = await super().get(path, *args, **more)
        if model["type"] == "notebook" and model["content"]:
            cells.put_back(model["content"]["cells"], Path(path).stem)
        return model

    async def save(self, model: Any, path: str = "") -> Any:
        self._require(path)
        catalogued = self._in_catalogue(path)
        whole = model.get("type") == "notebook" and model.get("content")
        for cell in whole["cells"] if whole else ():
            if not catalogued:
                for out in cell.get("outputs", ()):  # reopened, it would hide what stands for it
                    for kind in (WIDGET, SCRIPT):
                        out.get("data", {}).pop(kind, None)
            elif cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
                cell["metadata"].pop("execution", None)
        return await super().save(model, path)

    async def delete_file(self, path: str) -> Any:
        self._require(path)
        return await super().delete_file(path)

    async def rename_file(self, old_path: str, new_path: str) -> Any:
        self._require(old_path, new_path)
        return await super().rename_file(old_path, new_path)

    async def copy(self, from_path: str, to_path: str | None = None) -> Any:
        self._require(from_path if to_path is None else to_path)
        return await super().copy(from_path, to_path)

    async def list_checkpoints(self, path: str) -> Any:
        """None of what is not changed here: to ask for them would make a folder for them."""
        return await super().list_checkpoints(path) if self._may_change(path) else []

    def _require(self, *paths: str) -> None:
        for path in paths:
            if not self._may_change(path):
                raise HTTPError(403, _NOT_CHANGED.format(path))

    def _may_change(self, path: str) -> bool:
        place = self._place(path)
        if place.is_relative_to(paths.records().resolve()):
            return place.stem == _WRITTEN_ON or place.is_relative_to(places.folder().resolve())
        return self.editable or not self._in_catalogue(path)

    def _in_catalogue(self, path: str) -> bool:
        return self._place(path).is_relative_to(paths.notebooks().resolve())

    def _place(self, path: str) -> Path:
        return Path(self._get_os_path(path.strip("/"))).resolve()
