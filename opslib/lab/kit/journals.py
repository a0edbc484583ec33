"""What the functions' log groups say while a drill is on."""

from __future__ import annotations

from opslib.lab.estates.base import Place


def begin(place: Place, drill: str) -> None:
    """From now on, what happens is told in this drill's streams."""
    place.memory.setdefault("drills", {})[drill] = set()


def erase(place: Place, drill: str) -> None:
    """Takes away every line that was written for a drill or while it was on."""
    logs = place.backend("logs")
    for group, name in place.memory.get("drills", {}).pop(drill, set()):
        if group in logs.groups and name in logs.groups[group].streams:
            logs.delete_log_stream(group, name)
