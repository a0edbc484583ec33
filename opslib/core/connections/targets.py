"""Targets: one system in one account and region, described by parameters/targets/<target>.yaml."""

import fnmatch
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opslib.core import paths, strict_yaml
from opslib.core.errors import UsageError, unknown_name
from opslib.core.strict_yaml import Document
from opslib.core.tables import Json, Params

LAB = "lab/"


@dataclass(frozen=True)
class Policy:
    """What a change needs here before it is applied."""

    apply_at_once: bool = False
    second_person: bool = False
    plan_minutes: int = 60
    apply_role: str = ""  # the ARN of the role by whose sessions a change is made


class Facts(dict[str, Any]):
    """A part of a target's YAML; a key that is not there is a UsageError that names the file."""

    def __init__(self, values: Params, file: str, *place: str) -> None:
        super().__init__(values)
        self._file, self._place = file, place
        for key, value in values.items():
            if isinstance(value, dict):
                self[key] = Facts(value, file, *place, key)

    def __missing__(self, key: str) -> Any:
        place = (*self._place, key)
        if strict_yaml.declares("target", place):
            raise UsageError(
                f"{self._file} describes no {'.'.join(place)}, which is needed here. "
                "Add it to that file."
            )
        kind = ".".join(self._place) or "section"
        raise unknown_name(kind, key, self, f" in {self._file}")

    def plain(self) -> Json:
        """As JSON has it."""
        return dict(json.loads(json.dumps(self)))


def texts(facts: Any, apart: Collection[str] = ()) -> Iterator[str]:
    """Every text in a target's facts, but for what stands under these keys."""
    if isinstance(facts, str):
        yield facts
    elif isinstance(facts, list):
        for each in facts:
            yield from texts(each, apart)
    elif isinstance(facts, dict):
        for key in facts.keys() - {*apart}:
            yield from texts(facts[key], apart)


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
        """A section of the facts (`target["queues"]["analysis"]["name"]`); UsageError when not
        described.
        """
        return self.facts[section]

    def at(self, *place: str) -> Any:
        """What the facts have there (`at("alarms", "expected")`); else an empty mapping."""
        found: Any = self.facts
        for key in place:
            found = found.get(key, {})
        return found

    @property
    def may_apply_at_once(self) -> bool:
        """Its policy lets a plan be applied that nobody saw; its practice copy always does."""
        return self.lab or (self.policy.apply_at_once and not self.policy.second_person)


def entry_of(target: Target, name: str) -> str:
    """A procedure or entry that a file names; without a system it is the target's own."""
    return name if "/" in name or not name else f"{target.system}/{name}"


def names() -> list[str]:
    """Every described target, without its lab copy."""
    return sorted(path.stem for path in (paths.parameters() / "targets").glob("*.yaml"))


def matching(patterns: Sequence[str]) -> list[str]:
    """Target names for names and patterns, each once: `lab/*`, `*-staging`.

    A pattern without `lab/` never means a practice copy. Raises UsageError when one matches
    nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        prefix = LAB if pattern.startswith(LAB) else ""
        hits = [prefix + name for name in fnmatch.filter(names(), pattern.removeprefix(LAB))]
        if not hits and not any(mark in pattern for mark in "*?["):
            path(pattern)  # says what names are near
        if not hits:
            known = ", ".join(names())
            raise UsageError(
                f"No target matches {pattern!r}. There are: {known}; each also as lab/…."
            )
        found += hits
    return list(dict.fromkeys(found))


def path(name: str) -> Path:
    """The file of a target, or of its practice copy. Raises UsageError with the nearest names."""
    key = name.removeprefix(LAB)
    if key not in names():
        raise unknown_name("target", name, [*names(), *(LAB + n for n in names())])
    return paths.parameters() / "targets" / f"{key}.yaml"


def misnamed(document: Document) -> list[str]:
    """That a file is not called as what it describes."""
    named = f"{document.data['system']}-{document.data['environment']}"
    if document.path.stem == named:
        return []
    return [f"parameters/targets/{document.path.name}: describes {named}; name the file after it."]


def load(name: str) -> Target:
    """The target of that name; `lab/<target>` is its practice copy.

    Raises UsageError with file and line.
    """
    file = path(name)
    document = strict_yaml.read(file)
    if found := strict_yaml.wrong(document, "target") or misnamed(document):
        raise UsageError("\n".join(found))
    return described(name, document.data)


def described(name: str, facts: Json) -> Target:
    """A target of what a file says of it, or would say."""
    plain = ("title", "system", "environment", "production", "account", "region")
    key = name.removeprefix(LAB)
    return Target(
        name=name,
        key=key,
        lab=name.startswith(LAB),
        profile=os.environ.get("OPSLIB_PROFILE", facts.get("profile")) or None,
        policy=Policy(**facts.get("policy", {})),
        facts=Facts(facts, f"parameters/targets/{key}.yaml"),
        **{name: facts[name] for name in plain},
    )
