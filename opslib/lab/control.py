"""The lab's own HTTP.

/_lab/ping, status, drills, state, break, mend, reset, deny, allow, settings.
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from opslib.core.errors import OpsError, UsageError
from opslib.lab import snapshots
from opslib.lab.world import World

log = logging.getLogger("opslib.lab")
Handler = Callable[[World, dict[str, Any]], Any]


def handle(world: World, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Answers a request under /_lab/ with JSON; errors as {"error": class name, "message":
    text}.
    """
    try:
        given = json.loads(body or b"{}")
        handler = _HANDLERS.get((method, path.strip("/")))
        if handler is None:
            raise UsageError(f"The lab has no {method} /_lab/{path}.")
        return 200, json.dumps(handler(world, given), default=str).encode()
    except OpsError as exc:
        return 400, json.dumps({"error": type(exc).__name__, "message": str(exc)}).encode()
    except Exception as exc:
        log.exception("%s %s", method, path)
        return 500, json.dumps(
            {"error": "OpsError", "message": f"The lab failed: {exc!r}"}
        ).encode()


def _ping(world: World, given: dict[str, Any]) -> dict[str, Any]:
    return {"pid": os.getpid()}


def _status(world: World, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": world.url,
        "pid": os.getpid(),
        "seed": world.seed,
        "clock_offset_hours": world.clock_offset_hours,
        "started": world.started,
        "targets": sorted(place.target.name for place in world.places.values()),
        "empty": sorted(
            place.target.name for place in world.places.values() if not place.described
        ),
        "skipped": world.skipped,
        "plain": world.plain,
        "broken": [
            {"drill": drill, "target": world.places[name].target.name}
            for name, drill in world.broken
        ],
        "denied": {
            p.target.name: sorted(p.faults["deny"])
            for p in world.places.values()
            if p.faults.get("deny")
        },
        "settings": world.settings,
        "postgres": {
            "port": world.postgres.port,
            "pid": world.postgres.pid,
            "databases": world.postgres.databases(),
            "memory_mb": _megabytes(world.postgres.pid),
        },
        "memory_mb": _megabytes(os.getpid()),
    }


def _megabytes(pid: int | None) -> int:
    """What a process and its children hold in memory.

    What they share is counted once where the system tells.
    """
    import psutil

    held = 0
    with suppress(psutil.NoSuchProcess):  # PostgreSQL's processes come and go
        process = psutil.Process(pid)
        family = [process] if pid == os.getpid() else [process, *process.children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                info = each.memory_full_info()
                held += getattr(info, "pss", info.rss)
    return int(held / 1e6)


def _drills(world: World, given: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": drill.name,
            "title": drill.title,
            "targets": [place.target.name for place in places],
            "found_by": list(drill.found_by),
            "on": [
                place.target.name for place in places if (place.name, drill.name) in world.broken
            ],
        }
        for drill, places in world.drills()
    ]


def _break(world: World, given: dict[str, Any]) -> dict[str, Any]:
    place = world.break_drill(given["name"], given.get("target"))
    return {"drill": given["name"], "target": place.target.name}


def _mend(world: World, given: dict[str, Any]) -> list[dict[str, Any]]:
    mended = world.mend(given.get("name"), given.get("target"))
    return [{"drill": drill, "target": world.places[name].target.name} for drill, name in mended]


def _reset(world: World, given: dict[str, Any]) -> dict[str, Any]:
    before = set(world.places)
    world.reset(given.get("whole", False))
    return {"new": sorted(world.places[name].target.name for name in set(world.places) - before)}


def _state(world: World, given: dict[str, Any]) -> dict[str, Any]:
    return snapshots.state(world.place(given["target"]))


def _deny(world: World, given: dict[str, Any]) -> dict[str, Any]:
    world.place(given["target"]).deny(given["operation"], given.get("message", ""))
    return {}


def _allow(world: World, given: dict[str, Any]) -> dict[str, Any]:
    place = world.place(given["target"])
    for operation in (
        [given["operation"]] if given.get("operation") else list(place.faults.get("deny", {}))
    ):
        place.allow(operation)
    return {}


def _settings(world: World, given: dict[str, Any]) -> dict[str, float]:
    for name, value in given.items():
        if name not in world.settings:
            raise UsageError(
                f"The lab has no setting {name!r}. Known: {', '.join(world.settings)}."
            )
        world.settings[name] = float(value)
    return world.settings


_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "ping"): _ping,
    ("GET", "status"): _status,
    ("GET", "drills"): _drills,
    ("POST", "state"): _state,
    ("POST", "break"): _break,
    ("POST", "mend"): _mend,
    ("POST", "reset"): _reset,
    ("POST", "deny"): _deny,
    ("POST", "allow"): _allow,
    ("POST", "settings"): _settings,
}
