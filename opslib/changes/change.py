"""One setting that is different: what it was, when that came, by whom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opslib.changes.forms import HIDDEN, Difference
from opslib.changes.resources import Key
from opslib.core import UTC_TIME
from opslib.core.text import cut

DIFFERENT = {
    "resource": "str",
    "setting": "str",
    "was": "str",
    "now": "str",
    "after": UTC_TIME,
    "before": UTC_TIME,
    "by": "str",
    "status": "str",
}
_LONGEST = 160  # characters of a value that are shown; compared is the whole


@dataclass(frozen=True)
class Change:
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
        return f"{path}: was {_shown(was)}, now {_shown(now)}"

    @property
    def told_of(self) -> str:
        """When it came, by whom, and why it is no warning."""
        when = f"between {_minute(self.after)} and {_minute(self.before)}"
        return ", ".join(filter(None, (when, self.by and f"by {self.by}", self.why or self.taken)))

    def row(self) -> dict[str, Any]:
        _, was, now = self.difference
        return {
            "resource": " ".join(self.key),
            "setting": self.difference.path or "(all of it)",
            "was": _shown(was),
            "now": _shown(now),
            "after": self.after,
            "before": self.before,
            "by": self.by,
            "status": self.why or self.taken or self.status,
        }


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if value == {}:
        return "there"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(HIDDEN.sub("(hidden)", text), _LONGEST)


def _minute(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%m-%d %H:%M}"
