"""Everything that opslib raises.

OpsError
├── UsageError    what was given is wrong; nothing happened
│   └── Unasked     there is nothing to look at: not described, not in this phase
├── NotFound      it is not there
├── NotAllowed    denied, or no credentials (never reported as absent)
│   └── LoginRefused  the database was reached and takes no such login
├── Refused       our own guard said no; nothing changed
├── NotUnderstood a defect of ours, or an answer of another form than we know
└── Unfinished    no answer, or stopped waiting; its state is unknown
    └── Lost          a change was sent and its answer was lost; it may be done
        └── HalfWay     what was asked to do it answered that it failed; a part may be done
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any


class OpsError(Exception):
    """Something an operator has to know; its message says what, where and the next step.

    `done`: what was answered for the part that went well, when only the rest failed.
    """

    trace = ""  # the way to it, where nobody foresaw it

    def __init__(self, said: object = "", done: Any = None) -> None:
        super().__init__(said)
        self.done = done

    def _render_traceback_(self) -> list[str]:
        """What IPython shows, so what a record has, too: its sentence."""
        return [f"\x1b[31;1m{type(self).__name__}\x1b[0m: {self}"]


@contextmanager
def after(done: Any) -> Iterator[None]:
    """What fails inside fails after that was done, which its error tells then."""
    try:
        yield
    except OpsError as exc:
        exc.done = exc.done or done
        raise


class UsageError(OpsError):
    """What was given is wrong; nothing happened."""


class Unasked(UsageError):
    """There is nothing that a check could look at: it is not described, or not of this phase."""


class NotFound(OpsError):
    """It is not there: AWS or the system said so."""


class NotAllowed(OpsError):
    """Denied, or no credentials. Says nothing about whether the thing exists."""


class LoginRefused(NotAllowed):
    """The database was reached, and takes no such login: nor does it take the application's."""


class Refused(OpsError):
    """Our own guard said no; nothing changed."""


class NotUnderstood(OpsError):
    """A defect of ours, or an answer of another form than we know: nothing is known from it."""


class Unfinished(OpsError):
    """No answer, or stopped waiting: the state is unknown."""


class Lost(Unfinished):
    """A change was sent, and its answer was lost: it may be done, wholly or in part."""


class HalfWay(Lost):
    """Somebody's own code was asked for a change and failed: what it did until then is done."""


_MANY = 30  # are not all told


def require_known(kind: str, name: str, known: Collection[str], where: str = "") -> None:
    """Raises UsageError, as `unknown_name` words it."""
    if name not in known:
        raise unknown_name(kind, name, known, where)


def unknown_name(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """A UsageError that offers the nearest of the known names, or all of them when none is near.

    Of many, how many there are.
    """
    names = sorted(known)
    alike = {each.lower(): each for each in names}
    near = [alike[n] for n in get_close_matches(name.lower(), alike, n=3, cutoff=0.5)]
    offer = f"Known: {', '.join(names) or 'none'}."
    if near:
        offer = f"Did you mean {' or '.join(repr(n) for n in near)}?"
    elif len(names) > _MANY:
        nearest = get_close_matches(name, names, n=5, cutoff=0)
        offer = f"There are {len(names)}, the nearest: {', '.join(nearest)}."
    return UsageError(f"Unknown {kind} {name!r}{where}. {offer}")
