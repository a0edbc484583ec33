"""Terraform plans as JSON, read without Terraform: what would happen to which resource, and why.

The format is that of `terraform show -json` (developer.hashicorp.com/terraform/internals/json-format), version 1.x.
Sensitive values stand in it in clear text; what leaves this module has them hidden.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opslib.core.errors import UsageError
from opslib.deployments import values
from opslib.deployments.values import Difference, Hidden

MAKE_JSON = "terraform show -json tfplan > plan.json"
_MAJOR = "1"
_ZIP, _UTF16 = b"PK\x03\x04", (b"\xff\xfe", b"\xfe\xff")
# What is done, by Terraform's actions. Whatever else holds "delete" destroys.
_KINDS = {
    ("no-op",): "nothing",
    ("read",): "read",
    ("create",): "create",
    ("update",): "update",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
    ("create", "forget"): "forget",  # and a new one is made beside it
}
_DESTROYING = ("destroy", "replace")
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
    """What happens, or has happened, to one resource. `raw` is Terraform's own `change`, with secrets in it."""

    address: str
    type: str
    kind: str
    reason: str
    raw: dict[str, Any] = field(repr=False)
    hidden: Hidden = field(repr=False)
    moved_from: str = ""
    deposed: bool = False

    @property
    def destroys(self) -> bool:
        return self.kind in _DESTROYING

    @property
    def forces(self) -> set[str]:
        """The attributes because of which it has to be replaced."""
        return {values.path(steps) for steps in self.raw.get("replace_paths") or ()}

    def before(self, attribute: str) -> Any:
        """The recorded value of an attribute at the top; None when there is none."""
        return (self.raw.get("before") or {}).get(attribute)

    def differences(self) -> list[Difference]:
        """What differs, attribute by attribute, in words; sensitive values are hidden."""
        return values.differences(self.raw, self.hidden)


@dataclass(frozen=True)
class TerraformPlan:
    """A plan: what Terraform found changed outside it, and what it would do. `made` is None before Terraform 1.5."""

    version: str
    made: datetime | None
    errored: bool
    complete: bool
    drift: tuple[Change, ...]
    changes: tuple[Change, ...]
    outputs: dict[str, str]  # name: create, update, destroy
    failed_checks: tuple[str, ...]
    refresh_only: bool

    def of_kind(self, *kinds: str) -> list[Change]:
        return [change for change in self.changes if change.kind in kinds]

    def corrects(self, drifted: Change) -> bool:
        """Would applying it touch what was changed outside Terraform?"""
        return drifted.address in self._touched

    @functools.cached_property
    def _touched(self) -> frozenset[str]:
        return frozenset(c.address for c in self.changes if c.kind not in ("nothing", "read"))


@functools.lru_cache(maxsize=2)  # the checks of one notebook read the same file
def parse(content: bytes, where: str) -> TerraformPlan:
    """A plan out of a file's bytes. `where` names the file in messages. Raises UsageError for anything else."""
    document = _document(content, where)
    hidden = Hidden(values.secrets(document))
    hidden.register()
    return TerraformPlan(
        version=str(document.get("terraform_version", "")),
        made=_moment(document.get("timestamp")),
        errored=bool(document.get("errored", False)),
        complete=bool(document.get("complete", True)) and not document.get("deferred_changes"),
        drift=tuple(
            c for c in _changes(document.get("resource_drift"), hidden) if c.kind != "nothing"
        ),
        changes=tuple(_changes(document.get("resource_changes"), hidden)),
        outputs={
            name: kind
            for name, change in (document.get("output_changes") or {}).items()
            if (kind := _kind(change.get("actions") or ())) != "nothing"
        },
        failed_checks=tuple(_failed_checks(document.get("checks"))),
        refresh_only=bool(document.get("resource_drift")) and not document.get("resource_changes"),
    )


def _changes(entries: Sequence[dict[str, Any]] | None, hidden: Hidden) -> Iterator[Change]:
    for entry in entries or ():
        raw = entry.get("change") or {}
        if entry.get("mode") == "data":
            continue
        kind, moved = _kind(raw.get("actions") or ()), str(entry.get("previous_address", ""))
        if kind == "nothing" and moved:
            kind = "move"
        if kind == "nothing" and raw.get("importing"):
            kind = "import"
        reason = str(entry.get("action_reason", ""))
        yield Change(
            str(entry.get("address", "?")),
            str(entry.get("type", "")),
            kind,
            _REASONS.get(reason, reason.replace("_", " ")),
            raw,
            hidden,
            moved,
            bool(entry.get("deposed")),
        )


def _kind(actions: Sequence[str]) -> str:
    known = _KINDS.get(tuple(actions))
    return known or ("destroy" if "delete" in actions else "+".join(actions) or "nothing")


def _failed_checks(checks: Any) -> Iterator[str]:
    """Addresses of `check` blocks and conditions that do not hold."""
    for check in checks or ():
        if check.get("status") in ("fail", "error"):
            yield str((check.get("address") or {}).get("to_display", "a check"))


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _document(content: bytes, where: str) -> dict[str, Any]:
    """The JSON of a plan. Raises UsageError that says what the file is instead, and what makes the right one."""
    if content.startswith(_ZIP):
        raise UsageError(
            f"{where} is a binary plan file. Make JSON of it, in Terraform's directory: {MAKE_JSON}"
        )
    try:
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
        document = json.loads(text)
    except ValueError as exc:
        raise UsageError(
            f"{where} is not JSON: {_instead(content)} Make it so: {MAKE_JSON}"
        ) from exc
    if not isinstance(document, dict):
        raise UsageError(f"{where} is JSON, but no plan. Make it so: {MAKE_JSON}")
    if {"serial", "lineage"} <= document.keys() or (
        "values" in document and "resource_changes" not in document
    ):
        raise UsageError(
            f"{where} is a state, not a plan. Make a plan: terraform plan -out=tfplan, then {MAKE_JSON}"
        )
    version = str(document.get("format_version", ""))
    if not version or not (
        {"planned_values", "resource_changes", "configuration"} & document.keys()
    ):
        raise UsageError(f"{where} is JSON, but no plan of Terraform's. Make it so: {MAKE_JSON}")
    if version.split(".")[0] != _MAJOR:
        raise UsageError(
            f"{where} has format version {version}; this reads {_MAJOR}.x, which Terraform writes since 1.1. "
            "Make the plan with a newer Terraform, or read it by eye: terraform show tfplan"
        )
    return document


def _instead(content: bytes) -> str:
    start = content[:2000].decode("utf-8", "replace")
    if '"@level"' in start:
        return "it is the log that `terraform plan -json` writes."
    if "Terraform" in start:
        return "it is what `terraform plan` writes for people."
    return (
        "it may be cut off."
        if start.lstrip().startswith("{")
        else "it begins otherwise."
        if start
        else "it is empty."
    )
