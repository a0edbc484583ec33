"""What a step does, as data that knows how to be done: it is shown, hashed, kept and performed.

Action
├── Aws       a call
│   ├── Read      the value at a path in an answer
│   └── Wait      until that value leaves its pending states
├── Merge     change some keys of a mapping and write it back
├── Sql       a statement in a transaction of its own
├── Select    the one value that a query answers
├── Http      a request to the system's API; Request  whatever it answers
├── Appears   until the API tells of a record
├── Invoke    a Lambda function, once; Ask  also for its answer (lambdas)
└── Watch     a version as it begins to serve, Anew a service's tasks, OneOff a task (watching)

What keeps to what was shown: exact.py; what is done to a search domain: searches.py.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Concatenate, NamedTuple

import jmespath

from opslib.core import redaction
from opslib.core.actions import passwords
from opslib.core.actions.results import resolved
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.http import Response
from opslib.core.errors import Lost, OpsError, Refused, Unfinished
from opslib.core.findings import P
from opslib.core.tables import Json, Params
from opslib.core.waiting import poll


class Form(NamedTuple):
    """What is known of a kind of action."""

    do: Callable[..., Any]
    said: str | Callable[[Action], str]


class Action(Json):
    """A `kind`, and what its function takes, as plain data: what a record keeps of it."""

    kinds: ClassVar[dict[str, Form]] = {}

    def __str__(self) -> str:
        """In one line, for a person."""
        said = self.kinds[self["kind"]].said
        return said.format_map(self) if isinstance(said, str) else said(self)

    def perform(self, ops: Connection) -> Any:
        """Do it. Raises Lost when it may be done; any other OpsError when it is not, as far as we
        can know.
        """
        do = self.kinds[self["kind"]].do
        held = inspect.BoundArguments(inspect.signature(do), OrderedDict(self, ops=ops))
        return do(*held.args, **held.kwargs)

    def resolved(self, results: Params) -> Action:
        """With each `result(…)` in it replaced whose step is in `results`; by its path or name."""
        return Action(resolved(dict(self), results))


def action(
    kind: str, said: str | Callable[[Action], str]
) -> Callable[[Callable[Concatenate[Connection, P], Any]], Callable[P, Action]]:
    """Make a function a kind of action: called without its connection it says what is to be done,
    as data, and `perform` calls it with one.

    `said`: that in one line, in which {…} is what it was given.
    """

    def known(do: Callable[Concatenate[Connection, P], Any]) -> Callable[P, Action]:
        Action.kinds[kind] = Form(do, said)

        @functools.wraps(do)
        def made(*given: P.args, **named: P.kwargs) -> Action:
            held = inspect.signature(do).bind(None, *given, **named)
            held.apply_defaults()
            del held.arguments["ops"]
            return Action({"kind": kind} | held.arguments)

        return made

    return known


def called(do: Action) -> str:
    """An AWS call in one line."""
    parameters = ", ".join(f"{k}={_brief(v)}" for k, v in do["parameters"].items())
    return f"{do['service']}.{do['operation']}({parameters})"


@action("aws", called)
def Aws(ops: Connection, service: str, operation: str, /, **parameters: Any) -> Any:
    """An AWS call by its boto3 names. A parameter may be `result(…)` of a step, or `file(…)`."""
    return ops.change(service, operation, **given(ops, parameters))


@action("read", called)
def Read(ops: Connection, service: str, operation: str, path: str, /, **parameters: Any) -> Any:
    """The value at a JMESPath in an AWS answer."""
    return jmespath.search(path, ops.call(service, operation, **given(ops, parameters)))


@action("wait", lambda do: f"{called(do)} until {do['path']} is {_either(do['expect'])}")
def Wait(
    ops: Connection,
    service: str,
    operation: str,
    path: str,
    /,
    pending: list[Any],
    expect: list[Any],
    timeout_seconds: int = 600,
    **parameters: Any,
) -> Any:
    """Poll a value while it is one of the pending states; it must end as one of those expected."""
    read = Read(service, operation, path, **parameters)
    value, waited = poll(
        lambda: read.perform(ops),
        lambda value: value not in pending,
        timeout_seconds,
        lambda value: f"{path} is {value}",
    )
    said = f"{read} until {path} is {_either(expect)}"
    if value in pending:
        raise Unfinished(f"{said}: still {value} after {waited:.0f} s; it may yet finish.")
    if value not in expect:
        raise OpsError(f"{said}: ended as {value}.")
    return value


def _either(expect: list[Any]) -> str:
    return " or ".join(map(str, expect))


def _merged(do: Action) -> str:
    changes = [f"{k}={v}" for k, v in do["put"].items()]
    at, gone = do["parameter"], [f"without {k}" for k in do["drop"]]
    said = ", ".join(changes + gone * bool(at))
    return f"{Action(do['write'])}: {at} {said}, the others kept"


@action("merge", _merged)
def Merge(
    ops: Connection,
    source: Action,
    write: Action,
    parameter: str,
    /,
    put: Json,
    drop: Sequence[str] = (),
) -> Any:
    """Read a mapping, set and drop keys, write it back in `parameter` (dotted; empty: as parameters
    of the call).

    Other keys, secret or not, stay and are not shown.
    """
    present = Action(source).perform(ops) or {}
    wanted = {k: v for k, v in present.items() if k not in drop} | put
    for part in filter(None, reversed(parameter.split("."))):
        wanted = {part: wanted}
    return ops.change(write["service"], write["operation"], **write["parameters"] | wanted)


@action("sql", "SQL ({rows} rows): {statement}")
def Sql(ops: Connection, statement: str, parameters: Json | list[Json], rows: int) -> Any:
    """One statement in a transaction of its own, rolled back unless it affects just `rows` rows."""
    return sql.execute(ops, statement, parameters, rows)


@action("select", "SQL: {statement}")
def Select(ops: Connection, /, statement: str, **parameters: Any) -> Any:
    """The one value that a query answers; json_build_object makes one of several."""
    return sql.value(ops, statement, parameters)


def asked(do: Action) -> str:
    """A request in one line."""
    return f"{do['method']} {do['path']}" + (f" {json.dumps(do['body'])}" if do["body"] else "")


@action("http", asked)
def Http(ops: Connection, method: str, path: str, body: Any = None, auth: bool = True) -> Any:
    """A request to the system's API; anything but 2xx with JSON is an error."""
    answer = ops.http(method, path, body, auth=auth)
    if method != "GET" and (answer.status >= 500 or (answer.ok and answer.body is None)):
        raise Lost(f"{answer} answered {answer.status}: {answer.text:.200}, so it may be done.")
    return answer.json()


@action("request", asked)
def Request(ops: Connection, method: str, path: str, body: Any, auth: bool) -> Response:
    """A request to the system's API, whose answer is kept with the run, whatever it is."""
    return ops.keep(ops.http(method, path, body, auth=auth))


def _appears(path: str, field: str, value: Any) -> str:
    return f"GET {path} until it tells of {field} {_brief(value)}"


@action("appears", lambda do: _appears(do["path"], do["field"], do["value"]))
def Appears(
    ops: Connection, path: str, field: str, value: Any, auth: bool = True, timeout_seconds: int = 30
) -> Any:
    """GET until the answer tells, anywhere in it, of an object whose `field` has that value."""

    def look() -> Any:
        return find_object(ops.http("GET", path, auth=auth).json(), field, value)

    found, _ = poll(look, lambda found: found is not None, timeout_seconds)
    if found is None:
        raise OpsError(f"{_appears(path, field, value)}: it does not, after {timeout_seconds} s.")
    return found


def take_back(ops: Connection, back: Params, said: str) -> None:
    """Do what takes back what failed. Raises OpsError that says both, when that fails, too."""
    try:
        Action(back).perform(ops)
    except OpsError as exc:
        raise type(exc)(f"{said} It is NOT taken back: {exc}") from exc


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


def given(ops: Connection, parameters: Params) -> Json:
    """Parameters of a call with what stands for a file or a password in its place."""
    return {name: _content(ops, value) for name, value in parameters.items()}


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
