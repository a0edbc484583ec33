"""Targets: one system in one account and region, described by parameters/targets/<target>.yaml."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opslib.core import paths, strict_yaml
from opslib.core.errors import UsageError, unknown_name

LAB = "lab/"


@dataclass(frozen=True)
class Policy:
    """What a change needs here before it is applied."""

    apply_at_once: bool = False
    second_person: bool = False
    plan_minutes: int = 60


class Facts(Mapping[str, Any]):
    """A part of a target's YAML; a key that is not there is a UsageError that names the file."""

    def __init__(self, values: Mapping[str, Any], where: str, file: str) -> None:
        self._values, self._where, self._file = values, where, file

    def __getitem__(self, key: str) -> Any:
        if key not in self._values:
            if strict_yaml.declares(
                "target", [*self._where.split("."), key] if self._where else [key]
            ):
                fact = f"{self._where}.{key}".lstrip(".")
                raise UsageError(
                    f"{self._file} describes no {fact}, which is needed here. Add it to that file."
                )
            raise unknown_name(self._where or "section", key, self._values, f" in {self._file}")
        value = self._values[key]
        return (
            Facts(value, f"{self._where}.{key}".lstrip("."), self._file)
            if isinstance(value, dict)
            else value
        )

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self._values else default

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def plain(self) -> dict[str, Any]:
        return dict(self._values)


@dataclass(frozen=True)
class Target:
    """A target by name. `lab` says that its practice copy is meant; the name decides."""

    name: str
    key: str
    lab: bool
    title: str
    system: str
    environment: str
    production: bool
    account: str
    region: str
    profile: str | None
    policy: Policy
    facts: Facts = field(repr=False)

    def __getitem__(self, section: str) -> Any:
        """A section of the facts (`target["queues"]["analysis"]["name"]`); UsageError when not described."""
        return self.facts[section]

    @property
    def may_apply_at_once(self) -> bool:
        return self.lab or self.policy.apply_at_once


def names() -> list[str]:
    """Every described target, without its lab copy."""
    return sorted(path.stem for path in (paths.parameters() / "targets").glob("*.yaml"))


def matching(patterns: Sequence[str]) -> list[str]:
    """Target names for names and patterns: `lab/*` is every target in the lab, `*-staging` every staging, each once.

    A pattern without `lab/` never means a practice copy. Raises UsageError when one matches nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        if any(mark in pattern for mark in "*?["):
            prefix = LAB if pattern.startswith(LAB) else ""
            hits = [prefix + name for name in fnmatch.filter(names(), pattern.removeprefix(LAB))]
            if not hits:
                raise UsageError(
                    f"No target matches {pattern!r}. There are: {', '.join(names())}; each also as lab/…."
                )
            found += hits
        else:
            found.append(load(pattern).name)
    return list(dict.fromkeys(found))


def load(name: str) -> Target:
    """The target of that name; `lab/<target>` is its practice copy. Raises UsageError with file and line."""
    key = name.removeprefix(LAB)
    if key not in names():
        raise unknown_name("target", name, [*names(), *(LAB + n for n in names())])
    path = paths.parameters() / "targets" / f"{key}.yaml"
    facts = strict_yaml.load(path, "target")
    shown = f"parameters/targets/{key}.yaml"
    if key != f"{facts['system']}-{facts['environment']}":
        raise UsageError(
            f"{shown}: describes {facts['system']}-{facts['environment']}; name the file after it."
        )
    plain = {
        k: facts[k] for k in ("title", "system", "environment", "production", "account", "region")
    }
    return Target(
        name=name,
        key=key,
        lab=name.startswith(LAB),
        profile=facts.get("profile"),
        policy=Policy(**facts.get("policy", {})),
        facts=Facts(facts, "", shown),
        **plain,
    )
