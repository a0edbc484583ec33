"""Values of an estate's YAML: durations as `25m`, `3h25m`, `7d`; ranges."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def duration(text: Any) -> timedelta:
    """`3h25m` as a timedelta; ValueError for anything else."""
    if isinstance(text, timedelta):
        return text
    found = _DURATION.fullmatch(str(text))
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is no duration: write it as 25m, 3h25m or 7d")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(duration)]
Range = tuple[float, float]  # lowest and highest
