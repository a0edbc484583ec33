"""The cache of a target's file: a Valkey server of its own, and the secret that opens it."""

from __future__ import annotations

from opslib.lab.places import Place
from opslib.lab.resources import names, secrets
from opslib.lab.valkey import Valkey

_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def seed(place: Place, days: int) -> None:
    """It runs, empty; the secret that the file names is its address. `days`: the secret's age."""
    server = place.world.caches.get(place.name)
    if server is None:
        rng = names.generator(place, "cache")
        server = place.world.caches[place.name] = Valkey("".join(rng.choices(_LETTERS, k=32)))
    server.fill({})
    if secret := place.facts["cache"].get("secret"):
        url = f"redis://:{server.password}@127.0.0.1:{server.port}/0"
        secrets.put(place, str(secret), url, days)


def of(place: Place) -> Valkey:
    server: Valkey = place.world.caches[place.name]
    return server
