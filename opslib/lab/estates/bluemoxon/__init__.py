"""bluemoxon, the book-collection app, in the lab: Lambda, API Gateway, Aurora, SQS, S3, Cognito, and its own HTTP API."""

from __future__ import annotations

from opslib.lab.estates.bluemoxon import api, days, drills, handlers
from opslib.lab.places import Estate

ESTATE = Estate(seed=days.seed, api=api.API.handler, functions=handlers.FUNCTIONS, tick=days.tick, drills=drills.DRILLS)
