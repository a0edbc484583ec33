"""A function's configuration against its target's reference table. Values of variables are compared, seldom shown."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opslib.core.reads.functions import ABSENT, HIDDEN, is_secret, variables


def shown(name: str, values: dict[str, str], beside: dict[str, str]) -> str:
    if name not in values:
        return ABSENT
    if not is_secret(name, values[name]):
        return values[name]
    return HIDDEN if beside.get(name, values[name]) == values[name] else f"{HIDDEN}, differs"


def reference(facts: Any) -> str:
    """The reference table's row of a function, in words."""
    parts = [
        f"{facts[key]} {unit}"
        for key, unit in (("timeout_seconds", "s"), ("memory_mb", "MB"))
        if key in facts
    ]
    return ", ".join(
        [*parts, *([f"{len(facts['variables'])} variables"] if facts.get("variables") else [])]
    )


def drift(facts: Any, configuration: dict[str, Any]) -> list[str]:
    """What differs from the reference, in words: lost variables first."""
    found = []
    present = variables(configuration)
    if lost := [name for name in facts.get("variables", ()) if not present.get(name)]:
        found.append(f"lacks {', '.join(lost)}")
    for what, key, unit, reference in (
        ("timeout", "Timeout", "s", "timeout_seconds"),
        ("memory", "MemorySize", "MB", "memory_mb"),
    ):
        wanted = facts.get(reference)
        if wanted is not None and configuration[key] != wanted:
            found.append(f"{what} {configuration[key]} {unit} instead of {wanted} {unit}")
    return found


def undeclared(facts: Any, configuration: dict[str, Any]) -> list[str]:
    """Variables that the reference does not name, a forgotten flag for one; none when it names no variables at all."""
    return (
        sorted(set(variables(configuration)) - set(facts["variables"]))
        if facts.get("variables")
        else []
    )


def differences(
    present: dict[str, Any], latest: dict[str, Any], besides: Collection[str] = ()
) -> list[str]:
    """What publishing $LATEST would change for those who call the live version, but for these variables or settings."""
    keys = (
        "Runtime",
        "Handler",
        "Timeout",
        "MemorySize",
        "Role",
        "Layers",
        "VpcConfig",
        "EphemeralStorage",
        "TracingConfig",
    )
    found = [
        f"{key}: {present.get(key)} to {latest.get(key)}"
        for key in keys
        if key not in besides and present.get(key) != latest.get(key)
    ]
    before, after = variables(present), variables(latest)
    for name in sorted((before.keys() | after.keys()) - set(besides)):
        if before.get(name) != after.get(name):
            found.append(f"{name}: {shown(name, before, after)} to {shown(name, after, before)}")
    return found


def row(function: str, of: str, facts: Any, configuration: dict[str, Any]) -> dict[str, Any]:
    return {
        "function": function,
        "of": of,
        "version": configuration["Version"],
        "timeout_seconds": configuration["Timeout"],
        "memory_mb": configuration["MemorySize"],
        "runtime": configuration.get("Runtime", ""),
        "state": configuration.get("State", ""),
        "variables": len(variables(configuration)),
        "drift": "; ".join(drift(facts, configuration)),
    }
