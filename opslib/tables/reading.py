"""DynamoDB tables as they are."""

from functools import cached_property

from opslib.core import Described, Json, Kind, Thing, beside

TABLE = Kind(**beside(__file__, "dynamodb")["kind"])
ON_DEMAND = "PAY_PER_REQUEST"


class Table(Described):
    """A DynamoDB table of the target."""

    section = "tables"

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
