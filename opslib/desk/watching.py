"""Lines as they come in a box of fixed height: stop, pause, level, words."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import ipywidgets

from opslib.core import count, escaped
from opslib.core.waiting import Came
from opslib.desk.panels import (
    Answer,
    Chosen,
    Panel,
    Toggled,
    Typed,
    button,
    close_set,
    column,
    row,
    said,
    say,
)

_PAUSE, _LONGEST, _MOST = 2.0, 1800.0, 1000  # seconds; seconds; lines
_LEVELS = {
    "all lines": ("", "warning", "error"),
    "warnings and errors": ("warning", "error"),
    "errors": ("error",),
}
# Its end is what is seen, as in a terminal: the newest line.
_BOX = {
    "height": "20em",
    "overflow": "auto",
    "display": "flex",
    "flex_flow": "column-reverse",
    "border": "1px solid var(--jp-border-color1)",
}


async def watch(look: Callable[[], list[Came]], seconds: float) -> str:
    """Show what comes until he stops it, or the seconds are over. How many, in how long."""
    seen = _Box()
    began = time.monotonic()
    try:
        while (left := began + seen.limit(seconds) - time.monotonic()) > 0:
            seen.take(await asyncio.to_thread(look), left)
            if await seen.stopped.within(min(_PAUSE, left)):
                break
    finally:
        told = f"{count(seen.count, 'line')} in {time.monotonic() - began:.0f} s"
        seen.settle(told)
    return told


class _Box:
    def __init__(self) -> None:
        self.stopped, self.count = Answer(), 0
        self._lines: deque[Came] = deque(maxlen=_MOST)
        self._told, self._shown = said(), ipywidgets.HTML()
        self._level = Chosen(options=[*_LEVELS], layout={"width": "13em"})
        self._words = Typed(placeholder="lines that hold …", layout={"width": "18em"})
        self._paused = Toggled(description="Pause", layout={"width": "auto"})
        self._longer = Toggled(description="Go on until stopped", layout={"width": "auto"})
        for each in (self._level, self._words, self._paused):
            each.observe(lambda _: self._draw(), "value")
        stop = button("Stop", lambda: self.stopped.give("stopped"), style="danger")
        head = row(stop, self._paused, self._longer, self._level, self._words, self._told)
        box = ipywidgets.Box([self._shown], layout=_BOX)
        self._panel = Panel(column([head, box]), "Following; stop it to go on.")

    def limit(self, seconds: float) -> float:
        return _LONGEST if self._longer.value else seconds

    def take(self, new: list[Came], left: float) -> None:
        self.count += len(new)
        self._lines.extend(new)
        say(self._told, f"{count(self.count, 'line')}, {left:.0f} s left")
        if not self._paused.value:
            self._draw()

    def _draw(self) -> None:
        """What he asked to see: also of what came while it is paused, which moves nothing."""
        words, levels = self._words.value.lower().split(), _LEVELS[self._level.value]
        lines = [
            line.text
            for line in self._lines
            if line.level in levels and all(word in line.text.lower() for word in words)
        ]
        text = "<br>".join(map(escaped, lines)) or "No line so far."
        self._shown.value = close_set(f'<code style="white-space: pre-wrap">{text}</code>')

    def settle(self, told: str) -> None:
        """What came stays, whatever was shown of it."""
        self._panel.settle("\n".join([*(line.text for line in self._lines), told]))
