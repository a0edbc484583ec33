"""Logs Insights: reads a query into commands. What cannot be read is a QueryError, with where."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from opslib.lab.corrections.logs.insights_expressions import (
    NAME,
    REGEX,
    TEXT,
    Expressions,
    Node,
    QueryError,
    unquoted,
)


@dataclass(frozen=True)
class Named:
    """An expression and the name of its column."""

    name: str
    node: Node
    plain: bool = False  # a field as it is


@dataclass(frozen=True)
class Command:
    """One step. What it holds depends on its kind."""

    kind: Literal["fields", "display", "filter", "stats", "sort", "limit", "dedup", "parse"]
    columns: tuple[Named, ...] = ()
    by: tuple[Named, ...] = ()
    condition: Node | None = None
    descending: tuple[bool, ...] = ()
    count: int = 0
    pattern: re.Pattern[str] | None = None
    names: tuple[str, ...] = ()


def read(query: str) -> list[Command]:
    """The steps of a query. Raises QueryError."""
    parser = _Parser(query)
    commands = [parser.command()]
    while parser.take(r"\|"):
        commands.append(parser.command())
    if parser.position < len(query):
        raise parser.unexpected()
    for before, after in pairwise(commands):
        if before.kind == "dedup" and after.kind != "limit":
            raise QueryError(f"unexpected symbol found {after.kind}", 0, len(query))
    if sum(command.kind == "stats" for command in commands) > 2:
        raise QueryError("a query can have at most two stats commands", 0, len(query))
    return commands


_NOT_HERE = ("pattern", "diff", "anomaly", "unnest", "source", "lookup", "addtotals")


class _Parser(Expressions):
    def command(self) -> Command:
        start = self.position
        word = self.need(r"[a-z]+\b")[0].lower()
        reader: dict[str, Callable[[], Command]] = {
            "fields": lambda: Command("fields", self.columns()),
            "display": lambda: Command("display", self.columns()),
            "filter": lambda: Command("filter", condition=self.expression()),
            "where": lambda: Command("filter", condition=self.expression()),
            "stats": self.stats,
            "sort": self.sort,
            "order": self.sort,
            "limit": self.limit,
            "head": self.limit,
            "dedup": lambda: Command("dedup", self.columns()),
            "parse": self.parse,
        }
        reader["filterindex"] = reader["filter"]  # an index makes it cheaper, not another
        if word in _NOT_HERE:
            told = f"The practice lab does not know the command {word}; CloudWatch does"
            raise QueryError(told, start, self.position)
        if word not in reader:
            self.position = start
            raise self.unexpected()
        return reader[word]()

    def columns(self) -> tuple[Named, ...]:
        columns = [self.column()]
        while self.take(","):
            columns.append(self.column())
        return tuple(columns)

    def column(self) -> Named:
        start = self.position
        node = self.expression()
        source = self.query[start : self.end]
        name = NAME.fullmatch(source)
        if self.take(r"as\b"):
            named = self.name()
            if self.in_stats:
                self.aliases[named] = node
            return Named(named, node)
        return Named(name[1] or name[2] if name else source, node, plain=name is not None)

    def stats(self) -> Command:
        self.in_stats, self.aliases = True, {}
        columns = self.columns()
        self.in_stats = False
        return Command("stats", columns, by=self.columns() if self.take(r"by\b") else ())

    def sort(self) -> Command:
        self.take(r"by\b")
        columns, descending = [], []
        while True:
            columns.append(self.column())
            said = self.take(r"(asc|desc)\b")
            descending.append(bool(said) and str(said and said[1]).lower() == "desc")
            if not self.take(","):
                return Command("sort", tuple(columns), descending=tuple(descending))

    def limit(self) -> Command:
        start = self.position
        count = int(self.need(r"\d+")[0])
        if not 1 <= count <= 10_000:
            raise QueryError("limit must be between 1 and 10000", start, self.position)
        return Command("limit", count=count)

    def parse(self) -> Command:
        """`parse [field] "a * b" as x, y` or `parse [field] /(?<x>…)/`."""
        start = self.position
        asked = "@message" if re.match(r"[\"'/]", self.query[self.position :]) else self.name()
        source = Named(asked, lambda row: row.get(asked), plain=True)
        regex = self.take(REGEX)
        if regex:
            pattern = self.regex(regex)
            if not pattern.groupindex:
                raise QueryError(
                    "parse needs a regular expression with named groups", start, self.position
                )
            return Command("parse", (source,), pattern=pattern, names=tuple(pattern.groupindex))
        parts = unquoted(self.need(TEXT)).split("*")
        self.need(r"as\b")
        names = [self.name()]
        while self.take(","):
            names.append(self.name())
        if len(names) != len(parts) - 1:
            raise QueryError(
                f"parse has {len(parts) - 1} wildcards and {len(names)} names", start, self.position
            )
        glob = "(.*?)".join(map(re.escape, parts[:-1])) + "(.*?)" + re.escape(parts[-1])
        glob += "" if parts[-1] else "$"
        return Command("parse", (source,), pattern=re.compile(glob, re.DOTALL), names=tuple(names))
