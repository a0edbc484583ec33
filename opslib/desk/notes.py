"""A line in which a note is typed and kept."""

import ipywidgets

from opslib.core import OpsError
from opslib.core.checks.notes import KINDS, noted
from opslib.desk.panels import Widget, button, column, entered, row, said, say
from opslib.records.sittings import ours


def line() -> Widget:
    """Kind and text; what was kept is said below, the newest last."""
    kind = ipywidgets.Dropdown(options=KINDS, tooltip="kind of note", layout={"width": "9em"})
    text = ipywidgets.Text(placeholder="a note, kept with its time", layout={"width": "34em"})
    told, kept = said(), list[str]()

    def keep() -> None:
        try:
            kept.append(ours.keep_note(noted(text.value, kind.value)))
        except OpsError as exc:
            say(told, f"Not kept: {exc}")
            return
        text.value = ""
        say(told, " · ".join(kept))

    entered(text, keep)
    return column([row(kind, text, button("Keep note", keep)), told])
