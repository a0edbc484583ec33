"""What a step does, as data: shown, hashed, kept and performed.

All of them are loaded: a record's step is undone in a kernel that its chapter never came into.
"""

from opslib.core.actions import (
    actions,
    exact,
    handed,
    lambdas,
    listed,
    logins,
    muting,
    stores,
    upkeep,
    watching,
)

__all__ = [
    "actions",
    "exact",
    "handed",
    "lambdas",
    "listed",
    "logins",
    "muting",
    "stores",
    "upkeep",
    "watching",
]
