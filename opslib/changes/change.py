"""One setting that is different: what it was, when that came, by whom."""

import json
from datetime import datetime
from typing import Any, NamedTuple

from opslib.changes.forms import HIDDEN, Difference
from opslib.changes.resources import Key
from opslib.core import cut, dtypes, redaction

DIFFERENT = dtypes("""
    resource str
    setting  str
    was      str
    now      str
    after    utc
    before   utc
    by       str
    status   str
""")
_LONGEST = 160  # characters of a value that are shown; compared is the whole
_BEFORE = 40  # of them, of what is the same in both


class Change(NamedTuple):
    """A setting that is different, when that came and by whom.

    `why` it never was a warning; `taken`: why it is none for now. `stamp`: tells its value.
    """

    key: Key
    difference: Difference
    after: str  # ISO
    before: str
    by: str
    status: str
    why: str
    taken: str
    stamp: str

    @property
    def told(self) -> str:
        """What is different, in words."""
        path, was, now = self.difference
        if not path and None in (was, now):
            return "it is gone" if now is None else "it is new"
        was, now = _shown_beside(was, now)
        return f"{path}: was {was}, now {now}"

    @property
    def told_of(self) -> str:
        """When it came, by whom, and why it is no warning."""
        after, before = _minute(self.after), _minute(self.before)
        when = f"at {after}" if after == before else f"between {after} and {before}"
        return ", ".join(filter(None, (when, self.by and f"by {self.by}", self.why or self.taken)))

    def row(self) -> tuple[str, ...]:
        """In the columns of DIFFERENT."""
        what = " ".join(self.key), self.difference.path or "(all of it)"
        shown = _shown_beside(self.difference.was, self.difference.now)
        status = self.why or self.taken or self.status
        return (*what, *shown, self.after, self.before, self.by, status)


def _shown_beside(was: Any, now: Any) -> tuple[str, str]:
    """Both in a line; of long ones what is different, with a little of what is before it."""
    both = _shown(was), _shown(now)
    apart = (at for at, (a, b) in enumerate(zip(*both, strict=False)) if a != b)
    same = next(apart, min(map(len, both)))
    if max(map(len, both)) <= _LONGEST or same <= _BEFORE:
        return cut(both[0], _LONGEST), cut(both[1], _LONGEST)
    one, other = (cut(f"…{each[same - _BEFORE :]}", _LONGEST) for each in both)
    return one, other


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if value == {}:
        return "there"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return redaction.mask(" ".join(HIDDEN.sub("(hidden)", text).split()))


def _minute(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%m-%d %H:%M}"
