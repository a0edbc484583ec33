"""DynamoDB tables of a target's file: as it describes them, with the estate's items."""

from collections.abc import Mapping
from typing import Any

from opslib.lab import rhythms
from opslib.lab.corrections.tables import changes
from opslib.lab.places import Place
from opslib.lab.resources import names


def seed(place: Place) -> None:
    """The tables, on demand, and a day of what they use."""
    for key, facts in place.facts.get("tables", {}).items():
        _create(place, facts)
        _measure(place, key, facts["name"])


def _create(place: Place, facts: Mapping[str, Any]) -> None:
    dynamo, name = place.client("dynamodb"), facts["name"]
    keys = {"HASH": facts.get("key", "id")} | ({"RANGE": facts["sort"]} if "sort" in facts else {})
    dynamo.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": each, "KeyType": kind} for kind, each in keys.items()],
        AttributeDefinitions=[
            {"AttributeName": each, "AttributeType": "S"} for each in keys.values()
        ],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "app", "Value": place.target.system}],
    )
    if "time_to_live" in facts:
        given = {"Enabled": True, "AttributeName": facts["time_to_live"]}
        dynamo.update_time_to_live(TableName=name, TimeToLiveSpecification=given)
    if facts.get("point_in_time", True):  # a quiet copy: as it should be where nothing is said
        on = {"PointInTimeRecoveryEnabled": True}
        dynamo.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=on)


def put(place: Place, name: str, items: list[dict[str, Any]]) -> None:
    """Items, in DynamoDB's JSON, that were there before the lab's start."""
    table = place.backend("dynamodb").get_table(name)
    for item in items:
        table.put_item(item)
    changes(table).clear()


def _measure(place: Place, key: str, name: str) -> None:
    number = names.number(place, f"table {key}")
    for at, (metric, night, day) in enumerate(
        (("ConsumedReadCapacityUnits", 20, 240), ("ConsumedWriteCapacityUnits", 4, 60))
    ):
        fn = rhythms.counts(rhythms.daily_rhythm(night, day, 0.2, number + at), number + at)
        place.metrics.baseline("AWS/DynamoDB", metric, {"TableName": name}, fn, "Count")
