"""The verbs that drills are made of."""

from __future__ import annotations

from opslib.lab.verbs import (
    access,
    caches,
    databases,
    functions,
    held,
    jobs,
    requests,
    searches,
    services,
    stores,
    trails,
    verbs,
    workflows,
)

__all__ = [
    "access",
    "caches",
    "databases",
    "functions",
    "held",
    "jobs",
    "requests",
    "searches",
    "services",
    "stores",
    "trails",
    "verbs",
    "workflows",
]
