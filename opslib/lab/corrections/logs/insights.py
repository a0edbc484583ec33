"""CloudWatch Logs Insights.

Plain moto ignores filter, stats, parse and sort, and takes a query that is malformed.

Read by `_insights_language`; queries are complete as soon as they are started.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from time import time
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogGroup
from moto.logs.responses import LogsResponse

from opslib.lab.corrections.logs.insights_expressions import QueryError
from opslib.lab.corrections.logs.insights_language import Command, Named, read
from opslib.lab.corrections.logs.insights_values import Row, order, text, truth
from opslib.lab.corrections.logs.log_stores import window
from opslib.lab.corrections.logs.logs import find_log_group

_DEFAULT_LIMIT = 10_000


def install() -> None:
    """Set the lab's methods on moto's classes."""
    LogsResponse.start_query = _start_query
    LogsResponse.get_query_results = _get_query_results
    LogsResponse.stop_query = _stop_query


def _malformed(error: QueryError) -> JsonRESTError:
    """MalformedQueryException, with the place in the query."""
    location = {"startCharOffset": error.start, "endCharOffset": error.end}
    answer = JsonRESTError("MalformedQueryException", str(error))
    answer.description = json.dumps(
        {
            "__type": "MalformedQueryException",
            "message": str(error),
            "queryCompileError": {"location": location, "message": str(error)},
        }
    )
    return answer


class Query:
    """A query and its results; in the place of moto's LogQuery."""

    def __init__(
        self, text: str, groups: Sequence[LogGroup], start: int, end: int, limit: int | None
    ) -> None:
        try:
            commands = read(text)
        except QueryError as exc:
            raise _malformed(exc) from None
        self.query_id = str(uuid.uuid4())
        self.query, self.status, self.created = text, "Complete", int(time() * 1000)
        self.log_group_names = [group.name for group in groups]
        rows = [
            Row(event, f"{g.account_id}:{g.name}")
            for g in groups
            for event in window(g, start, end)
        ]
        if len(groups) > 1:
            rows.sort(key=lambda row: row.event.timestamp if row.event else 0)
        self.statistics = {
            "recordsScanned": float(len(rows)),
            "bytesScanned": float(sum(len(row.event.message) for row in rows if row.event)),
            "logGroupsScanned": float(len(groups)),
        }
        self.results, matched = run(commands, rows, limit)
        self.statistics["recordsMatched"] = float(matched)

    def to_json(self, log_group_name: str) -> dict[str, Any]:
        return {
            "queryId": self.query_id,
            "queryString": self.query,
            "status": self.status,
            "createTime": self.created,
            "logGroupName": log_group_name,
        }

    def to_result_json(self) -> dict[str, Any]:
        return {
            "queryLanguage": "CWLI",
            "results": self.results,
            "statistics": self.statistics,
            "status": self.status,
        }


Result = list[dict[str, str]]


class _Run:
    """Rows on their way through the commands. They come oldest first.

    Unless sorted, they leave newest first.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.matched = len(rows)
        self.shown: list[str] = []
        self.is_ordered = self.is_aggregated = False

    def step(self, command: Command) -> None:
        getattr(self, f"_{command.kind}")(command)
        if not self.is_aggregated and command.kind == "filter":
            self.matched = len(self.rows)

    def newest_first(self) -> None:
        if not self.is_ordered and not self.is_aggregated:
            self.rows.reverse()
        self.is_ordered = True

    def _fields(self, command: Command) -> None:
        _make(self.rows, command.columns)
        self.shown.extend(each.name for each in command.columns if each.name not in self.shown)

    def _display(self, command: Command) -> None:
        _make(self.rows, command.columns)
        self.shown = [each.name for each in command.columns]

    def _filter(self, command: Command) -> None:
        condition = command.condition
        assert condition
        self.rows = [row for row in self.rows if truth(condition(row))]

    def _parse(self, command: Command) -> None:
        pattern = command.pattern
        assert pattern
        for row in self.rows:
            value = command.columns[0].node(row)
            match = None if value is None else pattern.search(text(value))
            found = match.groups() if match else (None,) * len(command.names)
            if match and pattern.groupindex:
                found = tuple(match[name] for name in command.names)
            row.made.update(zip(command.names, found, strict=True))

    def _stats(self, command: Command) -> None:
        groups: dict[tuple[Any, ...], list[Row]] = {}
        keys: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in self.rows:
            values = {each.name: each.node(row) for each in command.by}
            key = tuple(values.values())
            groups.setdefault(key, []).append(row)
            keys.setdefault(key, values)
        self.rows = [
            Row(None, made=keys[key] | {each.name: each.node(rows) for each in command.columns})
            for key, rows in groups.items()
        ]
        self.shown = [each.name for each in (*command.by, *command.columns)]
        self.is_aggregated, self.is_ordered = True, False

    def _sort(self, command: Command) -> None:
        pairs = list(zip(command.columns, command.descending, strict=True))
        for column, descending in reversed(pairs):
            self.rows.sort(key=lambda row: order(_value(row, column)), reverse=descending)
        self.is_ordered = True

    def _limit(self, command: Command) -> None:
        self.newest_first()
        del self.rows[command.count :]

    def _dedup(self, command: Command) -> None:
        self.newest_first()
        seen: set[tuple[str, ...]] = set()
        kept = []
        for row in self.rows:
            values = [_value(row, each) for each in command.columns]
            key = tuple(map(text, values))
            if None in values or key not in seen:
                kept.append(row)
            seen.add(key)
        self.rows = kept

    def results(self) -> list[Result]:
        names = self.shown or ["@timestamp", "@message"]
        return [
            _result(row, names if self.is_aggregated else [*names, "@ptr"]) for row in self.rows
        ]


def run(
    commands: Iterable[Command], rows: list[Row], limit: int | None = None
) -> tuple[list[Result], int]:
    """The results of a query over rows, oldest first, and how many rows its filters matched."""
    state = _Run(rows)
    for command in commands:
        state.step(command)
    state.newest_first()
    del state.rows[limit or _DEFAULT_LIMIT :]
    return state.results(), state.matched


def _make(rows: list[Row], columns: Iterable[Named]) -> None:
    for column in columns:
        if not column.plain:
            for row in rows:
                row.made[column.name] = column.node(row)


def _value(row: Row, column: Named) -> Any:
    """What an earlier command made under that name (`stats … by bin(5m) | sort bin(5m)`),
    else the field.
    """
    return row.made[column.name] if column.name in row.made else column.node(row)


def _result(row: Row, names: Iterable[str]) -> Result:
    """Fields that a row does not have are left out, as in AWS."""
    values = ((name, row.get(name)) for name in dict.fromkeys(names))
    return [{"field": name, "value": text(value)} for name, value in values if value is not None]


def _start_query(self: LogsResponse) -> str:
    asked: dict[str, Any] = json.loads(self.body)
    named = [
        key for key in ("logGroupName", "logGroupNames", "logGroupIdentifiers") if asked.get(key)
    ]
    if len(named) != 1:
        raise InvalidParameterException(
            "Exactly one of the following must be provided: logGroupName, logGroupNames, "
            "logGroupIdentifiers"
        )
    names = [asked["logGroupName"]] if named == ["logGroupName"] else asked[named[0]]
    if asked.get("queryLanguage") not in (None, "CWLI"):
        raise InvalidParameterException(
            f"Query language {asked['queryLanguage']} is not supported by the lab."
        )
    if asked["startTime"] > asked["endTime"]:
        raise InvalidParameterException("End time should not be less than start time.")
    backend = self.logs_backend
    groups = [find_log_group(backend, log_group_id=name) for name in names]
    query = Query(
        asked["queryString"],
        groups,
        asked["startTime"] * 1000,
        asked["endTime"] * 1000 + 999,
        asked.get("limit"),
    )
    backend.queries[query.query_id] = query
    return json.dumps({"queryId": query.query_id})


def _known(self: LogsResponse) -> Query:
    query: Query | None = self.logs_backend.queries.get(json.loads(self.body)["queryId"])
    if query is None:
        raise ResourceNotFoundException("The specified query does not exist.")
    return query


def _get_query_results(self: LogsResponse) -> str:
    return json.dumps(_known(self).to_result_json())


def _stop_query(self: LogsResponse) -> str:
    raise InvalidParameterException(f"Query with ID {_known(self).query_id} is already complete.")
