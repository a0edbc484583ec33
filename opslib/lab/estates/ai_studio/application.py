"""What the studio answers, as far as health goes; and what its users have made."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg

from opslib.lab.estates.seeding import Application
from opslib.lab.places import Place
from opslib.lab.resources import buckets, names
from opslib.lab.resources.databases import caches, statements
from opslib.lab.traffic.requests import Answer, Request, require_signed
from opslib.lab.valkey import Value

_MADE = 40  # pictures
_HOUR = timedelta(hours=1)
_THROTTLED = "5e5a0000-0000-4000-8000-000000000003"


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
    """200, or 503 when its cache cannot be used."""
    from redis import RedisError

    try:
        with caches.of(request.place).client() as client:
            client.ping()
    except RedisError:
        return 503, _told(request, "unhealthy")
    return 200, _told(request, "healthy")


def me(request: Request) -> Answer:
    """Who is signed in, by the token."""
    return 200, {"id": require_signed(request, "backend")["sub"]}


def models(request: Request) -> Answer:
    require_signed(request, "gateway")
    return 200, {"models": ["gpt-4o-mini", "claude-sonnet", "gemini-flash"]}


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
    state = (
        b'{"version": 4, "terraform_version": "1.9.8", "serial": 57, '
        b'"lineage": "5e5a7e00-0000-4000-8000-000000000057", "resources": []}'
    )
    at = start - timedelta(days=6)
    buckets.put(place, terraform, "production/terraform.tfstate", state, at, "application/json")
    caches.of(place).fill(dict(_cached(place)))


def _cached(place: Place) -> Iterator[tuple[str, Value]]:
    """Usage as the database has it, sessions, answers of models, and one user who is throttled."""
    start, rng = names.start(place), names.generator(place, "cached")
    for row in statements.asked(place, "usage_today"):
        key = f"usage:{row['kind']}:{row['user_id']}:{row['day']}"
        yield key, (str(row["amount"]), start + timedelta(days=2))
        yield f"ratelimit:count:{row['user_id']}", (str(rng.randrange(1, 30)), start + _HOUR)
        token = f"{rng.getrandbits(128):032x}"
        held = {"user_id": str(row["user_id"]), "plan": "creator"}
        yield f"session:{token}", (held, start + timedelta(days=14))
    for number in range(300):
        yield f"cache:models:{number:04}", ("x" * 200, start + timedelta(hours=6 + number % 9))
    yield f"ratelimit:block:{_THROTTLED}", ("1", start + _HOUR)


APPLICATION = Application(
    routes={
        ("GET", "/healthz"): pages,
        ("GET", "/api/v1/health"): backend,
        ("GET", "/gateway/v1/health"): gateway,
        ("GET", "/api/v1/me"): me,
        ("GET", "/gateway/v1/models"): models,
    },
    seed=seed,
)
