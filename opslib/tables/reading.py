"""DynamoDB tables as they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from opslib.core import Connection, Json, Kind, Thing, beside

TABLE = Kind(**beside(__file__, "dynamodb")["kind"])
ON_DEMAND = "PAY_PER_REQUEST"


@dataclass(frozen=True)
class Table:
    """A DynamoDB table of the target. `key`: what the target's file calls it."""

    ops: Connection
    key: str

    @property
    def facts(self) -> Any:
        """What the target's file says of it."""
        return self.ops.target["tables"][self.key]

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def thing(self) -> Thing:
        return Thing(TABLE, self.name)

    @cached_property
    def described(self) -> Json:
        """DynamoDB DescribeTable. Raises NotFound."""
        return self.thing.describe(self.ops)

    @property
    def on_demand(self) -> bool:
        return billing(self.described) == ON_DEMAND


def billing(described: Json) -> str:
    """PAY_PER_REQUEST, or PROVISIONED as without a summary."""
    return str(described.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"))
