"""The door's own cell: in JupyterLab a search that opens sittings, anywhere else how to search."""

from typing import Any

from opslib.catalogue.symptoms import FIRST_LOOK
from opslib.core import escaped
from opslib.core.journal import Journal
from opslib.records.sittings.presence import is_live

_LINES = (
    'opslib find "people cannot log in" -t TARGET   which procedure for this symptom',
    f"opslib open {FIRST_LOOK} -t TARGET        nothing is known yet: a first look",
)


class Door:
    """Shown as widgets where they are live, and as lines to type."""

    def __repr__(self) -> str:
        return "\n".join(_LINES)

    def _repr_html_(self) -> str:
        return f"<pre>{escaped(repr(self))}</pre>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        static = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if not is_live(Journal().kept):
            return static
        from opslib.desk.seeking import Seeking  # what needs ipywidgets

        return {**Seeking().shown._repr_mimebundle_(), **static}


def door() -> Door:
    return Door()
