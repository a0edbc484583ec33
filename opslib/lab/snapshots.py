"""Everything that a procedure could change in a target, as one JSON-able tree. Reading it changes nothing."""

from __future__ import annotations

from typing import Any

from opslib.lab.estates.base import Place


def state(place: Place) -> dict[str, Any]:
    return {}
