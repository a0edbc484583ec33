"""What a kernel sends, heard where it is sent: cells as they are run, and what they show."""

from typing import Any

from nbclient.client import NotebookClient
from nbformat import v4

from opslib.records.outputs import Capped, Outputs

_SHOWN = {
    *("stream", "display_data", "execute_result", "error"),
    *("update_display_data", "clear_output"),
}


SCRIPT = "application/javascript"
# Run All goes to the end of a notebook at once, and a cell that fails is somewhere above.
_SCROLL = """const show = () => element.isConnected
  ? element.closest(".jp-Cell").scrollIntoView({block: "center"}) : setTimeout(show, 50);
setTimeout(show, 200);"""
_IN_SIGHT = {"data": {SCRIPT: _SCROLL}, "metadata": {}}
WIDGET = "application/vnd.jupyter.widget-view+json"  # of use only while its kernel lives


def listen(session: Any, listener: Any) -> None:
    """Tell the listener, a `Sitting`, what this session of a kernel sends, before it is sent."""
    send = session.send

    def heard(
        stream: Any,
        message: Any,
        content: Any = None,
        parent: Any = None,
        ident: Any = None,
        *rest: Any,
        **more: Any,
    ) -> Any:
        try:
            if said := _tell(listener, message, content, parent or {}):
                shown = {"name": "stdout", "text": said}
                send(stream, "stream", shown, parent=parent, ident=ident)
            if message == "error":
                send(stream, "display_data", _IN_SIGHT, parent=parent, ident=ident)
        except Exception as exc:  # noqa: BLE001 - whatever it is, cells go on
            listener.fails(exc)
        return send(stream, message, content, parent, ident, *rest, **more)

    session.send = heard


def asked(parent: Any) -> tuple[str, str, str]:
    """Of a message that a kernel answers: its id, the page that sent it (each tab has a name of its
    own), and the cell that it asks for.
    """
    header, about = parent.get("header", {}), parent.get("metadata") or {}
    return header.get("msg_id", ""), header.get("session", ""), about.get("cellId") or ""


def _tell(listener: Any, message: Any, content: Any, parent: Any) -> Any:
    if not isinstance(message, dict):
        header = {"msg_type": message}
        message = {"msg_type": message, "header": header, "content": content}
        message["parent_header"] = parent.get("header", parent)  # an error's is the header itself
    kind, request = message["msg_type"], message["parent_header"].get("msg_id", "")
    content = message["content"]
    if kind == "execute_input":
        return listener.begins(asked(parent), content["code"], content["execution_count"])
    if kind in _SHOWN:
        listener.shows(request, message)
    elif kind == "status" and content["execution_state"] == "idle":
        return listener.ends(request)
    elif kind == "shutdown_reply":
        listener.leaves()
    return ""


class Shown(Capped, NotebookClient):  # type: ignore[misc]
    """Makes messages the outputs of runs, as whoever runs a notebook does: merged, replaced."""

    def __init__(self, outputs: Outputs) -> None:
        super().__init__(v4.new_notebook())
        self.reset_execution_trackers()
        self.clear_before_next_output = False
        self.capped = outputs

    def take(self, number: int, message: Any) -> None:
        """What the run of that number shows; of a widget what stands in its place."""
        message = {**message, "header": {**message["header"]}}  # nbclient makes an update none
        if WIDGET in (data := message["content"].get("data") or {}):
            kept = {kind: each for kind, each in data.items() if kind != WIDGET}
            message = {**message, "content": {**message["content"], "data": kept}}
        self.process_message(message, self.nb["cells"][number], number)
