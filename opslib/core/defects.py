"""What nobody foresaw: an error that is none of ours is told as one, with its place and trace."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from opslib.core.errors import NotUnderstood, OpsError, Refused, UsageError
from opslib.core.tables import escaped
from opslib.core.text import cut, plain

T = TypeVar("T")
N = TypeVar("N")

_HOME = Path(__file__).parents[2]
_OURS = Path(__file__).parents[1]
_STOPPED = (
    "stopped from outside (■). What was under way is not known; run the cell again. "
    "A change that had begun: opslib records show, changes/resume, changes/undo."
)
_NOT_MADE = (
    "No cell that this kernel has run makes {!r}: it was started anew, or cells were left out. "
    "Choose Run > Run All Above Selected Cell, then run this one again; buttons and fields that "
    "are marked with a broken link work again once their cell has run."
)

# Of the check that runs: what it could not read among several, by the question about it.
apart: ContextVar[list[tuple[str, OpsError]] | None] = ContextVar("apart", default=None)


@contextmanager
def understood(asked: str = "this") -> Iterator[None]:
    """Raises NotUnderstood for every error that is none of ours.

    A defect of opslib, or an answer of another form than it knows: its message names what was
    `asked`, the error's type and its place, its `trace` the way there.
    """
    try:
        yield
    except OpsError:
        raise
    except Exception as exc:
        whole = traceback.extract_tb(exc.__traceback__)
        frames = whole[2:] or whole  # without this one and whoever calls it
        ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_OURS)]
        at = (ours or frames)[-1]
        said = in_a_line(exc)
        told = NotUnderstood(
            f"Defect in opslib, or an answer that it did not understand: {said}, at "
            f"{_placed(at)}. Nothing is known of {asked}."
        )
        told.trace = "\n".join([*map(_placed, frames), said])
        raise told from exc


def tried(look: Callable[[], T], asked: str = "this") -> T | OpsError:
    """What a read answers; when it could not be read, the error itself."""
    try:
        with understood(asked):
            return look()
    except OpsError as exc:
        return exc


def attempted(look: Callable[[], T]) -> T | OpsError:
    """The same; bad input (UsageError) and our own guard (Refused) are raised."""
    found = tried(look)
    if isinstance(found, (UsageError, Refused)):
        raise found
    return found


def in_a_line(exc: BaseException) -> str:
    """An error's type and what it says, also of one that cannot say it."""
    return cut(plain(" ".join("".join(traceback.format_exception_only(exc)).split())), 300)


def families_of(exc: BaseException) -> str:
    """The names of an error's classes, its own first."""
    return " ".join(cls.__name__ for cls in type(exc).__mro__)


def told_apart(read: Callable[[N], T], asked: str) -> Callable[[N], tuple[T] | None]:
    """A read of one of several: what it answers, in a tuple.

    None inside a check, where it failed and `asked` names it ("queue {}"): the check tells it.
    """
    lost = apart.get() if asked else None

    def one(name: N) -> tuple[T] | None:
        found = attempted(lambda: (read(name),))  # an answer may be an error, too: in its tuple
        if not isinstance(found, OpsError):
            return found
        if lost is None:
            raise found
        lost.append((asked.format(name), found))
        return None

    return one


def stops() -> tuple[type[BaseException], ...]:
    """What comes when somebody stops a cell. A command needs no asyncio, a kernel has it."""
    from asyncio import CancelledError

    return KeyboardInterrupt, CancelledError


def shown(shell: Any, kind: Any, exc: BaseException, trace: Any, **_: Any) -> None:
    """How a kernel shows an error of ours, or that somebody stopped it: a sentence, and the way to
    it folded.

    And a name that no cell has made, as after the kernel was started anew: what makes it.
    """
    frames = traceback.extract_tb(trace)[1:]  # without IPython's own
    if isinstance(exc, stops()):
        exc.args = (_STOPPED,)
        vars(exc)["_render_traceback_"] = lambda: [f"{kind.__name__}: {exc}"]
    if not isinstance(exc, NameError):
        way = escaped("\n".join([*map(_placed, frames[-20:]), in_a_line(exc.__cause__ or exc)]))
        told = f"<details><summary>the way to this error</summary><pre>{way}</pre></details>"
        shell.display_pub.publish({"text/html": told, "text/plain": ""})
    elif len(frames) == 1:  # in the cell itself
        told = _NOT_MADE.format(getattr(exc, "name", ""))
        shell.display_pub.publish({"text/html": f"<p>{escaped(told)}</p>", "text/plain": told})
    shell.showtraceback((kind, exc, trace))


def _placed(frame: traceback.FrameSummary) -> str:
    """opslib/queues/queues.py:51 in attributes."""
    path = Path(frame.filename)
    shown = path.relative_to(_HOME) if path.is_relative_to(_OURS) else path.name
    return f"{shown}:{frame.lineno} in {frame.name}"
