"""The practice lab: every described target on this machine, to break and to mend.

Imports nothing heavy.
"""

from typing import Any

from opslib.lab.process import Lab, down, find, up

__all__ = ["Lab", "break_drill", "down", "drills", "find", "mend", "reset", "state", "status", "up"]


def reset(whole: bool = False) -> list[str]:
    """Forgets all changes and drills: the lab as it was when it started, with the targets of today.

    `whole`: systems that nobody has used yet are seeded, too, at once instead of one by one.
    Returns the targets that it did not know before.
    """
    new: list[str] = up().ask("POST", "reset", whole=whole)["new"]
    return new


def status() -> dict[str, Any]:
    """What runs: url, pid, seed, targets, drills that are on, memory. {} when no lab runs."""
    lab = find()
    return lab.ask("GET", "status") if lab else {}


def drills() -> list[dict[str, Any]]:
    """Every drill.

    Name, title, targets that can have it, found_by, on (the targets that have it now).
    """
    listed: list[dict[str, Any]] = up().ask("GET", "drills")
    return listed


def break_drill(name: str, target: str | None = None) -> dict[str, str]:
    """Puts a fault into a target (without one: into the only one that is no production).

    Returns drill and target.

    UsageError for an unknown drill or target.
    """
    put: dict[str, str] = up().ask("POST", "break", name=name, target=target)
    return put


def mend(name: str | None = None, target: str | None = None) -> list[dict[str, str]]:
    """Takes faults out: all, or those of that name or target. Returns drill and target of each."""
    mended: list[dict[str, str]] = up().ask("POST", "mend", name=name, target=target)
    return mended


def state(target: str) -> dict[str, Any]:
    """All that a procedure could change in a target, as one comparable tree. Changes nothing."""
    tree: dict[str, Any] = up().ask("POST", "state", target=target)
    return tree
