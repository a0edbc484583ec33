"""Deployments that a drill makes and takes back: a version that fails, settings that somebody changed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import functions
from opslib.lab.traffic import journals


def same(function: Any) -> None:
    """Other code, the same configuration."""


def settings(lost: Iterable[str] = (), timeout: int | None = None, memory: int | None = None) -> Callable[[Any], None]:
    """A change for `functions.deploy`: variables lost, another timeout in seconds, another memory in MB."""
    gone = set(lost)

    def change(function: Any) -> None:
        function.timeout = timeout or function.timeout
        function.memory_size = memory or function.memory_size
        function.environment_vars = {k: v for k, v in function.environment_vars.items() if k not in gone}

    return change


def deploy_bad(place: Place, drill: str, key: str, when: datetime) -> None:
    """A new version of the function behind the API is live since then, and fails one request in four."""
    version = functions.deploy(place, drill, key, when, same)
    place.memory.setdefault("bad", set()).add((key, version))
    place.memory.setdefault("bad of", {})[drill] = key, version
    journals.retell(place)


def withdraw(place: Place, drill: str, key: str) -> None:
    """The function behind the API is as before the drill's deployment, and was never otherwise."""
    functions.withdraw(place, drill, key)
    if bad := place.memory.get("bad of", {}).pop(drill, None):
        place.memory["bad"].discard(bad)
        place.memory.pop("asked", None)
    journals.retell(place)
