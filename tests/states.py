"""Where two states of the lab differ."""

from __future__ import annotations

from typing import Any


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """The paths at which they differ (`s3.bucket.key`), sorted.

    A branch that is only on one side is one path.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[str] = []
        for key in sorted({*before, *after}, key=str):
            name = f"{path}.{key}".lstrip(".")
            if key not in before or key not in after:
                found.append(name)
            else:
                found += differences(before[key], after[key], name)
        return found
    return [] if before == after else [path]
