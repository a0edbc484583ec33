"""A function's configuration: against its target's reference table, changed and released.

Values of variables are compared, seldom shown. Only $LATEST can be changed, and what calls an alias
goes on without it: it is published as a version, and the alias moved there. A function without an
alias runs $LATEST.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from opslib.core import (
    Action,
    Aws,
    Json,
    Read,
    Refused,
    Step,
    Wait,
    dtypes,
    names_a_secret,
    poll,
    result,
)
from opslib.core.reads.functions import Function, modified, states, variables

CONFIGURATIONS = dtypes("""
    function        str
    of              str
    version         str
    timeout_seconds int64
    memory_mb       int64
    runtime         str
    state           str
    variables       int64
    drift           str
""")
UPDATE_SECONDS = 120  # an update that takes longer is not waited for
GET, UPDATE = "get_function_configuration", "update_function_configuration"
HIDDEN, ABSENT = "(hidden)", "(not set)"


class Setting(NamedTuple):
    """A number that a function is given. `name`: Lambda's, `key`: that of the target's file."""

    name: str
    key: str
    title: str
    unit: str

    def told(self, value: int) -> str:
        return f"{self.title.lower()} {value:,} {self.unit}"


SETTINGS = (
    Setting("MemorySize", "memory_mb", "Memory", "MB"),
    Setting("Timeout", "timeout_seconds", "Time-out", "s"),
)
_ROW = """{
    version: Version,
    timeout_seconds: Timeout,
    memory_mb: MemorySize,
    runtime: Runtime || '',
    state: State || '',
    variables: length(keys(Environment.Variables || `{}`))
}"""
_COMPARED = """
    Runtime Handler Timeout MemorySize Role Layers VpcConfig EphemeralStorage TracingConfig
"""


def readable(name: str, values: dict[str, str], beside: dict[str, str]) -> str:
    """A variable's value, unless it looks secret.

    Then only whether it differs from the one beside.
    """
    value = values.get(name, ABSENT)
    if value == ABSENT or not names_a_secret(name, value):
        return value
    return HIDDEN if beside.get(name, value) == value else f"{HIDDEN}, differs"


def reference(facts: Any) -> str:
    """The reference table's row of a function, in words."""
    parts = [setting.told(facts[setting.key]) for setting in SETTINGS if setting.key in facts]
    if facts.get("variables"):
        parts.append(f"{len(facts['variables'])} variables")
    return ", ".join(parts)


def drift(facts: Any, configuration: Json) -> list[str]:
    """What differs from the reference, in words: lost variables first."""
    present = variables(configuration)
    lost = [name for name in facts.get("variables", ()) if not present.get(name)]
    return [f"lacks {', '.join(lost)}"] * bool(lost) + [
        f"{of.told(configuration[of.name])} instead of {wanted:,} {of.unit}"
        for of in SETTINGS
        if (wanted := facts.get(of.key, configuration[of.name])) != configuration[of.name]
        if wanted > configuration[of.name] or of.key != "memory_mb"  # more takes nothing away
    ]


def undeclared(facts: Any, configuration: Json) -> list[str]:
    """Variables that the reference does not name, a forgotten flag for one.

    None when it names no variables at all.
    """
    named = facts.get("variables")
    return sorted(set(variables(configuration)) - set(named)) if named else []


def differences(present: Json, latest: Json, besides: Collection[str] = ()) -> list[str]:
    """What publishing $LATEST would change for those who call the live version.

    `besides`: variables or settings that are left out.
    """
    found = [
        f"{key}: {present.get(key)} to {latest.get(key)}"
        for key in _COMPARED.split()
        if key not in besides and present.get(key) != latest.get(key)
    ]
    before, after = variables(present), variables(latest)
    return found + [
        f"{name}: {readable(name, before, after)} to {readable(name, after, before)}"
        for name in sorted((before.keys() | after.keys()) - set(besides))
        if before.get(name) != after.get(name)
    ]


def row(function: str, of: str, facts: Any, configuration: Json) -> Json:
    """A row of CONFIGURATIONS."""
    import jmespath

    differs = "; ".join(drift(facts, configuration))
    told: Json = jmespath.search(_ROW, configuration)
    return told | {"function": function, "of": of, "drift": differs}


def weights(alias: Json) -> dict[str, float]:
    """Which other versions an alias sends a part of its traffic to."""
    return (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}


def shares(alias: Json) -> dict[str, float]:
    """The share of the traffic, of 1, that each version gets; the alias's own version first."""
    others = weights(alias)
    return {alias["FunctionVersion"]: round(1 - sum(others.values()), 4), **others}


def told_shares(alias: Json) -> str:
    return " and ".join(f"{100 * part:g} % to version {of}" for of, part in shares(alias).items())


def require_whole(function: str, alias: Json) -> None:
    """Raises Refused: the alias splits its traffic."""
    if weights(alias):
        raise Refused(
            f"Alias {alias['Name']} of {function} splits its traffic between versions: a "
            "deployment is going on. Nothing was changed; finish it, or functions/rollback."
        )


def settled(function: Function) -> Json:
    """$LATEST, once an update that is in progress has ended, for it takes no other meanwhile.

    Raises Refused when it lasts too long.
    """
    name = function.name
    latest, waited = poll(
        function.configuration,
        lambda config: "InProgress" not in states(config) and states(config)[0] != "Pending",
        UPDATE_SECONDS,
        lambda config: f"an update of {name} is in progress ({', '.join(states(config))})",
    )
    if "InProgress" in states(latest) or states(latest)[0] == "Pending":
        raise Refused(
            f"An update of {name} is in progress since {modified(latest):%H:%M:%S} UTC "
            f"({', '.join(states(latest))}): it takes no other meanwhile. Nothing was changed; "
            "look whose it is, and plan again when it has ended."
        )
    if waited > 1:
        print(f"An update of {name} was in progress; it ended, and the plan was made after it.")
    return latest


def taken_over(name: str) -> Step:
    """Waits until the last update of a function's $LATEST is done."""
    until = "LastUpdateStatus", ["InProgress"], ["Successful"], 300
    wait = Wait("lambda", GET, *until, FunctionName=name)
    return Step("Wait until Lambda has taken it over", wait, undo=[])


def published(name: str, alias: Json, code: Any, text: str, becomes: str) -> list[Step]:
    """$LATEST of a function published, waited for until it can run, and the alias moved there.

    `code`: the sha256 that it has; `text`: its description; `becomes`: what that version is.
    """
    at, new, number = {"FunctionName": name}, result("published.Version"), alias["FunctionVersion"]
    move = partial(Aws, "lambda", "update_alias", **at, Name=alias["Name"])
    publish = Aws("lambda", "publish_version", **at, CodeSha256=code, Description=text)
    until = "lambda", GET, "State || 'Active'", ["Pending"], ["Active"], 300
    active = Wait(*until, FunctionName=name, Qualifier=new)
    return [
        Step(
            f"Publish $LATEST of {name}",
            publish,
            f"version {number}",
            becomes,
            undo=[],
            name="published",
        ),
        Step("Wait until it can run", active, undo=[]),
        Step(
            f"Alias {alias['Name']} of {name}: from version {number} to that one",
            move(FunctionVersion=new, RevisionId=alias["RevisionId"]),
            number,
            new,
            [move(FunctionVersion=number)],
            Read("lambda", "get_alias", "FunctionVersion", **at, Name=alias["Name"]),
        ),
    ]


class Release(NamedTuple):
    """A function's configuration that runs (`live`), and that of $LATEST.

    `name`: what AWS calls it.
    """

    name: str
    alias: Json | None
    live: Json
    latest: Json

    @classmethod
    def begin(cls, function: Function) -> Release:
        """As it is when no update is in progress.

        Raises Refused when publishing $LATEST would release other code, while the alias splits its
        traffic, or when an update does not end.
        """
        alias, latest = function.alias(), settled(function)
        live = function.configuration(alias["FunctionVersion"]) if alias else latest
        require_whole(function.name, alias or {})
        if live["CodeSha256"] != latest["CodeSha256"]:
            raise Refused(
                f"$LATEST of {function.name} holds other code than version {live['Version']}, "
                "which is live: publishing it would release that code. Nothing was changed; deploy "
                "the change with the code, or put the live code back into $LATEST."
            )
        return cls(function.name, alias, live, latest)

    def call(self, operation: str, **parameters: Any) -> Action:
        """A call that names the function."""
        return Aws("lambda", operation, FunctionName=self.name, **parameters)

    def read(self, path: str, **parameters: Any) -> Action:
        """Reads what GetFunctionConfiguration says at a path."""
        return Read("lambda", GET, path, FunctionName=self.name, **parameters)

    def steps(
        self,
        title: str,
        do: Action,
        undo: Action,
        names: Collection[str],
        path: str,
        latest: Any,
        live: Any,
        wanted: Any,
    ) -> list[Step]:
        """$LATEST changed where it has to be, and published as what is live.

        `names`: the variables or settings that are changed. `path`: where GetFunctionConfiguration
        says them (JMESPath). `latest`, `live`: their values in $LATEST, and in the live version.
        """
        steps: list[Step] = []
        if latest != wanted:
            over = taken_over(self.name)
            steps = [Step(title, do, latest, wanted, [undo, over.do], self.read(path)), over]
        if self.alias and (steps or live != wanted):
            also = "; ".join(differences(self.live, self.latest, besides=names))
            becomes = f"as version {self.live['Version']}, but for {', '.join(names)}"
            becomes += f"; AND ALSO CHANGED IN $LATEST: {also}" if also else ""
            code, text = self.latest["CodeSha256"], self.live.get("Description", "")
            *first, moved = published(self.name, self.alias, code, text, becomes)
            observe = self.read(f"[Version, {path}]", Qualifier=self.alias["Name"])
            was, to = [moved.before, live], [moved.after, wanted]
            steps += [*first, replace(moved, before=was, after=to, observe=observe)]
        return steps
