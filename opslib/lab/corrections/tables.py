"""DynamoDB. Moto's restore to a moment copies what is there now; a restored table is there at once,
and always provisioned.

What a write replaces is kept beside its table, so that a moment can be gone back to.
"""

import copy
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from opslib.lab.aws.operations import AwsError, Call, Result, answers

SECONDS = 1.0
_LAG, _KEPT = timedelta(minutes=5), timedelta(days=35)
_POINT = "PointInTimeRecoveryDescription"
_moto_put, _moto_delete = Table.put_item, Table.delete_item
_moto_update = DynamoDBBackend.update_item
Change = tuple[datetime, Any, Any, Any]  # when, its keys, the item that was there before


def install() -> None:
    Table.put_item = _put
    Table.delete_item = _delete
    DynamoDBBackend.update_item = _update


def changes(table: Table) -> list[Change]:
    """What was written since the lab's start, oldest first."""
    kept: list[Change] = table.__dict__.setdefault("lab_changes", [])
    return kept


def _keep(table: Table, key: dict[str, Any]) -> None:
    """The item of a key as it is, before it is written."""
    hash_key = DynamoType(key[table.hash_key_attr])
    range_key = DynamoType(key[table.range_key_attr]) if table.range_key_attr else None
    _keep_of(table, hash_key, range_key)


def _keep_of(table: Table, hash_key: Any, range_key: Any) -> None:
    before = copy.deepcopy(table.get_item(hash_key, range_key))
    changes(table).append((datetime.now(UTC), hash_key, range_key, before))


def _put(self: Table, item_attrs: dict[str, Any], *args: Any, **given: Any) -> Any:
    if {self.hash_key_attr, self.range_key_attr} - {None} <= item_attrs.keys():
        _keep(self, item_attrs)
    return _moto_put(self, item_attrs, *args, **given)


def _delete(self: Table, hash_key: Any, range_key: Any) -> Any:
    _keep_of(self, hash_key, range_key)
    return _moto_delete(self, hash_key, range_key)


def _update(self: DynamoDBBackend, table_name: str, key: dict[str, Any], *args: Any) -> Any:
    table = self.get_table(table_name)
    if {table.hash_key_attr, table.range_key_attr} - {None} <= key.keys():
        _keep(table, key)
    return _moto_update(self, table_name, key, *args)


@answers("dynamodb", "DescribeContinuousBackups")
def describe_continuous_backups(call: Call) -> Result:
    told = copy.deepcopy(call.moto())
    point = told["ContinuousBackupsDescription"][_POINT]
    if point["PointInTimeRecoveryStatus"] == "ENABLED":
        point["EarliestRestorableDateTime"] = _earliest(call)
        point["LatestRestorableDateTime"] = call.received - _LAG
    return told


def _earliest(call: Call) -> datetime:
    return max(call.world.started - timedelta(days=20), call.received - _KEPT)


@answers("dynamodb", "RestoreTableToPointInTime")
def restore_to_point(call: Call) -> Result:
    given = call.params
    when = given.get("RestoreDateTime") or call.received - _LAG
    if not _earliest(call) <= when <= call.received:
        text = "RestoreDateTime is not within the range of the table's recovery."
        raise AwsError("InvalidRestoreTimeException", text, 400)
    source = given.get("SourceTableName") or given["SourceTableArn"].rpartition("/")[2]
    made = _made(call, source)
    for at, hash_key, range_key, before in reversed(changes(call.backend().get_table(source))):
        if at > when:
            _put_back(made, hash_key, range_key, copy.deepcopy(before))
    return {"TableDescription": made.describe()["TableDescription"]}


@answers("dynamodb", "RestoreTableFromBackup")
def restore_from_backup(call: Call) -> Result:
    backup = call.backend().backups.get(call.params["BackupArn"])
    made = _made(call, backup.table.name if backup else "")
    return {"TableDescription": made.describe()["TableDescription"]}


def _made(call: Call, source: str) -> Table:
    """The new table, there after a moment, paid for as the one that it was made from."""
    call.moto()
    backend = call.backend()
    made: Table = backend.tables[call.params["TargetTableName"]]
    if source in backend.tables:
        made.billing_mode = backend.tables[source].billing_mode
        made.throughput = copy.deepcopy(backend.tables[source].throughput)
    made.table_status = "ACTIVE" if call.quiet else "CREATING"
    timer = threading.Timer(SECONDS, setattr, (made, "table_status", "ACTIVE"))
    timer.daemon = True
    timer.start()
    return made


def _put_back(table: Table, hash_key: Any, range_key: Any, before: Any) -> None:
    if range_key is None:
        table.items.pop(hash_key, None)
        if before is not None:
            table.items[hash_key] = before
        return
    table.items[hash_key].pop(range_key, None)
    if before is not None:
        table.items[hash_key][range_key] = before


_UNIT = 4096  # bytes


@answers("dynamodb", "Query")
def query(call: Call) -> Result:
    """What it took, of which moto says the same however much was read: by the items' sizes."""
    told, given = call.moto(), call.params
    if given.get("ReturnConsumedCapacity", "NONE") != "NONE":
        table: Table = call.backend().get_table(given["TableName"])
        keys = (table.hash_key_attr, table.range_key_attr)
        size = 0
        for found in told.get("Items", ()):
            at = [DynamoType(found[key]) if key else None for key in keys]
            size += table.get_item(*at).size()
        units = -(-size // _UNIT) * (1 if given.get("ConsistentRead") else 0.5)
        told["ConsumedCapacity"] = {"TableName": table.name, "CapacityUnits": units}
    return told
