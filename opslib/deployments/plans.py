"""Terraform plans as JSON, read without Terraform: what would happen to which resource, and why.

The format is that of `terraform show -json`
(developer.hashicorp.com/terraform/internals/json-format), version 1.x. Sensitive values stand in it
in clear text; what leaves this module has them hidden.
"""

import functools
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from opslib.core import Json, UsageError, names_a_secret
from opslib.deployments import values
from opslib.deployments.values import Difference, words

MAKE_JSON = "terraform show -json tfplan > plan.json"
_MAJOR = "1"
# What the plan says of itself; before Terraform 1.5 and 1.8 not all of it.
_SAID = """{
    version: terraform_version || '(version not said)',
    errored: errored || `false`,
    complete: complete != `false` && !deferred_changes && !deferred_action_invocations,
    failed_checks: checks[?status == 'fail' || status == 'error'].address.to_display || `[]`,
    refresh_only: resource_drift && !resource_changes && !deferred_changes && !action_invocations
}"""
# Every part of a plan that there is. Of another nobody here knows what it does.
_PARTS = """
    format_version terraform_version variables planned_values resource_drift resource_changes
    deferred_changes action_invocations deferred_action_invocations output_changes prior_state
    configuration relevant_attributes checks timestamp applyable complete errored
    provider_format_version provider_schemas"""
_UNMANAGED = ("data", "ephemeral")


@dataclass(frozen=True)
class Change:
    """What happens, or has happened, to one resource.

    `reason`: why, or where it comes from. `forces`: the attributes because of which it is replaced.
    """

    address: str
    type: str
    kind: str
    reason: str
    before: Json = field(repr=False)
    after: Json = field(repr=False)
    forces: list[str]
    also: tuple[str, ...] = ()  # joined with it: move, import

    @property
    def destroys(self) -> bool:
        return self.kind in ("destroy", "replace")

    @functools.cached_property
    def differences(self) -> list[Difference]:
        """What differs, attribute by attribute, in words; sensitive values are hidden."""
        return list(values.differences(self.before, self.after))

    def taken(self, what: str) -> list[str]:
        """What differs so that this is taken from the resource: a row of `takes`, else nothing."""
        rows = words("takes").get(what, {}).items()
        return [
            str(d)
            for d in self.differences
            if any(f".{d.attribute}".endswith(f".{end}") and d.becomes(to) for end, to in rows)
        ]


@dataclass(frozen=True)
class TerraformPlan:
    """A plan: what Terraform found changed outside it, and what it would do.

    `made` is None where it does not say (before Terraform 1.5): a file's time is that of a copy.
    """

    where: str
    made: datetime | None
    drift: list[Change]
    changes: list[Change]
    outputs: dict[str, str]  # name: create, update, destroy
    version: str
    errored: bool
    complete: bool
    failed_checks: list[str]  # `check` blocks and conditions that do not hold
    refresh_only: bool
    invoked: list[str] = field(default_factory=list)  # actions, and what triggers each
    deferred: list[Change] = field(default_factory=list)  # put off to another round
    odd: list[str] = field(default_factory=list)  # what is not understood

    @property
    def unseen(self) -> str:
        """Why what is listed may not be all; nothing when it is all."""
        if self.errored:
            return "it met an error while planning: what is listed is only a part"
        return f"not understood here: {', '.join(self.odd[:5])}" if self.odd else ""

    @functools.cached_property
    def touched(self) -> set[str]:
        """The addresses of what an apply would do something to."""
        return {c.address for c in self.changes if c.kind not in ("nothing", "read")}


@functools.lru_cache(maxsize=2)  # the checks of one notebook read the same file
def parse(content: bytes, where: str) -> TerraformPlan:
    """A plan out of a file's bytes. `where` names the file in messages. Raises UsageError."""
    import jmespath

    document = _document(content, where)
    odd = [key for key, part in document.items() if part and key not in _PARTS.split()]
    drift, changes, deferred = (
        list(_changes(document, part, odd))
        for part in ("resource_drift", "resource_changes", "deferred_changes")
    )
    outputs = document.get("output_changes") or {}
    for output in outputs.values():
        _sides(output)
    declared = jmespath.search("configuration.root_module.variables", document) or {}
    for name, variable in (document.get("variables") or {}).items():
        if declared.get(name, {}).get("sensitive") or names_a_secret(name):
            values.hide(variable.get("value"), True)
    return TerraformPlan(
        where,
        _moment(document.get("timestamp")),
        [change for change in drift if change.kind not in ("nothing", "move")],
        [*changes, *(change for change in drift if change.kind == "move" and not changes)],
        {name: kind for name, o in outputs.items() if (kind := _kind(o)) != "nothing"},
        **jmespath.search(_SAID, document),
        invoked=[_invoked(entry) for entry in document.get("action_invocations") or ()],
        deferred=deferred,
        odd=odd,
    )


def _invoked(entry: Json) -> str:
    trigger = entry.get("lifecycle_action_trigger") or {}
    event = trigger.get("action_trigger_event", "")
    by = f"{event} of {trigger.get('triggering_resource_address')}" if trigger else "by request"
    return f"{entry.get('address') or entry.get('action_address')} {by}"


def _moment(said: Any) -> datetime | None:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(said)
    return None


def _changes(document: Json, part: str, odd: list[str]) -> Iterator[Change]:
    """What is said of managed resources; one that is not understood is told as odd."""
    for entry in document.get(part) or ():
        try:
            put_off = entry.get("reason", "") if "resource_change" in entry else ""
            entry = entry.get("resource_change", entry)
            if entry["mode"] in _UNMANAGED:
                continue
            change = _change(entry)
        except (AttributeError, KeyError, TypeError) as exc:
            odd.append(f"an entry of {part} ({type(exc).__name__})")
            continue
        if change.kind not in (*words("actions").values(), "move", "import"):
            odd.append(f"{change.address} ({change.kind or 'no action'})")
        yield replace(change, reason=f"put off: {put_off}") if put_off else change


def _change(entry: Json) -> Change:
    raw, moved = entry["change"], entry.get("previous_address", "")
    kind, reason = _kind(raw), str(entry.get("action_reason", ""))
    also = [said for said, is_so in (("move", moved), ("import", raw.get("importing"))) if is_so]
    if kind == "nothing" and also:
        kind = also.pop(0)
    reasons = [words("reasons").get(reason, reason), f"was {moved}" if moved else ""]
    reasons += ["imported"] if "import" in also else []
    if "deposed" in entry:
        reasons = ["a leftover of an earlier replacement"]
    return Change(
        entry["address"],
        entry["type"],
        kind,
        ", ".join(filter(None, reasons)),
        *_sides(raw),
        sorted({str(path[0]) for path in raw.get("replace_paths") or ()}),
        tuple(also),
    )


def _sides(raw: Json) -> tuple[Any, Any]:
    """Before and after, with what is secret or not yet known hidden."""
    before = values.hide(raw.get("before"), raw.get("before_sensitive"))
    after = values.hide(raw.get("after"), raw.get("after_sensitive"), raw.get("after_unknown"))
    return before or {}, after or {}


def _kind(change: Json) -> str:
    said = "+".join(change.get("actions") or ())
    return words("actions").get(said) or ("destroy" if "delete" in said else said)


def _document(content: bytes, where: str) -> Json:
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
