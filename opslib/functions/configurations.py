"""A function's configuration against its target's reference table.

Values of variables are compared, seldom shown.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from opslib.core import Json
from opslib.core.reads.functions import variables
from opslib.core.redaction import names_a_secret

CONFIGURATIONS = {
    "function": "str",
    "of": "str",
    "version": "str",
    "timeout_seconds": "int64",
    "memory_mb": "int64",
    "runtime": "str",
    "state": "str",
    "variables": "int64",
    "drift": "str",
}
HIDDEN, ABSENT = "(hidden)", "(not set)"


class Setting(NamedTuple):
    """A number that a function is given. `name`: Lambda's, `key`: that of the target's file."""

    name: str
    key: str
    title: str
    unit: str
    least: int
    most: int

    def told(self, value: int) -> str:
        return f"{self.title.lower()} {value:,} {self.unit}"


SETTINGS = (
    Setting("MemorySize", "memory_mb", "Memory", "MB", 128, 10_240),
    Setting("Timeout", "timeout_seconds", "Time-out", "s", 1, 900),
)
_COMPARED = (
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


def readable(name: str, values: dict[str, str], beside: dict[str, str]) -> str:
    """A variable's value, unless it looks secret.

    Then only whether it differs from the one beside.
    """
    value = values.get(name, ABSENT)
    if value == ABSENT or not names_a_secret(name, value):
        return value
    return HIDDEN if beside.get(name, value) == value else f"{HIDDEN}, differs"


def reference(facts: Any) -> str:
    """The reference table's row of a function, in words."""
    parts = [setting.told(facts[setting.key]) for setting in SETTINGS if setting.key in facts]
    if facts.get("variables"):
        parts.append(f"{len(facts['variables'])} variables")
    return ", ".join(parts)


def drift(facts: Any, configuration: Json) -> list[str]:
    """What differs from the reference, in words: lost variables first."""
    present = variables(configuration)
    lost = [name for name in facts.get("variables", ()) if not present.get(name)]
    return [f"lacks {', '.join(lost)}"] * bool(lost) + [
        f"{of.told(configuration[of.name])} instead of {facts[of.key]:,} {of.unit}"
        for of in SETTINGS
        if facts.get(of.key, configuration[of.name]) != configuration[of.name]
    ]


def undeclared(facts: Any, configuration: Json) -> list[str]:
    """Variables that the reference does not name, a forgotten flag for one.

    None when it names no variables at all.
    """
    named = facts.get("variables")
    return sorted(set(variables(configuration)) - set(named)) if named else []


def differences(present: Json, latest: Json, besides: Collection[str] = ()) -> list[str]:
    """What publishing $LATEST would change for those who call the live version.

    `besides`: variables or settings that are left out.
    """
    found = [
        f"{key}: {present.get(key)} to {latest.get(key)}"
        for key in _COMPARED
        if key not in besides and present.get(key) != latest.get(key)
    ]
    before, after = variables(present), variables(latest)
    return found + [
        f"{name}: {readable(name, before, after)} to {readable(name, after, before)}"
        for name in sorted((before.keys() | after.keys()) - set(besides))
        if before.get(name) != after.get(name)
    ]


def row(function: str, of: str, facts: Any, configuration: Json) -> Json:
    """A row of CONFIGURATIONS."""
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
