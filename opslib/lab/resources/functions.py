"""The Lambda functions.

Their versions, which of them is live and since when, and what a deployment does.

A version's description says what was built: `2026.11.19 git 3f9ac21 schema b2e4d6c8f056`.
"""

import base64
import copy
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from opslib.lab.places import Place
from opslib.lab.resources import names

LATEST = "$LATEST"
TIMEOUT_SECONDS, MEMORY_MB = 30, 512  # of a function whose file does not say
_POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": '
    '["s3:*", "sqs:*", "logs:*", "secretsmanager:GetSecretValue", "cognito-idp:*", "states:*"]}]}'
)


class Saved(NamedTuple):
    """A function as it was: what `restore` puts back."""

    latest: Any
    versions: list[Any]
    alias: Any  # None: it has none
    since: datetime  # when a drill's deployment began


class Build(NamedTuple):
    """How a system's functions are built. `published`.

    Days before the lab's start at which each version went live.
    """

    runtime: str
    handler: str
    published: Mapping[str, Sequence[int]]
    schema: str  # the newest migration that the released code knows
    concurrency: Mapping[str, int] = {}


def seed(
    place: Place,
    build: Build,
    variables: Mapping[str, Mapping[str, str]],
    vpc: Mapping[str, list[str]],
) -> None:
    """Every function of the facts, with its versions; the last is behind the alias. `variables`.

    By function.
    """
    role = place.client("iam").create_role(
        RoleName=f"{place.called}-lambda",
        Path="/",
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
    )["Role"]["Arn"]
    place.client("iam").put_role_policy(
        RoleName=f"{place.called}-lambda", PolicyName="app", PolicyDocument=_POLICY
    )
    place.memory["schema"], place.memory["handler"] = build.schema, build.handler
    for key, facts in place.facts["functions"].items():
        place.backend("lambda").create_function(
            {
                "FunctionName": facts["name"],
                "Description": facts.get("purpose", ""),
                "Runtime": build.runtime,
                "Role": role,
                "Handler": build.handler,
                "Code": {"ZipFile": _archive("")},
                "Timeout": facts.get("timeout_seconds", TIMEOUT_SECONDS),
                "MemorySize": facts.get("memory_mb", MEMORY_MB),
                "Environment": {"Variables": dict(variables[key])},
                "VpcConfig": dict(vpc),
                "Tags": {"app": place.target.system, "environment": place.target.environment},
            }
        )
        _release(place, build, key)


def _release(place: Place, build: Build, key: str) -> None:
    """The versions.

    Then what calls the function gets to the last, or to `$LATEST` where there is no alias.
    """
    backend, name, rng = (
        place.backend("lambda"),
        names.function(place, key),
        names.generator(place, f"functions/{key}"),
    )
    for days in build.published.get(key, ()):
        when = names.start(place) - timedelta(days=days, minutes=rng.randrange(90))
        _publish(place, key, when, f"{rng.getrandbits(28):07x}", build.schema)
    if alias := _alias_name(place, key):
        last = backend._lambdas._functions[name]["versions"][-1]
        backend.create_alias(
            alias, name, str(last.version), "what the API, the queues and the clock call", ""
        )
        promotions(place, key).append((_when(last), str(last.version)))
    if key in build.concurrency:
        backend.put_function_concurrency(name, build.concurrency[key])


def _publish(place: Place, key: str, when: datetime, commit: str, schema: str) -> str:
    backend, name = place.backend("lambda"), names.function(place, key)
    latest = backend._lambdas._functions[name]["latest"]
    latest.update_function_code({"ZipFile": _archive(commit)})
    latest.code_or_config_updated = True
    backend.publish_version(name, f"{when:%Y.%m.%d} git {commit} schema {schema}")
    version = backend._lambdas._functions[name]["versions"][-1]
    version.last_modified = latest.last_modified = when.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return str(version.version)


def _archive(text: str) -> str:
    """A zip file, base64, as CreateFunction takes it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app/main.py"), f"# {text}\n")
    return base64.b64encode(data.getvalue()).decode()


def _when(version: Any) -> datetime:
    return datetime.strptime(version.last_modified, "%Y-%m-%dT%H:%M:%S.000%z")


def live(place: Place, key: str) -> str:
    """The version that is called now: the one behind the alias."""
    return str(_alias(place, key).function_version) if _alias_name(place, key) else LATEST


def live_function(place: Place, key: str) -> Any:
    """moto's object of the version that is called: its configuration is what runs."""
    return version_of(place, key, live(place, key))


def version_of(place: Place, key: str, version: str) -> Any:
    """moto's object of a version."""
    return place.backend("lambda").get_function(names.function(place, key), version)


def stopped(place: Place, key: str) -> bool:
    """Whether its reserved concurrency is 0: nothing of it runs."""
    if not key:  # nothing is known of what answers
        return False
    reserved = place.backend("lambda").get_function_concurrency(names.function(place, key))
    return reserved is not None and int(reserved) == 0


def _alias_name(place: Place, key: str) -> str:
    """The alias that is called; empty where `$LATEST` is."""
    return str(place.facts["functions"][key].get("alias", ""))


def _alias(place: Place, key: str) -> Any:
    return place.backend("lambda").get_alias(_alias_name(place, key), names.function(place, key))


def memory(place: Place, key: str) -> int:
    return int(place.facts["functions"][key].get("memory_mb", MEMORY_MB))


def release(place: Place, key: str) -> dict[str, str]:
    """What a function's live version was built from.

    Version, git_sha, schema (its newest migration), deployed.
    """
    function = live_function(place, key)
    version, _, commit, _, schema = function.description.split()
    return {
        "version": version,
        "git_sha": commit,
        "schema": schema,
        "deployed": function.last_modified,
    }


def promotions(place: Place, key: str) -> list[tuple[datetime, str]]:
    """When which version went live, oldest first."""
    held: list[tuple[datetime, str]] = place.memory.setdefault("promotions", {}).setdefault(key, [])
    return held


def live_at(place: Place, key: str, when: datetime) -> str:
    """The version that was called then."""
    known = promotions(place, key) or [(when, LATEST)]
    return next((version for since, version in reversed(known) if since <= when), known[0][1])


def observe(place: Place, now: datetime) -> None:
    """Notes what somebody put behind an alias since the last look."""
    for key in place.facts["functions"]:
        if (
            _alias_name(place, key)
            and (version := live(place, key)) != promotions(place, key)[-1][1]
        ):
            promotions(place, key).append((now, version))
            if version_of(place, key, version).handler != place.memory["handler"]:
                place.memory.setdefault("bad", set()).add((key, version))  # it cannot start


def is_bad(place: Place, key: str, version: str) -> bool:
    return (key, version) in place.memory.setdefault("bad", set())


def deploy(
    place: Place,
    drill: str,
    key: str,
    when: datetime,
    change: Callable[[Any], None],
    schema: str = "",
) -> str:
    """Publishes `$LATEST` with a change and puts it behind the alias, as of `when`.

    Returns the version.

    `schema`: the newest migration that its code knows, when not that of the released code.
    """
    functions = place.backend("lambda")._lambdas._functions[names.function(place, key)]
    alias = _alias(place, key) if _alias_name(place, key) else None
    saved = Saved(
        copy.copy(functions["latest"]), list(functions["versions"]), copy.copy(alias), when
    )
    _deployed(place, key).append((drill, saved))
    change(functions["latest"])
    commit = f"{names.number(place, f'deploy/{key}/{len(saved.versions)}') & 0xFFFFFFF:07x}"
    version = _publish(place, key, when, commit, schema or place.memory["schema"])
    if alias:
        alias.function_version = version
        promotions(place, key).append((when, version))
    return version


def withdraw(place: Place, drill: str, key: str) -> datetime:
    """Puts a function back as it was before a drill's deployment, whatever was done to it since.

    Where another drill deployed after it, that one's end puts it back. Returns since when it was
    another one.
    """
    stack = _deployed(place, key)
    at = next(index for index, (name, _) in enumerate(stack) if name == drill)
    saved = stack.pop(at)[1]
    if at < len(stack):
        name, later = stack[at]
        stack[at] = (name, saved._replace(since=min(saved.since, later.since)))
    else:
        _restore(place, key, saved)
    return saved.since


def take_back_concurrency(place: Place, key: str, reserved: int | None) -> None:
    """What is reserved is again as it was, also in what a drill's end puts back."""
    held = [place.backend("lambda").get_function(names.function(place, key))]
    for function in held + [saved.latest for _, saved in _deployed(place, key)]:
        function.reserved_concurrency = reserved


def _deployed(place: Place, key: str) -> list[tuple[str, Saved]]:
    held: list[tuple[str, Saved]] = place.memory.setdefault("deployed", {}).setdefault(key, [])
    return held


def _restore(place: Place, key: str, saved: Saved) -> None:
    name = names.function(place, key)
    storage = place.backend("lambda")._lambdas
    storage._functions[name] = {"latest": saved.latest, "versions": list(saved.versions)}
    for function in (saved.latest, *saved.versions):
        storage._arns[function.function_arn] = function
    if saved.alias is None:
        return
    vars(_alias(place, key)).update(vars(saved.alias))
    kept = {str(version.version) for version in saved.versions}
    known = promotions(place, key)
    known[:] = [entry for entry in known if entry[1] in kept]
    if known[-1][1] != saved.alias.function_version:
        known.append((place.now(), saved.alias.function_version))
