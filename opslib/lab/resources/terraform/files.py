"""Terraform's files, written without Terraform.

A state (format 4), and a plan as `terraform show -json` tells it (1.2).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_PROVIDER = "registry.terraform.io/hashicorp/aws"


@dataclass(frozen=True)
class Resource:
    """A managed resource. `values` are its attributes.

    `sensitive` names those at the top that are marked so.
    """

    type: str
    name: str
    values: Mapping[str, Any]
    sensitive: tuple[str, ...] = ()
    index: str | int | None = None
    module: str = ""
    schema_version: int = 0

    @property
    def address(self) -> str:
        index = "" if self.index is None else f"[{json.dumps(self.index)}]"
        return f"{self.module}{'.' if self.module else ''}{self.type}.{self.name}{index}"

    @property
    def marks(self) -> dict[str, Any]:
        """Terraform's own form of it: the shape of the value, `true` where it is sensitive."""
        return {key: True for key in self.sensitive if self.values.get(key) is not None}


@dataclass(frozen=True)
class Planned:
    """What a plan says of one resource."""

    resource: Resource
    actions: tuple[str, ...] = ("no-op",)
    after: Mapping[str, Any] | None = None  # None: as before
    unknown: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    replace_paths: Sequence[Sequence[str | int]] = ()

    def entry(self) -> dict[str, Any]:
        r = self.resource
        gone, new = self.actions == ("delete",), self.actions == ("create",)
        after = None if gone else dict(r.values if self.after is None else self.after)
        change: dict[str, Any] = {
            "actions": list(self.actions),
            "before": None if new else dict(r.values),
            "after": after,
            "after_unknown": dict(self.unknown),
            "before_sensitive": False if new else r.marks,
            "after_sensitive": False if gone else r.marks,
        }
        if self.replace_paths:
            change["replace_paths"] = [list(path) for path in self.replace_paths]
        entry = _named(r) | {"change": change}
        return entry | ({"action_reason": self.reason} if self.reason else {})


def _named(r: Resource) -> dict[str, Any]:
    named: dict[str, Any] = {"address": r.address}
    if r.module:
        named["module_address"] = r.module
    named |= {"mode": "managed", "type": r.type, "name": r.name}
    if r.index is not None:
        named["index"] = r.index
    return named | {"provider_name": _PROVIDER}


def state(
    resources: Sequence[Resource],
    serial: int,
    lineage: str,
    version: str,
    outputs: Mapping[str, Any] | None = None,
) -> bytes:
    """A state file. `outputs`: name to value; one whose name holds `password` is sensitive."""
    document = {
        "version": 4,
        "terraform_version": version,
        "serial": serial,
        "lineage": lineage,
        "outputs": {
            name: _output(name, value) | {"type": "string"}
            for name, value in (outputs or {}).items()
        },
        "resources": [_instance(r) for r in resources],
        "check_results": None,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _output(name: str, value: Any) -> dict[str, Any]:
    return {"value": value, **({"sensitive": True} if "password" in name else {})}


def _instance(r: Resource) -> dict[str, Any]:
    paths = [[{"type": "get_attr", "value": name}] for name in r.sensitive]
    instance: dict[str, Any] = {} if r.index is None else {"index_key": r.index}
    instance |= {
        "schema_version": r.schema_version,
        "attributes": dict(r.values),
        "sensitive_attributes": paths,
    }
    module = {"module": r.module} if r.module else {}
    named = {
        "mode": "managed",
        "type": r.type,
        "name": r.name,
        "provider": f'provider["{_PROVIDER}"]',
    }
    return {**module, **named, "instances": [instance]}


def plan(
    planned: Sequence[Planned],
    made: datetime,
    version: str,
    drift: Sequence[Planned] = (),
    variables: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    errored: bool = False,
) -> bytes:
    """A plan. A variable or output whose name holds `password` is declared sensitive."""
    given, told = variables or {}, outputs or {}
    does_something = any(p.actions != ("no-op",) for p in planned)
    document = {
        "format_version": "1.2",
        "terraform_version": version,
        "variables": {name: {"value": value} for name, value in given.items()},
        "planned_values": _values(planned, told, after=True),
        **(_drift(drift) if drift else {}),
        "resource_changes": [p.entry() for p in planned],
        "output_changes": {name: _unchanged(name, value) for name, value in told.items()},
        "prior_state": {
            "format_version": "1.0",
            "terraform_version": version,
            "values": _values(planned, told, after=False),
        },
        "configuration": _configuration(planned, given),
        "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "applyable": does_something and not errored,
        "complete": not errored,
        "errored": errored,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _values(planned: Sequence[Planned], told: Mapping[str, Any], after: bool) -> dict[str, Any]:
    return {
        "outputs": {n: _told(n, v) for n, v in told.items()},
        "root_module": _module(planned, after),
    }


def _drift(drift: Sequence[Planned]) -> dict[str, Any]:
    relevant = [{"resource": p.resource.address, "attribute": ["id"]} for p in drift]
    return {"resource_drift": [p.entry() for p in drift], "relevant_attributes": relevant}


def _told(name: str, value: Any) -> dict[str, Any]:
    return {"sensitive": "password" in name, "type": "string", "value": value}


def _unchanged(name: str, value: Any) -> dict[str, Any]:
    marked = "password" in name
    return {
        "actions": ["no-op"],
        "before": value,
        "after": value,
        "after_unknown": False,
        "before_sensitive": marked,
        "after_sensitive": marked,
    }


def _module(planned: Sequence[Planned], after: bool) -> dict[str, Any]:
    """The resources as they are, or as they will be."""
    gone = ("delete",) if after else ("create",)
    return {
        "resources": [
            _named(p.resource)
            | {
                "schema_version": p.resource.schema_version,
                "values": dict(p.after if after and p.after is not None else p.resource.values),
                "sensitive_values": p.resource.marks,
            }
            for p in planned
            if p.actions != gone
        ]
    }


def _configuration(planned: Sequence[Planned], given: Mapping[str, Any]) -> dict[str, Any]:
    kept = [p.resource for p in planned if p.actions != ("delete",)]
    variables = {name: {"sensitive": True} if "password" in name else {} for name in given}
    resources = [
        {k: v for k, v in _named(r).items() if k not in ("provider_name", "index")}
        | {"provider_config_key": "aws", "schema_version": r.schema_version, "expressions": {}}
        for r in kept
    ]
    providers = {"aws": {"name": "aws", "full_name": _PROVIDER, "version_constraint": "~> 5.80"}}
    return {
        "provider_config": providers,
        "root_module": {"resources": resources, "variables": variables},
    }
