"""A function's configuration against its target's reference table. Values of variables are compared, seldom shown."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opslib._aws import _SECRET_VARIABLE

if TYPE_CHECKING:
    from opslib.connections import Connection

CONFIGURATIONS = {
    "function": "str", "of": "str", "version": "str", "timeout_seconds": "int64", "memory_mb": "int64", "runtime": "str",
    "state": "str", "variables": "int64", "drift": "str",
}  # fmt: skip
VARIABLES = {"variable": "str", "live": "str", "latest": "str", "described": "bool"}
HIDDEN, ABSENT = "(hidden)", "(not set)"
LATEST = "$LATEST"


def live(ops: Connection, function: str) -> dict[str, Any]:
    """What callers get: the version behind the target's alias, or $LATEST where the target names none."""
    return read(ops, function, ops.target["functions"][function].get("alias", LATEST))


def read(ops: Connection, function: str, qualifier: str = LATEST) -> dict[str, Any]:
    """Lambda GetFunctionConfiguration: without the link to the code that GetFunction gives. Variables come with it."""
    return ops.call(
        "lambda",
        "get_function_configuration",
        FunctionName=ops.target["functions"][function]["name"],
        Qualifier=qualifier,
    )


def states(configuration: dict[str, Any]) -> tuple[str, str]:
    """State and LastUpdateStatus; `("Active", "Successful")` is well. Lambda leaves them out where all is well."""
    return configuration.get("State", "Active"), configuration.get("LastUpdateStatus", "Successful")


def modified(configuration: dict[str, Any]) -> datetime:
    """When the version was published, $LATEST changed. Lambda writes 2026-11-19T10:12:13.000+0000."""
    return datetime.fromisoformat(configuration["LastModified"])


def variables(configuration: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = (configuration.get("Environment") or {}).get("Variables", {})
    return found


def is_secret(name: str, value: str = "") -> bool:
    """Whether a variable looks like a secret by its name. An ARN names a secret, and is none."""
    return any(mark in name.upper() for mark in (*_SECRET_VARIABLE, "DSN")) and not value.startswith("arn:")


def shown(name: str, values: dict[str, str], beside: dict[str, str]) -> str:
    if name not in values:
        return ABSENT
    if not is_secret(name, values[name]):
        return values[name]
    return HIDDEN if beside.get(name, values[name]) == values[name] else f"{HIDDEN}, differs"


def reference(facts: Any) -> str:
    """The reference table's row of a function, in words."""
    parts = [f"{facts[key]} {unit}" for key, unit in (("timeout_seconds", "s"), ("memory_mb", "MB")) if key in facts]
    return ", ".join([*parts, *([f"{len(facts['variables'])} variables"] if facts.get("variables") else [])])


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
    return sorted(set(variables(configuration)) - set(facts["variables"])) if facts.get("variables") else []


def differences(present: dict[str, Any], latest: dict[str, Any], besides: Collection[str] = ()) -> list[str]:
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
