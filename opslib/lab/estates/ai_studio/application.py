"""What the studio answers, as far as health goes; and what its users have made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from opslib.lab.estates.seeding import Application
from opslib.lab.places import Place
from opslib.lab.resources import buckets, names
from opslib.lab.resources.databases import statements
from opslib.lab.traffic.requests import Answer, Request

_MADE = 40  # pictures


def pages(request: Request) -> Answer:
    return 200, "ok"


def backend(request: Request) -> Answer:
    """200, or 503 when its database cannot be used."""
    try:
        statements.asked(request.place, "health")
    except psycopg.Error:
        return 503, _told(request, "unhealthy")
    return 200, _told(request, "healthy")


def gateway(request: Request) -> Answer:
    return 200, _told(request, "healthy")


def _told(request: Request, status: str) -> dict[str, Any]:
    return {"status": status, "timestamp": request.place.now().isoformat()}


def seed(place: Place) -> None:
    """Pictures, and a copy of each; Terraform's state."""
    start = names.start(place)
    assets, backup, terraform = (
        place.facts["buckets"][key]["name"] for key in ("assets", "backup", "terraform")
    )
    for number in range(_MADE):
        key, at = f"images/{number:04}.png", start - timedelta(days=2, hours=5 * number)
        for name in (assets, backup):
            buckets.put(place, name, key, f"{key} ".encode() * 60, at, "image/png")
    state = b'{"version": 4, "terraform_version": "1.9.8", "serial": 57, "resources": []}'
    at = start - timedelta(days=6)
    buckets.put(place, terraform, "production/terraform.tfstate", state, at, "application/json")


APPLICATION = Application(
    routes={
        ("GET", "/healthz"): pages,
        ("GET", "/api/v1/health"): backend,
        ("GET", "/gateway/v1/health"): gateway,
    },
    seed=seed,
)
