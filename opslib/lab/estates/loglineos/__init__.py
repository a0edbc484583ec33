"""loglineos, a ledger of what people and programs did: Lambda, API Gateway, RDS for PostgreSQL, Terraform's state."""

from __future__ import annotations

from opslib.lab.estates.loglineos import api, days, drills, handlers
from opslib.lab.places import Estate

ESTATE = Estate(seed=days.seed, api=api.API.handler, functions=handlers.FUNCTIONS, tick=days.tick, drills=drills.DRILLS)
