"""A widget with its static forms in one bundle, which is all that stays once it was used."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from IPython.display import display

from opslib.core.tables import Json, escaped, safe

Widget = Any  # ipywidgets has no types
# What is long stays in a box: what follows it is not pushed away.
_AT_ITS_END = (
    '<div style="max-height: 20em; overflow: auto; display: flex; flex-direction: column-reverse">'
)
_LINK = "color: var(--jp-content-link-color); text-decoration: underline"
# Each once, however often it is drawn; when it is drawn it may not be in the page yet.
_ONCE = """const done = window.opslibDone ??= new Set(), key = {key};
const act = () => element.isConnected ? go() : setTimeout(act, 50);
if (!done.has(key)) { done.add(key); act(); }
function go() { {go} }"""
_OPEN = """const link = document.createElement("a");
link.dataset.commandlinkerCommand = "docmanager:open";
link.dataset.commandlinkerArgs = key;
element.append(link); link.click();"""
_TYPE = """const box = element.closest(".opslib-door")?.querySelector("input");
box ? box.focus() : setTimeout(go, 50);"""


class Panel:
    """A widget on show. `text`: what a record, a page and a terminal have in its place."""

    def __init__(self, widget: Widget, text: str) -> None:
        self._widget = widget
        bundle = widget._repr_mimebundle_() | static(text)
        self._shown = display(bundle, raw=True, display_id=True)

    def settle(self, text: str) -> None:
        """It was used: from here on there is only what it came to."""
        self._shown.update(static(text), raw=True)
        self._widget.close()


def static(text: str) -> Json:
    if not text:  # then a record and a saved notebook keep nothing of it
        return {"text/plain": ""}
    lines = "<br>".join(map(escaped, text.splitlines()))
    return {"text/plain": safe(text), "text/html": f"{_AT_ITS_END}<p>{lines}</p></div>"}


def said(text: str = "") -> Widget:
    """A line of text that may wrap; nothing in it is HTML."""
    return ipywidgets.HTML(_lines(text), layout={"max_width": "60em"})


def say(line: Widget, text: str) -> None:
    line.value = _lines(text)


def close_set(markup: str) -> str:
    """Lines of a text, not of a form, which stand as far apart as its controls."""
    return f'<div style="line-height: 1.4">{markup}</div>'


def _lines(text: str) -> str:
    return close_set("<br>".join(map(escaped, text.splitlines()))) if text else ""


def button(words: str, press: Callable[[], None], *, style: str = "", tip: str = "") -> Widget:
    made = ipywidgets.Button(
        description=words, button_style=style, tooltip=tip, layout={"width": "auto"}
    )
    made.on_click(lambda _: press())
    return made


def entered(field: Widget, press: Callable[[], None]) -> None:
    """Enter in a line does what the button beside it does."""
    field.on_msg(lambda _, said, __: press() if said.get("event") == "submit" else None)


def link(words: str, command: str, tip: str) -> Widget:
    """What JupyterLab itself does when it is clicked on."""
    return ipywidgets.HTML(
        f'<a href="#" class="jp-Button opslib-link" title="{escaped(tip)}" style="{_LINK}" '
        f'data-commandlinker-command="{command}" data-commandlinker-args="{{}}">'
        f"{escaped(words)}</a>"
    )


def row(*parts: Widget) -> Widget:
    return ipywidgets.HBox(
        parts, layout={"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 6px"}
    )


def column(parts: Sequence[Widget]) -> Widget:
    return ipywidgets.VBox(tuple(parts))


def open_tab(shown: Widget, opened: Any) -> None:
    """A sitting, in a tab of its own; an Output widget says which."""
    script = _script(_OPEN, json.dumps({"path": opened.shown}))
    shown.outputs = (_output("text/html", opened._repr_html_()), script)


def type_in(shown: Widget) -> None:
    """Into the field of the door that this Output widget is in, wherever one has scrolled to."""
    shown.outputs = (_script(_TYPE, shown.model_id),)


def _script(go: str, key: str) -> Any:
    script = _ONCE.replace("{key}", json.dumps(key)).replace("{go}", go)
    return _output("application/javascript", script)


def _output(kind: str, text: str) -> Any:
    return {"output_type": "display_data", "data": {kind: text}, "metadata": {}}


class _Heard:
    """Whose every change arrives while an `await` cell runs.

    The page holds the next message until the kernel was idle after the last, and ipykernel 7 does
    not say so for what it answers beside a cell (`dispatch_shell`, concurrent). Then it is busy
    with the cell again: a kernel that is idle is ended after a while.
    """

    def __init__(self, **said: Any) -> None:
        super().__init__(**said)
        self._cell = self.comm.kernel.get_parent("shell")  # type: ignore[attr-defined]

    def _handle_msg(self, msg: Json) -> None:
        super()._handle_msg(msg)  # type: ignore[misc]
        kernel = self.comm.kernel  # type: ignore[attr-defined]
        for state, of in (("idle", msg), ("busy", self._cell)):
            told = {"execution_state": state}
            kernel.session.send(kernel.iopub_socket, "status", told, parent=of, ident=b"status")


class Typed(_Heard, ipywidgets.Text):  # type: ignore[misc]
    """A line, each letter as it is typed."""


class Chosen(_Heard, ipywidgets.Dropdown):  # type: ignore[misc]
    """One of several."""


class Toggled(_Heard, ipywidgets.ToggleButton):  # type: ignore[misc]
    """On or off."""


class Answer:
    """Waits for a person in an `await` cell; what is pressed may come from another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._given: asyncio.Future[str] = self._loop.create_future()

    def give(self, answer: str) -> None:
        self._loop.call_soon_threadsafe(self._once, answer)

    def _once(self, answer: str) -> None:
        if not self._given.done():
            self._given.set_result(answer)

    async def within(self, seconds: float) -> str | None:
        """None: not yet."""
        done, _ = await asyncio.wait({self._given}, timeout=max(0.0, seconds))
        return self._given.result() if done else None
