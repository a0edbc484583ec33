"""What follows from a verdict, to press: it opens the next sitting on this target and window."""

import shlex
from functools import partial

import ipywidgets

from opslib.core import Connection, OpsError, text
from opslib.core.checks.notes import KINDS, noted
from opslib.core.plans.verdicts import Verdict
from opslib.desk import commands
from opslib.desk.panels import Panel, Widget, button, column, entered, open_tab, row, said, say
from opslib.records.sittings import ours
from opslib.sittings import open_sitting


def offer(ops: Connection, verdict: Verdict) -> None:
    """A button for each procedure that follows, for what the text names, and a line for a note."""
    lines = [*filter(None, verdict.lines)]
    if verdict.changed and (id := ours.record_id()):
        lines.append(text.command("open", "changes/undo", ops.target.name, {"record": id}))
    named = [n for n in commands.linked() if n not in map(_name, lines)]
    shown = ipywidgets.Output()
    parts = _buttons("Next:", lines, shown)
    parts += _buttons("Named in the text:", [*filter(None, map(ops.follow, named))], shown)
    Panel(column([*parts, shown, _note()]), "\n".join(["Next:", *lines]) if lines else "")


def _name(line: str) -> str:
    return shlex.split(line)[2]


def _buttons(words: str, lines: list[str], shown: Widget) -> list[Widget]:
    press = [button(_name(each), partial(_open, each, shown), tip=each) for each in lines]
    return [row(said(words), *press)] * bool(press)


def _open(line: str, shown: Widget) -> None:
    """As the line does."""
    _, _, name, _, target, *pairs = shlex.split(line)
    given = dict(pair.split("=", 1) for pair in pairs[1::2])
    try:
        open_tab(shown, open_sitting(name, target, given))
    except OpsError as exc:
        shown.outputs = ()
        shown.append_stdout(f"Not opened: {exc}")


def _note() -> Widget:
    """A line in which a note is typed, and its kind; what was kept is said below, newest last."""
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
