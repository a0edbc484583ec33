"""Progress of long work: one line that moves, readable in JupyterLab, a terminal and a log file."""

import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from opslib.core import journal
from opslib.core.redaction import kernel_shell

T = TypeVar("T")

_TICK_SECONDS = 0.5
pace = 3.0  # seconds between two words of it; fewer where somebody looks on


class Line:
    """What is under way, each part beside that which it is a part of, and for how long.

    In a kernel it is one output that is replaced, of which its last word stays; elsewhere a line
    every few seconds. What ends within a few seconds says nothing.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.aside = ""  # what a thread is at
        self._kept: list[str] = []
        self._started = self._spoke = time.monotonic()
        self._shown: Any = None

    def keep(self, text: str) -> None:
        """A line that stays."""
        if kernel_shell():
            self._kept.append(text)
            self._show("")
        else:
            print(text, flush=True)

    def tick(self, *, last: bool = False) -> None:
        """Say it, when it is time to; its last word where it ever spoke."""
        now = time.monotonic()
        if (last and self._spoke == self._started) or (not last and now - self._spoke < pace):
            return
        self._spoke = now
        parts = " · ".join(filter(None, self.parts if last else [*self.parts, self.aside]))
        text = f"{parts} ({now - self._started:.0f} s)" if parts else ""
        if text and not last and journal.current is not None and journal.current.kept:
            journal.current.write("progress", message=text)
        if kernel_shell():
            self._show(text)
        elif text:
            print(text, file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        from IPython.display import display

        bundle = {"text/plain": "\n".join(filter(None, [*self._kept, text]))}
        if self._shown is None and not bundle["text/plain"]:
            return
        if self._shown is None:
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)


_now: Line | None = None  # of the main thread: there is one at a time


@contextmanager
def under_way() -> Iterator[Callable[[str], None]]:
    """Inside, what is told moves on one line; inside another one it is a part of that.

    Of a thread it is told beside, by whoever waits for it.
    """
    global _now
    outer = _now
    if not _first():
        yield _beside
        _beside("")
        return
    line = _now = outer or Line()
    at = len(line.parts)
    line.parts.append("")

    def tell(text: str) -> None:
        line.parts[at] = text
        line.tick()

    try:
        yield tell
    finally:
        _now = outer
        if outer is None:
            line.tick(last=True)
        else:
            del line.parts[at:]


def _beside(text: str) -> None:
    if _now is not None:
        _now.aside = text


def stays(text: str) -> None:
    """Say what stays: above the line that moves, where one does."""
    (_now or Line()).keep(text)


def _first() -> bool:
    return threading.current_thread() is threading.main_thread()


def answers(asked: Sequence[Future[T]]) -> list[T]:
    """What they come to, in order; meanwhile, how many are there. The first error is raised."""
    found = list[T]()
    with under_way() as tell:
        try:
            for each in asked:
                while not wait([each], _TICK_SECONDS).done:
                    if _first():
                        tell(f"{sum(one.done() for one in asked)} of {len(asked)} read")
                found.append(each.result())
            if _first():
                tell(f"{len(asked)} of {len(asked)} read")
        finally:
            for each in asked:
                each.cancel()
    return found


def counted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items; meanwhile, how many so far."""
    with under_way() as tell:
        for count, item in enumerate(items, 1):
            yield item
            tell(f"{what}: {count:,}{f' of {total:,}' if total else ''} so far")


def poll(
    read: Callable[[], T],
    ended: Callable[[T], bool],
    timeout_seconds: float,
    told: Callable[[T], str] = lambda value: "",
    pause_seconds: float = 0.25,
) -> tuple[T, float]:
    """Read until it has ended, or time is up: the last value, and how many seconds it took.

    Pauses grow to five seconds. `told`: what is said of it meanwhile; nothing when empty.
    """
    started = time.monotonic()
    with under_way() as tell:
        while True:
            value = read()
            waited = time.monotonic() - started
            text = told(value)
            if ended(value) or waited > timeout_seconds:
                tell(text and f"waited: {text}")
                return value, waited
            pause = min(pause_seconds, max(0.0, timeout_seconds - waited))
            ends = time.monotonic() + pause
            while (left := ends - time.monotonic()) > 0:
                tell(text and f"waiting: {text}")
                time.sleep(min(left, _TICK_SECONDS))
            pause_seconds = min(pause_seconds * 1.5, 5.0)


@contextmanager
def handling(handler: Callable[..., Any], *numbers: signal.Signals) -> Iterator[None]:
    """These signals go to the handler; only the main thread can hear them."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
    heard = [number for number in numbers if _first() and not (ignored and number == signal.SIGHUP)]
    previous = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


class Came(NamedTuple):
    """A line as it came; `level`: error, warning, or empty."""

    text: str
    level: str


@dataclass(frozen=True)
class Onlooker:
    """Somebody who looks on. `watches`: shows what comes for some seconds, or until he stops it.

    It says how many lines came in how long. Raises what looking does.
    """

    watches: Callable[[Callable[[], list[Came]], float], Awaitable[str]]
