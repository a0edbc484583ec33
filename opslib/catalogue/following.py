"""What follows, as a line to type: on the same target, over the same window of time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opslib.catalogue import runbooks
from opslib.core import Json, UsageError, text, times

_WINDOW = {"since", "until"}  # both: else `since` means something else there


def command(name: str, target: str, here: Mapping[str, Any]) -> str:
    """`opslib open NAME -t TARGET -p since=…`; empty for what is no procedure or entry.

    `here`: the names of the notebook that one comes from, its parameters among them.
    """
    try:
        procedure, preset, _ = runbooks.find(name)
    except UsageError:
        return ""
    known = {parameter.name for parameter in procedure.parameters}
    given = window(here) if known >= _WINDOW and not _WINDOW & preset.keys() else {}
    return text.command("open", name, target, given)


def window(here: Mapping[str, Any]) -> Json:
    """`since` and `until` of a notebook that has both, as moments: `2h` ago is another one later.

    Empty where none is set.
    """
    said = {name: here.get(name) for name in sorted(_WINDOW)}
    if not all(isinstance(value, str) for value in said.values()):
        return {}
    now = datetime.now(UTC)
    try:
        return {k: f"{times.moment(v, now):%Y-%m-%dT%H:%M}" for k, v in said.items() if v}
    except UsageError:
        return {}
