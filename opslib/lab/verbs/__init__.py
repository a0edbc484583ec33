"""The verbs that drills are made of."""

from opslib.lab.verbs import (
    access,
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
