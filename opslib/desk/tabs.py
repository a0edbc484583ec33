"""What a page does when the kernel says so: a notebook is opened in a tab, a field is typed in."""

from __future__ import annotations

import json
from typing import Any

from opslib.desk.panels import Widget

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
