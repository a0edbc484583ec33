"""Another value for a secret, or for one key of a JSON secret, and tasks that read it."""

from collections.abc import Iterator

from opslib import services
from opslib.core import (
    Connection,
    Frame,
    Json,
    Planned,
    Refused,
    Step,
    UsageError,
    planner,
    stages,
    unknown_name,
)
from opslib.core.actions import handed
from opslib.secrets import ages
from opslib.secrets.taken import list_functions
from opslib.secrets.tokens import sessions_told

_LENGTH = 40


@planner
def plan_rotate(
    ops: Connection,
    secret: str,
    key: str = "",
    value_file: str = "",
    generate: bool = False,
    add: bool = False,
) -> Planned:
    """Give a secret, or one key of a JSON secret, another value; start anew who takes it.

    Without a value none changes: the services that still run with one of before are started anew.
    `generate`: a value that only the system itself has to know. `add`: a key that is new.
    Raises UsageError (no such key, the value that it has), Refused (JSON without a key, a key and
    no JSON, somebody else changes it, others may read the file).
    """
    if not (key or value_file or generate):
        return _plan_taken(ops, secret)
    of = stages.versions(ops, secret)
    if key:
        require_key(ops, secret, key, add)
    else:
        _require_text(ops, secret)
    source = _source(ops, secret, key, value_file, generate)
    if source is None:
        return Planned(f"{key} of {secret} stays as it is", notes=["No value.", handed.how()])
    given, called = handed.Given(secret, key, source), key or "value"
    title = f"Keep a new {called} beside the present one, as AWSPENDING of secret {secret}"
    steps, consumers = steps_told(ops, of, key)
    notes = [*sessions_told(ops, secret), *_notes(ops, of, consumers, source)]
    return Planned(f"a new {called} in {secret}", [of.pending(title, given), *steps], notes)


def _plan_taken(ops: Connection, secret: str) -> Planned:
    made, described = ages.read_age(ops, secret)
    if made is None:
        raise Refused(f"Secret {secret!r} has no current value. Nothing was changed.")
    found = services.list_consumers(ops, described["ARN"], made)
    older = [*found[found["older"] > 0]["service"]]
    if not older:
        note = f"Every task was started after the present value, of {made:%Y-%m-%d %H:%M} UTC."
        return Planned(
            f"{secret}: nobody is started anew",
            notes=[
                note,
                "Another value: value_file=…, or generate=true; of a JSON secret with key=….",
            ],
        )
    services.require_startable(ops, older)
    return Planned(f"start anew who runs with an old {secret}", services.steps_anew(ops, older))


def require_key(ops: Connection, secret: str, key: str, add: bool = False) -> Json:
    """A JSON secret with a text under that key. Raises Refused, UsageError."""
    held = ops.secret(secret)
    if not isinstance(held, dict):
        raise Refused(f"Secret {secret!r} is no JSON object: it has no keys. Nothing was changed.")
    if key not in held and not add:
        error = unknown_name("key", key, held, f" of secret {secret}")
        raise UsageError(f"{error} A new one: add=true.")
    if not isinstance(held.get(key, ""), str):
        raise Refused(f"{key} of secret {secret!r} holds no text. Nothing was changed.")
    return held


def _require_text(ops: Connection, secret: str) -> None:
    """That all of it is one value; an address with a login has to fit what it opens."""
    held = ops.secret(secret)
    if not isinstance(held, str):
        keys = ", ".join(sorted(held)) if isinstance(held, dict) else "a list"
        raise UsageError(f"Secret {secret!r} is JSON: say which of its keys, key=… ({keys}).")
    if "://" in held:
        raise Refused(
            f"Secret {secret!r} is an address with a login: what it opens has to change with it. "
            "A database's: databases/password. Nothing was changed."
        )


def _source(ops: Connection, secret: str, key: str, value_file: str, generate: bool) -> Json | None:
    if value_file and generate:
        raise UsageError("Give value_file or generate, not both.")
    if not value_file:
        return handed.made(_LENGTH, "_") if generate else None
    source = handed.file(value_file)
    held = ops.secret(secret)
    if handed.value(source, f"new {key} of {secret}") == (held.get(key) if key else held):
        told = f"{key} of {secret}" if key else secret
        raise UsageError(f"{source['file']} holds the value that {told} has already.")
    return source


def steps_told(ops: Connection, of: stages.Versions, key: str = "") -> tuple[list[Step], Frame]:
    """The pending version becomes the present one, and whoever takes the secret is started anew.

    `key`: whoever takes only others of the secret goes on as it is. The undo starts them anew, too,
    when the old value is back.
    """
    consumers = services.list_consumers(ops, of.arn, ops.now(), key)
    anew = services.steps_anew(ops, [*consumers["service"]])
    told = of.told(f"Tell everybody who reads secret {of.name}", [step.do for step in anew])
    return [told, *anew], consumers


def _notes(ops: Connection, of: stages.Versions, consumers: Frame, source: Json) -> Iterator[str]:
    for each in consumers.itertuples():
        yield f"{each.service} takes it as {each.takes}; {each.tasks} tasks are replaced."
        if each.pinned:
            yield f"{each.service} asks for one version: the new value does not reach it."
    if consumers.empty:
        yield "No service of the target's file takes it: nobody is started anew."
    for name in list_functions(ops, of.name, of.arn):
        yield (
            f"Function {name} reads it by itself, and its environments may keep the old value: "
            "functions/environment gives it new ones."
        )
    yield "Undo brings the old value back and starts the same services anew."
    yield "The old value stays valid where it was issued: withdraw it there when all is well."
    if "file" in source:
        yield f"Delete {source['file']} afterwards."
