"""What a step does, as data that knows how to be done: it is shown, hashed, kept and performed.

Action
├── Aws       a call
│   ├── Read      the value at a path in an answer
│   └── Wait      until that value leaves its pending states
├── Merge     change some keys of a mapping and write it back
├── Sql       a statement in a transaction of its own
├── Select    the one value that a query answers
├── Http      a request to the system's API
├── Appears   until the API tells of a record
├── Invoke    a Lambda function, once
└── Watch     a version as it begins to serve, Anew a service's tasks, OneOff a task (watching)

What keeps to what was shown: exact.py; what is done to a search domain: searches.py.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import jmespath

from opslib.core import redaction
from opslib.core.actions import lambdas, passwords
from opslib.core.actions.results import resolved
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, OpsError, Refused, Unfinished
from opslib.core.tables import Json, Params
from opslib.core.waiting import poll


class Action(Json):
    """A `kind`, and what its constructor takes, as plain data: what a record keeps of it."""

    kind: ClassVar[str]
    kinds: ClassVar[dict[str, type[Action]]] = {}
    token = ""  # the same for each attempt at this step, and no other: for what AWS does once

    def __init_subclass__(cls, kind: str) -> None:
        cls.kind = kind
        cls.kinds[kind] = cls

    def __new__(cls, /, *given: Any, **named: Any) -> Self:
        made = super().__new__(cls)
        if given or named:
            held = inspect.signature(cls.__init__).bind(made, *given, **named)
            held.apply_defaults()
            made.update(kind=cls.kind, **dict([*held.arguments.items()][1:]))
        return made

    @classmethod
    def of(cls, kept: Params) -> Action:
        """The action that a record keeps as plain JSON."""
        kind = cls.kinds[kept["kind"]]
        made = kind.__new__(kind)
        made.update(kept)
        return made

    def __str__(self) -> str:
        """In one line, for a person."""
        raise NotImplementedError

    def perform(self, ops: Connection) -> Any:
        """Do it. Raises Lost when it may be done; any other OpsError when it is not, as far as we
        can know.
        """
        raise NotImplementedError

    def resolved(self, results: Params) -> Action:
        """With each `result(…)` in it replaced whose step is in `results`; by its path or name."""
        return self.of(resolved(dict(self), results))


class Aws(Action, kind="aws"):
    """An AWS call by its boto3 names. A parameter may be `result(…)` of a step, or `file(…)`."""

    def __init__(self, service: str, operation: str, /, **parameters: Any) -> None: ...

    def __str__(self) -> str:
        parameters = ", ".join(f"{k}={_brief(v)}" for k, v in self["parameters"].items())
        return f"{self['service']}.{self['operation']}({parameters})"

    def perform(self, ops: Connection) -> Any:
        return ops.change(self["service"], self["operation"], self.token, **self._given(ops))

    def _given(self, ops: Connection) -> Json:
        return {name: _content(ops, value) for name, value in self["parameters"].items()}


class Read(Aws, kind="read"):
    """The value at a JMESPath in an AWS answer."""

    def __init__(self, service: str, operation: str, path: str, /, **parameters: Any) -> None: ...

    def perform(self, ops: Connection) -> Any:
        answer = ops.call(self["service"], self["operation"], **self._given(ops))
        return jmespath.search(self["path"], answer)


class Wait(Read, kind="wait"):
    """Poll a value while it is one of the pending states; it must end as one of those expected."""

    def __init__(
        self,
        service: str,
        operation: str,
        path: str,
        /,
        pending: list[Any],
        expect: list[Any],
        timeout_seconds: int = 600,
        **parameters: Any,
    ) -> None: ...

    def __str__(self) -> str:
        expected = " or ".join(map(str, self["expect"]))
        return f"{super().__str__()} until {self['path']} is {expected}"

    def perform(self, ops: Connection) -> Any:
        value, waited = poll(
            lambda: super(Wait, self).perform(ops),
            lambda value: value not in self["pending"],
            self["timeout_seconds"],
            lambda value: f"{self['path']} is {value}",
        )
        if value in self["pending"]:
            raise Unfinished(f"{self}: still {value} after {waited:.0f} s; it may yet finish.")
        if value not in self["expect"]:
            raise OpsError(f"{self}: ended as {value}.")
        return value


class Merge(Action, kind="merge"):
    """Read a mapping, set and drop keys, write it back in `parameter` (dotted).

    Other keys, secret or not, stay and are not shown.
    """

    def __init__(
        self,
        source: Read,
        write: Aws,
        parameter: str,
        /,
        put: Json,
        drop: Sequence[str] = (),
    ) -> None: ...

    def __str__(self) -> str:
        changes = [f"{k}={v}" for k, v in self["put"].items()]
        said = ", ".join([*changes, *(f"without {k}" for k in self["drop"])])
        return f"{self.of(self['write'])}: {self['parameter']} {said}, the others kept"

    def perform(self, ops: Connection) -> Any:
        present = dict(self.of(self["source"]).perform(ops) or {})
        wanted = {k: v for k, v in present.items() if k not in self["drop"]} | self["put"]
        for part in reversed(self["parameter"].split(".")):
            wanted = {part: wanted}
        write = self["write"]
        called = write["service"], write["operation"], self.token
        return ops.change(*called, **write["parameters"], **wanted)


class Sql(Action, kind="sql"):
    """One statement in a transaction of its own, rolled back unless it affects just `rows` rows."""

    def __init__(self, statement: str, parameters: Json | list[Json], rows: int) -> None: ...

    def __str__(self) -> str:
        return f"SQL ({self['rows']} rows): {self['statement']}"

    def perform(self, ops: Connection) -> Any:
        return sql.execute(ops, self["statement"], self["parameters"], self["rows"])


class Select(Action, kind="select"):
    """The one value that a query answers; json_build_object makes one of several."""

    def __init__(self, statement: str, **parameters: Any) -> None: ...

    def __str__(self) -> str:
        return f"SQL: {self['statement']}"

    def perform(self, ops: Connection) -> Any:
        return sql.value(ops, self["statement"], self["parameters"])


class Http(Action, kind="http"):
    """A request to the system's API; anything but 2xx with JSON is an error."""

    def __init__(self, method: str, path: str, body: Any = None, auth: bool = True) -> None: ...

    def __str__(self) -> str:
        body = f" {json.dumps(self['body'])}" if self["body"] else ""
        return f"{self['method']} {self['path']}{body}"

    def perform(self, ops: Connection) -> Any:
        answer = ops.http(self["method"], self["path"], self["body"], auth=self["auth"])
        if self["method"] != "GET" and (
            answer.status >= 500 or (answer.ok and answer.body is None)
        ):
            raise Lost(f"{answer} answered {answer.status}: {answer.text:.200}, so it may be done.")
        return answer.json()


class Appears(Action, kind="appears"):
    """GET until the answer tells, anywhere in it, of an object whose `field` has that value."""

    def __init__(
        self, path: str, field: str, value: Any, auth: bool = True, timeout_seconds: int = 30
    ) -> None: ...

    def __str__(self) -> str:
        return f"GET {self['path']} until it tells of {self['field']} {_brief(self['value'])}"

    def perform(self, ops: Connection) -> Any:
        def look() -> Any:
            answer = ops.http("GET", self["path"], auth=self["auth"]).json()
            return find_object(answer, self["field"], self["value"])

        found, _ = poll(look, lambda found: found is not None, self["timeout_seconds"])
        if found is None:
            raise OpsError(f"{self}: it does not, after {self['timeout_seconds']} s.")
        return found


class Invoke(Action, kind="invoke"):
    """Invoke a Lambda function by its AWS name and wait as long as it may run; never twice."""

    def __init__(self, function: str, payload: Json, timeout_seconds: float) -> None: ...

    def __str__(self) -> str:
        payload = json.dumps(self["payload"])
        return f"lambda.invoke(FunctionName={self['function']}, Payload={payload})"

    def perform(self, ops: Connection) -> Any:
        return lambdas.invoke(ops, self["function"], self["payload"], self["timeout_seconds"])


def file(path: Path) -> Json:
    """Stands for a file's bytes; refused when they are no longer the same."""
    return {"$file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def generated(label: str) -> Json:
    """Stands for a password made when the step is applied, into a private file and no record."""
    return {"$generated": label}


def find_object(body: Any, field: str, value: Any) -> Json | None:
    """The first object in decoded JSON, at any depth, whose field has that value."""
    if isinstance(body, dict):
        if field in body and str(body[field]) == str(value):
            return body
        body = list(body.values())
    parts = body if isinstance(body, list) else ()
    return next(filter(None, (find_object(part, field, value) for part in parts)), None)


def _brief(value: Any) -> str:
    match value:
        case {"$result": path}:
            return f"<{path}>"
        case {"$file": path}:
            return f"<{Path(path).name}>"
        case {"$generated": _}:
            return "<made when applied, into a private file>"
    text = redaction.mask(json.dumps(value, default=str))
    return text if len(text) <= 160 else f"{text[:150]}… ({len(text):,} characters)"


def _content(ops: Connection, value: Any) -> Any:
    match value:
        case {"$generated": label}:
            return passwords.generate(ops, label)
        case {"$file": path, "sha256": planned}:
            content = Path(path).read_bytes()
            if hashlib.sha256(content).hexdigest() != planned:
                raise Refused(f"{path} is no longer what was planned.")
            return content
    return value
