"""What a step does, as data, and the one place that does it.

Kinds: `aws` (a call), `read` (a value in an answer), `wait` (until a value leaves its pending states),
`merge` (change some keys of a mapping and write it back), `sql`, `select` (a value in the database), `http`,
`appears` (until the API tells of a record), `invoke` (a Lambda function, once).
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib.errors import OpsError, Refused, Unfinished

if TYPE_CHECKING:
    from opslib.connections import Connection

Action = dict[str, Any]


def aws(service: str, operation: str, /, **parameters: Any) -> Action:
    """An AWS call by its boto3 names. A parameter may be `result(…)` of an earlier step, or `file(…)`."""
    return {"kind": "aws", "service": service, "operation": operation, "parameters": parameters}


def read(service: str, operation: str, path: str, /, **parameters: Any) -> Action:
    """The value at a JMESPath in an AWS answer."""
    return {"kind": "read", "service": service, "operation": operation, "path": path, "parameters": parameters}


def wait(
    service: str,
    operation: str,
    path: str,
    /,
    pending: list[Any],
    expect: list[Any],
    timeout_seconds: int = 600,
    **parameters: Any,
) -> Action:
    """Poll a value while it is one of the pending states; it must end as one of those expected."""
    return read(service, operation, path, **parameters) | {
        "kind": "wait", "pending": pending, "expect": expect, "timeout_seconds": timeout_seconds,
    }  # fmt: skip


def merge(source: Action, write: Action, parameter: str, /, put: dict[str, Any], drop: tuple[str, ...] = ()) -> Action:
    """Read a mapping, set and drop keys, write it back in `parameter` (dotted). Other keys, secret or not, stay and are not shown."""
    return {"kind": "merge", "source": source, "write": write, "parameter": parameter, "put": put, "drop": list(drop)}


def sql(statement: str, parameters: dict[str, Any] | list[dict[str, Any]], rows: int) -> Action:
    """One statement in a transaction of its own; rolled back unless exactly `rows` rows are affected."""
    return {"kind": "sql", "statement": statement, "parameters": parameters, "rows": rows}


def select(statement: str, **parameters: Any) -> Action:
    """The one value that a query answers; json_build_object makes one of several."""
    return {"kind": "select", "statement": statement, "parameters": parameters}


def http(method: str, path: str, body: Any = None, auth: bool = True) -> Action:
    """A request to the system's API; anything but 2xx with JSON is an error."""
    return {"kind": "http", "method": method, "path": path, "body": body, "auth": auth}


def appears(path: str, field: str, value: Any, auth: bool = True, timeout_seconds: int = 30) -> Action:
    """GET until the answer tells, anywhere in it, of an object whose `field` has that value. Its result is the object."""
    asked = {"path": path, "field": field, "value": value, "auth": auth, "timeout_seconds": timeout_seconds}
    return {"kind": "appears", **asked}


def invoke(function: str, payload: dict[str, Any], timeout_seconds: float) -> Action:
    """Invoke a Lambda function by its AWS name and wait for its answer, as long as it may run; never twice."""
    return {"kind": "invoke", "function": function, "payload": payload, "timeout_seconds": timeout_seconds}


def result(path: str) -> Action:
    """Stands for a value in an earlier step's result: `<step name>.<JMESPath>`."""
    return {"$result": path}


def file(path: Path) -> Action:
    """Stands for a file's bytes; refused when they are no longer the same."""
    return {"$file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def generated(label: str) -> Action:
    """Stands for a password that is made when the step is applied: in a private file, never in plan or record."""
    return {"$generated": label}


def shown(action: Action) -> str:
    """The action in one line, for a person."""
    kind = action["kind"]
    if kind == "sql":
        return f"SQL ({action['rows']} rows): {action['statement']}"
    if kind == "select":
        return f"SQL: {action['statement']}"
    if kind == "http":
        return f"{action['method']} {action['path']}" + (f" {json.dumps(action['body'])}" if action["body"] else "")
    if kind == "appears":
        return f"GET {action['path']} until it tells of {action['field']} {_brief(action['value'])}"
    if kind == "invoke":
        return f"lambda.invoke(FunctionName={action['function']}, Payload={json.dumps(action['payload'])})"
    if kind == "merge":
        changes = [f"{k}={v}" for k, v in action["put"].items()] + [f"without {k}" for k in action["drop"]]
        return f"{shown(action['write'])}: {action['parameter']} {', '.join(changes)}, the others kept"
    parameters = ", ".join(f"{k}={_brief(v)}" for k, v in action["parameters"].items())
    until = f" until {action['path']} is {' or '.join(map(str, action['expect']))}" if kind == "wait" else ""
    return f"{action['service']}.{action['operation']}({parameters}){until}"


def _brief(value: Any) -> str:
    if isinstance(value, dict) and "$result" in value:
        return f"<{value['$result']}>"
    if isinstance(value, dict) and "$file" in value:
        return f"<{Path(value['$file']).name}>"
    if isinstance(value, dict) and "$generated" in value:
        return "<made when applied, into a private file>"
    text = json.dumps(value, default=str)
    return text if len(text) <= 160 else f"{text[:150]}… ({len(text):,} characters)"


def resolved(value: Any, results: dict[str, Any]) -> Any:
    """The value with every `result(…)` in it replaced."""
    if isinstance(value, dict):
        if "$result" in value:
            import jmespath

            name, _, path = value["$result"].partition(".")
            return jmespath.search(path, results[name]) if path else results[name]
        return {key: resolved(part, results) for key, part in value.items()}
    return [resolved(part, results) for part in value] if isinstance(value, (list, tuple)) else value


def perform(ops: Connection, action: Action, results: dict[str, Any]) -> Any:
    """Do it. Raises OpsError (and its kinds); a step that fails has, as far as we can know, done nothing."""
    action = resolved(action, results)
    kind = action["kind"]
    if kind == "sql":
        from opslib import databases

        return databases.execute(ops, action["statement"], action["parameters"], action["rows"])
    if kind == "select":
        from opslib import databases

        return databases.value(ops, action["statement"], action["parameters"])
    if kind == "http":
        return ops.http(action["method"], action["path"], action["body"], auth=action["auth"]).json()
    if kind == "merge":
        return _merge(ops, action)
    if kind == "wait":
        return _wait(ops, action)
    if kind == "appears":
        return _appears(ops, action)
    if kind == "invoke":
        from opslib import _function_calls

        return _function_calls.invoke(ops, action["function"], action["payload"], action["timeout_seconds"])
    answer = ops.call(
        action["service"], action["operation"], **{k: _content(ops, v) for k, v in action["parameters"].items()}
    )
    return _search(action["path"], answer) if kind == "read" else answer


def _content(ops: Connection, value: Any) -> Any:
    if isinstance(value, dict) and "$generated" in value:
        from opslib import _passwords

        return _passwords.generate(ops, value["$generated"])
    if not (isinstance(value, dict) and "$file" in value):
        return value
    content = Path(value["$file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != value["sha256"]:
        raise Refused(f"{value['$file']} is no longer what was planned.")
    return content


def _search(path: str, answer: Any) -> Any:
    import jmespath

    return jmespath.search(path, answer)


def _merge(ops: Connection, action: Action) -> Any:
    present = dict(perform(ops, action["source"], {}) or {})
    wanted = {k: v for k, v in present.items() if k not in action["drop"]} | action["put"]
    for part in reversed(action["parameter"].split(".")):
        wanted = {part: wanted}
    write = action["write"]
    return ops.call(write["service"], write["operation"], **write["parameters"], **wanted)


def _wait(ops: Connection, action: Action) -> Any:
    started = spoke = time.monotonic()
    pause = 0.25
    while True:
        value = perform(ops, action | {"kind": "read"}, {})
        if value not in action["pending"]:
            break
        waited = time.monotonic() - started
        if waited > action["timeout_seconds"]:
            raise Unfinished(f"{shown(action)}: still {value} after {waited:.0f} s; it may yet finish.")
        if time.monotonic() - spoke > 10:
            spoke = time.monotonic()
            print(f"waiting: {action['path']} is {value} ({waited:.0f} s)", flush=True)
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)
    if value not in action["expect"]:
        raise OpsError(f"{shown(action)}: ended as {value}.")
    return value


def _appears(ops: Connection, action: Action) -> Any:
    ends, pause = time.monotonic() + action["timeout_seconds"], 0.25
    while True:
        found = find_object(
            ops.http("GET", action["path"], auth=action["auth"]).json(), action["field"], action["value"]
        )
        if found is not None:
            return found
        if time.monotonic() > ends:
            raise OpsError(f"{shown(action)}: it does not, after {action['timeout_seconds']} s.")
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def find_object(body: Any, field: str, value: Any) -> dict[str, Any] | None:
    """The first object in decoded JSON, at any depth, whose field has that value."""
    if isinstance(body, dict):
        if field in body and str(body[field]) == str(value):
            return body
        body = list(body.values())
    parts = body if isinstance(body, list) else ()
    return next((found for part in parts if (found := find_object(part, field, value)) is not None), None)
