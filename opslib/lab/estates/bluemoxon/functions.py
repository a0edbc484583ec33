"""The Lambda functions: their versions, which of them is live and since when, and what a deployment does.

A version's description says what was built: `2026.11.19 git 3f9ac21 schema b2e4d6c8f056`.
"""

from __future__ import annotations

import base64
import copy
import io
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from opslib.lab.estates.base import Place
from opslib.lab.estates.bluemoxon import migrations, names

# Days before the lab's start at which each version went live; the last is live.
_PUBLISHED = {
    "api": (44, 31, 24, 17, 10, 3),
    "analysis-worker": (44, 24, 10, 3),
    "eval-runbook-worker": (44, 24, 10, 3),
    "scraper": (58, 31, 17, 12),
    "db-sync": (58, 37, 12),
    "cleanup": (58, 37),
}
_CONCURRENCY = {"analysis-worker": 5, "scraper": 2}


class Saved(NamedTuple):
    """A function as it was: what `restore` puts back."""

    latest: Any
    versions: list[Any]
    alias: Any


def seed(place: Place, variables: dict[str, dict[str, str]], vpc: dict[str, list[str]]) -> None:
    """Every function of the facts, with its versions and its alias. `variables`: of each function, by key."""
    role = place.client("iam").create_role(
        RoleName=f"{place.name}-lambda", Path="/", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )["Role"]["Arn"]
    for key, facts in place.facts["functions"].items():
        rng = names.generator(place, f"functions/{key}")
        place.backend("lambda").create_function(
            {
                "FunctionName": facts["name"],
                "Runtime": "python3.12",
                "Role": role,
                "Handler": "app.main.handler",
                "Code": {"ZipFile": _archive("")},
                "Timeout": facts["timeout_seconds"],
                "MemorySize": facts["memory_mb"],
                "Environment": {"Variables": dict(variables[key])},
                "VpcConfig": dict(vpc),
                "Tags": {"app": "bluemoxon", "environment": place.target.environment},
            }
        )
        for days in _PUBLISHED[key]:
            _publish(
                place,
                key,
                names.start(place) - timedelta(days=days, minutes=rng.randrange(90)),
                f"{rng.getrandbits(28):07x}",
            )
        _go_live(place, key)


def _go_live(place: Place, key: str) -> None:
    backend, name = place.backend("lambda"), names.function(place, key)
    last = backend._lambdas._functions[name]["versions"][-1]
    backend.create_alias(names.ALIAS, name, str(last.version), "what the API, the queues and the clock call", "")
    promotions(place, key).append((_when(last), str(last.version)))
    if key in _CONCURRENCY:
        backend.put_function_concurrency(name, _CONCURRENCY[key])


def _publish(place: Place, key: str, when: datetime, commit: str, schema: str = migrations.HEAD) -> str:
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
    """The version behind `live`, now."""
    return str(_alias(place, key).function_version)


def live_function(place: Place, key: str) -> Any:
    """moto's object of the version behind `live`: its configuration is what runs."""
    return place.backend("lambda").get_function(names.function(place, key), live(place, key))


def _alias(place: Place, key: str) -> Any:
    return place.backend("lambda").get_alias(names.ALIAS, names.function(place, key))


def memory(place: Place, key: str) -> int:
    return int(place.facts["functions"][key]["memory_mb"])


def release(place: Place) -> dict[str, str]:
    """What the API's live version was built from: version, git_sha, schema (its newest migration), deployed."""
    function = live_function(place, "api")
    version, _, commit, _, schema = function.description.split()
    return {"version": version, "git_sha": commit, "schema": schema, "deployed": function.last_modified}


def promotions(place: Place, key: str) -> list[tuple[datetime, str]]:
    """When which version went live, oldest first."""
    held: list[tuple[datetime, str]] = place.memory.setdefault("promotions", {}).setdefault(key, [])
    return held


def live_at(place: Place, key: str, when: datetime) -> str:
    """The version that was behind `live` then."""
    known = promotions(place, key)
    return next((version for since, version in reversed(known) if since <= when), known[0][1])


def observe(place: Place, now: datetime) -> None:
    """Notes what somebody put behind `live` since the last look."""
    for key in place.facts["functions"]:
        if (version := live(place, key)) != promotions(place, key)[-1][1]:
            promotions(place, key).append((now, version))


def is_bad(place: Place, key: str, version: str) -> bool:
    return (key, version) in place.memory.setdefault("bad", set())


def deploy(
    place: Place, drill: str, key: str, when: datetime, change: Callable[[Any], None], schema: str = migrations.HEAD
) -> str:
    """Publishes `$LATEST` with a change and puts it behind `live`, as of `when`. Returns the version."""
    functions = place.backend("lambda")._lambdas._functions[names.function(place, key)]
    saved = Saved(copy.copy(functions["latest"]), list(functions["versions"]), copy.copy(_alias(place, key)))
    _deployed(place, key).append((drill, saved))
    change(functions["latest"])
    commit = f"{names.number(place, f'deploy/{key}/{len(saved.versions)}') & 0xFFFFFFF:07x}"
    version = _publish(place, key, when, commit, schema)
    _alias(place, key).function_version = version
    promotions(place, key).append((when, version))
    return version


def withdraw(place: Place, drill: str, key: str) -> None:
    """Puts a function back as it was before a drill's deployment, whatever was done to it since.

    Where another drill deployed after it, that one's end puts it back.
    """
    stack = _deployed(place, key)
    at = next(index for index, (name, _) in enumerate(stack) if name == drill)
    saved = stack.pop(at)[1]
    if at < len(stack):
        stack[at] = (stack[at][0], saved)
    else:
        _restore(place, key, saved)


def _deployed(place: Place, key: str) -> list[tuple[str, Saved]]:
    held: list[tuple[str, Saved]] = place.memory.setdefault("deployed", {}).setdefault(key, [])
    return held


def _restore(place: Place, key: str, saved: Saved) -> None:
    name = names.function(place, key)
    storage = place.backend("lambda")._lambdas
    storage._functions[name] = {"latest": saved.latest, "versions": list(saved.versions)}
    for function in (saved.latest, *saved.versions):
        storage._arns[function.function_arn] = function
    vars(_alias(place, key)).update(vars(saved.alias))
    kept = {str(version.version) for version in saved.versions}
    known = promotions(place, key)
    known[:] = [entry for entry in known if entry[1] in kept]
    if known[-1][1] != saved.alias.function_version:
        known.append((place.now(), saved.alias.function_version))
