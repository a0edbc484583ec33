"""Terraform plans as JSON, read without Terraform: what would happen to which resource, and why.

The format is that of `terraform show -json` (developer.hashicorp.com/terraform/internals/json-format), version 1.x.
Sensitive values stand in it in clear text; what leaves this module has them hidden.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opslib.core.errors import UsageError
from opslib.core.reads.functions import is_secret
from opslib.deployments import values
from opslib.deployments.values import Difference

MAKE_JSON = "terraform show -json tfplan > plan.json"
_MAJOR = "1"
# What is done, by Terraform's actions. Whatever else holds "delete" destroys.
_KINDS = {
    "": "nothing",
    "no-op": "nothing",
    "delete": "destroy",
    "delete+create": "replace",
    "create+delete": "replace",
    "create+forget": "forget",  # and a new one is made beside it
}
_REASONS = {
    "replace_because_cannot_update": "cannot be changed in place",
    "replace_because_tainted": "marked as tainted",
    "replace_by_request": "asked for with -replace",
    "replace_by_triggers": "triggered by another resource (replace_triggered_by)",
    "delete_because_no_resource_config": "no longer in the configuration",
    "delete_because_wrong_repetition": "count or for_each was added or taken away",
    "delete_because_count_index": "its index is beyond count",
    "delete_because_each_key": "its key is no longer in for_each",
    "delete_because_no_module": "its module is no longer in the configuration",
    "delete_because_no_move_target": "moved to something that is not in the configuration",
}


@dataclass(frozen=True)
class Change:
    """What happens, or has happened, to one resource. `forces`: the attributes because of which it is replaced."""

    address: str
    type: str
    kind: str
    reason: str
    before: dict[str, Any] = field(repr=False)
    after: dict[str, Any] = field(repr=False)
    forces: tuple[str, ...] = ()
    moved_from: str = ""
    deposed: bool = False

    @property
    def destroys(self) -> bool:
        return self.kind in ("destroy", "replace")

    @functools.cached_property
    def differences(self) -> list[Difference]:
        """What differs, attribute by attribute, in words; sensitive values are hidden."""
        return list(values.differences(self.before, self.after))


@dataclass(frozen=True)
class TerraformPlan:
    """A plan: what Terraform found changed outside it, and what it would do.

    `made` is when its file was written where it does not say (before Terraform 1.5).
    """

    where: str
    version: str
    made: datetime
    errored: bool
    complete: bool
    drift: tuple[Change, ...]
    changes: tuple[Change, ...]
    outputs: dict[str, str]  # name: create, update, destroy
    failed_checks: tuple[str, ...]  # `check` blocks and conditions that do not hold
    refresh_only: bool

    def of_kind(self, kind: str) -> list[Change]:
        return [change for change in self.changes if change.kind == kind]

    @functools.cached_property
    def touched(self) -> frozenset[str]:
        """The addresses of what an apply would do something to."""
        return frozenset(c.address for c in self.changes if c.kind not in ("nothing", "read"))


@functools.lru_cache(maxsize=2)  # the checks of one notebook read the same file
def parse(content: bytes, where: str, written: datetime) -> TerraformPlan:
    """A plan out of a file's bytes. `where` names the file in messages. Raises UsageError for anything else."""
    document = _document(content, where)
    found: set[str] = set()
    drift, changes = (
        [_change(entry, found) for entry in document.get(part) or () if entry.get("mode") != "data"]
        for part in ("resource_drift", "resource_changes")
    )
    outputs = document.get("output_changes") or {}
    _hide_others(document, outputs, found)
    values.register(found)
    return TerraformPlan(
        where,
        str(document.get("terraform_version", "")),
        _moment(document.get("timestamp")) or written,
        bool(document.get("errored")),
        bool(document.get("complete", True)) and not document.get("deferred_changes"),
        tuple(change for change in drift if change.kind != "nothing"),
        tuple(changes),
        {n: kind for n, o in outputs.items() if (kind := _kind(o)) != "nothing"},
        tuple(
            str((failed.get("address") or {}).get("to_display", "a check"))
            for failed in document.get("checks") or ()
            if failed.get("status") in ("fail", "error")
        ),
        bool(document.get("resource_drift")) and not document.get("resource_changes"),
    )


def _hide_others(document: dict[str, Any], outputs: dict[str, Any], found: set[str]) -> None:
    """What is marked as sensitive in outputs and variables."""
    for output in outputs.values():
        _sides(output, found)
    root = (document.get("configuration") or {}).get("root_module") or {}
    declared = root.get("variables") or {}
    for name, variable in (document.get("variables") or {}).items():
        if (declared.get(name) or {}).get("sensitive") or is_secret(name):
            values.hide((variable or {}).get("value"), True, found)


def _change(entry: dict[str, Any], found: set[str]) -> Change:
    raw = entry.get("change") or {}
    kind, moved = _kind(raw), str(entry.get("previous_address", ""))
    if kind == "nothing":
        kind = "move" if moved else "import" if raw.get("importing") else kind
    reason = str(entry.get("action_reason", ""))
    return Change(
        str(entry.get("address", "?")),
        str(entry.get("type", "")),
        kind,
        _REASONS.get(reason, reason.replace("_", " ")),
        *_sides(raw, found),
        tuple(sorted(map(_path, raw.get("replace_paths") or ()))),
        moved,
        bool(entry.get("deposed")),
    )


def _sides(raw: dict[str, Any], found: set[str]) -> tuple[Any, Any]:
    before, after = (
        values.hide(raw.get(side), raw.get(f"{side}_sensitive"), found) or {}
        for side in ("before", "after")
    )
    return before, values.with_later(after, raw.get("after_unknown"))


def _path(steps: Sequence[str | int]) -> str:
    """`ingress[0].cidr_blocks` of Terraform's ["ingress", 0, "cidr_blocks"]."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return "".join(parts).lstrip(".")


def _kind(change: dict[str, Any]) -> str:
    actions = change.get("actions") or ()
    said = "+".join(actions)
    return _KINDS.get(said) or ("destroy" if "delete" in actions else said)


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _document(content: bytes, where: str) -> dict[str, Any]:
    """The JSON of a plan. Raises UsageError that says what makes it."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    found = document if isinstance(document, dict) else {}
    version = str(found.get("format_version", ""))
    if not version or not {"planned_values", "resource_changes", "configuration"} & found.keys():
        raise UsageError(
            f"{where} is no plan as `terraform show -json` writes it. Make one, in Terraform's "
            f"directory: terraform plan -out=tfplan, then {MAKE_JSON}"
        )
    if version.split(".")[0] != _MAJOR:
        raise UsageError(
            f"{where} has format version {version}; this reads {_MAJOR}.x, which Terraform writes "
            "since 1.1. Make the plan with a newer Terraform, or read it by eye: "
            "terraform show tfplan"
        )
    return found
