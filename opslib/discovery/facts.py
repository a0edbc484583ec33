"""A target's facts out of what is in its account; what a person has to decide is noted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opslib.core.tables import Json
from opslib.discovery.accounts import Account
from opslib.discovery.known import has, known, words

_LOGIN_DAYS, _TOKEN_DAYS, _VALID_DAYS = 90, 180, 30


@dataclass
class Draft:
    """Facts on the way to a file. `notes`: by the place in it, what a person has to look at."""

    account: Account
    facts: Json
    notes: dict[str, list[str]] = field(default_factory=dict)
    api_id: str = ""

    def note(self, place: str, text: str) -> None:
        self.notes.setdefault(place, []).append(text)

    def short(self, name: str, taken: Iterable[str] = ()) -> str:
        """A name without the words that all have: bluemoxon-staging-api as api."""
        common = {*words(self.facts["system"]), *words(self.facts["environment"])}
        rest = "-".join(word for word in words(name) if word not in common) or "main"
        return rest if rest not in taken else "-".join(words(name))


def about(account: Account, prefix: str, name: str) -> tuple[str, str]:
    """System and environment: as said, as the resources' tags have it, or of their names."""
    things = [
        *account["functions"],
        *account["clusters"],
        *account["instances"],
        *account["queues"],
    ]
    tagged = [{key.lower(): value for key, value in each["tags"].items()} for each in things]
    every = [words(each["name"]) for each in things]
    environments = {*known("environments", "production"), *known("environments", "other")}
    split = words(name or prefix) or _common(every)
    environment = split[-1] if len(split) > 1 and (name or split[-1] in environments) else ""
    system = "-".join(split[:-1] if environment else split)
    environment = environment or next(iter(environments.intersection(*every)), "")
    if not name:
        system = _told(tagged, known("tags", "system")) or system
        environment = _told(tagged, known("tags", "environment")) or environment
    return "-".join(words(system)) or "system", "-".join(words(environment)) or "production"


def _told(tagged: list[Json], keys: list[str]) -> str:
    return next((str(each[key]) for key in keys for each in tagged if key in each), "")


def _common(names: list[list[str]]) -> list[str]:
    """The words that all of several names begin with."""
    found = []
    for column in zip(*names, strict=False):
        if len(set(column)) > 1:
            break
        found.append(column[0])
    return found


def draft(account: Account, head: Json) -> Draft:
    """The file's sections. `head`: system, environment, account, region, profile."""
    production = head["environment"] in known("environments", "production")
    title = f"{head['system'].replace('-', ' ').title()} {head['environment']}"
    facts = {"title": title, **head, "production": production}
    made = Draft(account, facts)
    facts["policy"] = {"apply_at_once": not production, "second_person": False, "plan_minutes": 60}
    made.note("title", "title: as people call it")
    made.note("policy", "policy: what a change needs here, see docs/targets.md")
    for section in (_functions, _api, _queues, _buckets, _database, _named, _network, _alarms):
        section(made)
    facts["dashboards"] = _by_name(made, "dashboards", lambda each: each["name"])
    facts["workflows"] = _by_name(made, "state machines", lambda each: {"name": each["name"]})
    facts["secrets"] = {each["name"]: {"max_age_days": _age(each)} for each in account["secrets"]}
    domains = (each["name"] for each in account["certificates"])
    facts["certificates"] = {name: {"min_days": _VALID_DAYS} for name in sorted(domains)}
    facts["logs"] = {"error_pattern": '?ERROR ?Exception ?"Task timed out"', "errors_per_hour": 5}
    made.facts = {key: value for key, value in facts.items() if value not in ({}, [], None)}
    return made


def beside(made: Draft) -> Iterator[str]:
    """What is there too, and what could not be asked: lines for the file's head."""
    for kind in known("beside"):
        if names := [each["name"] for each in made.account[kind]]:
            yield f"Also there, with no key in a target's file yet: {kind}: {', '.join(names[:12])}"
    for kind, why in made.account.unknown.items():
        yield f"Not known: {kind}: {why}"


def _by_name(made: Draft, kind: str, told: Any) -> Json:
    found: Json = {}
    for each in made.account[kind]:
        found[made.short(each["name"], found)] = told(each)
    return found


def _functions(made: Draft) -> None:
    behind = _behind(made)
    things = sorted(made.account["functions"], key=lambda each: each["name"] != behind)
    made.account.things["functions"] = things
    made.facts["functions"] = _by_name(made, "functions", lambda each: _function(made, each))
    if things and not behind:
        made.note("functions", "the first is taken for the one behind the API: put it there")


def _function(made: Draft, each: Json) -> Json:
    aliases = each.get("aliases") or ()
    if len(aliases) > 1:
        made.note(
            "functions", f"{each['name']} has the aliases {', '.join(aliases)}: which is called?"
        )
    found = {"name": each["name"], "alias": next(iter(aliases), None)}
    found |= {"purpose": each.get("Description") or None, "timeout_seconds": each.get("Timeout")}
    found |= {"memory_mb": each.get("MemorySize")}
    found["variables"] = [*each.get("Environment", {}).get("Variables", {})] or None
    return {key: value for key, value in found.items() if value is not None}


def _behind(made: Draft) -> str:
    """The function that the API calls: by its integration, its URL, or its name."""
    functions = made.account["functions"]
    uris = [uri or "" for api in made.account["APIs"] for uri in api.get("behind") or ()]
    called = [each for each in functions if any(each["name"] in words_of(uri) for uri in uris)]
    called += [each for each in functions if each.get("url")]
    for word in known("words", "api"):
        called += [each for each in functions if word in words(made.short(each["name"]))]
    return str(called[0]["name"]) if called else ""


def words_of(uri: str) -> list[str]:
    """The parts of an ARN, also of one within another."""
    return uri.replace("/", ":").split(":")


def _api(made: Draft) -> None:
    url = next(_urls(made), "")
    if not url:
        return
    secrets = [each["name"] for each in made.account["secrets"]]
    key = [each for each in secrets if has(made.short(each), "token")]
    made.facts["api"] = {"url": url.rstrip("/")} | ({"token_secret": key[0]} if key else {})
    made.facts["api"] |= {"timeout_seconds": 10, "slow_seconds": 2}
    if key:
        made.note("api", f"is {key[0]} sent as a Bearer token? Else say how in api.key")


def _urls(made: Draft) -> Iterator[str]:
    """Addresses of the API: its own domain, API Gateway's, the function's."""
    known = {each["ApiId"]: each for each in made.account["APIs"]}
    for domain in made.account["domains"]:
        for path in domain.get("paths") or ():
            if path["ApiId"] in known:
                made.api_id = path["ApiId"]
                yield f"https://{domain['name']}/{path.get('ApiMappingKey') or ''}"
    for id, each in known.items():
        made.api_id = id
        stage = next((stage for stage in each.get("stages") or () if stage != "$default"), "")
        yield f"{each['ApiEndpoint']}/{stage}"
    region = made.facts["region"]
    for each in made.account["REST APIs"]:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        stage = next(iter(each.get("stages") or ("",)))
        yield f"https://{each['id']}.execute-api.{region}.{suffix}/{stage}"
    yield from (each["url"] for each in made.account["functions"] if each.get("url"))


def _queues(made: Draft) -> None:
    dead = {each["name"]: _dead_letters(each) for each in made.account["queues"]}
    targets = set(dead.values())
    found: Json = {}
    for name, letters in dead.items():
        if name not in targets:
            told = {"name": name} | ({"dead_letters": letters} if letters else {})
            found[made.short(name, found)] = told
    made.facts["queues"] = found


def _dead_letters(queue: Json) -> str:
    policy = json.loads((queue.get("set") or {}).get("RedrivePolicy", "{}"))
    return str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]


def _buckets(made: Draft) -> None:
    made.facts["buckets"] = _by_name(made, "buckets", _bucket)
    for key, each in [*made.facts["buckets"].items()]:
        if has(each["name"], "tools"):
            del made.facts["buckets"][key]


def _bucket(each: Json) -> Json:
    found = {"name": each["name"], "versioning": each.get("versioning") == "Enabled"}
    found |= {"encryption": each["encryption"]} if each.get("encryption") else {}
    found["public"] = not each.get("blocked")
    for rule in (each.get("cors") or ())[:1]:
        found["cors_origins"] = rule.get("AllowedOrigins", [])
        found["cors_methods"] = rule.get("AllowedMethods", [])
    return found


def _database(made: Draft) -> None:
    alone = [each for each in made.account["instances"] if not each.get("DBClusterIdentifier")]
    every = [("cluster", each) for each in made.account["clusters"]]
    every += [
        ("instance", each)
        for each in alone
        if not each.get("ReadReplicaSourceDBInstanceIdentifier")
    ]
    if not every:
        return
    kind, found = every[0]
    for other, each in every[1:]:
        made.note("database", f"{other} {each['name']} is there, too: which is the app's?")
    facts: Json = {kind: found["name"]}
    if "postgres" not in found.get("Engine", "postgres"):
        facts["engine"] = found["Engine"]
    secrets = [each["name"] for each in made.account["secrets"] if _opens(each, found)]
    if secrets and not found.get("MasterUserSecret"):
        facts["secret"] = secrets[0]
    elif not found.get("MasterUserSecret"):
        made.note("database", "no secret looks like its login: name it in secret")
    facts["backup_days"] = found.get("BackupRetentionPeriod")
    made.facts["database"] = {key: value for key, value in facts.items() if value is not None}


def _opens(secret: Json, database: Json) -> bool:
    """Whether a secret is called as if the database's login were in it."""
    return has(secret["name"], "database") or database["name"] in secret["name"]


def _named(made: Draft) -> None:
    """What there is one of, as a rule."""
    for section, key, kind in (("search", "domain", "search domains"), ("users", "pool", "pools")):
        found = [each["name"] for each in made.account[kind]]
        made.facts[section] = {key: found[0]} if found else {}
        for other in found[1:]:
            made.note(section, f"{other} is there, too: which is the app's?")


def _network(made: Draft) -> None:
    functions = made.account["functions"]
    inside = [each for each in functions if each.get("VpcConfig", {}).get("SubnetIds")]
    if not inside:
        return
    first = inside[0]["VpcConfig"]["SubnetIds"][0]
    subnets = made.account["subnets"]
    id = next((each["VpcId"] for each in subnets if each["SubnetId"] == first), "")
    called = next((each["name"] for each in made.account["VPCs"] if each["VpcId"] == id), id)
    first = next(
        key for key, each in made.facts["functions"].items() if each["name"] == inside[0]["name"]
    )
    ends = [each for each in made.account["endpoints"] if each["VpcId"] == id]
    endpoints = {each["ServiceName"].rpartition(".")[2]: each["VpcEndpointType"] for each in ends}
    if endpoints:
        told = {"vpc": called, "function": first, "endpoints": dict(sorted(endpoints.items()))}
        made.facts["network"] = told


def _alarms(made: Draft) -> None:
    alarms = made.account["alarms"]
    if not alarms:
        return
    system, environment = made.facts["system"], made.facts["environment"]
    begin = next(
        (
            each
            for each in (f"{system}-{environment}-", f"{system}-")
            if all(alarm["name"].startswith(each) for alarm in alarms)
        ),
        "",
    )
    made.facts["alarms"] = {
        "patterns": [f"{begin}*"] if begin else [each["name"] for each in alarms]
    }
    made.facts["alarms"]["expected"] = {each["name"]: _next(each) for each in alarms}
    made.note("alarms", "expected: what each asks for, a procedure or an entry of the runbook")


def _next(alarm: Json) -> str:
    space, metric = alarm.get("Namespace", ""), alarm.get("MetricName", "")
    follows = known("next")
    return str(follows.get(f"{space} {metric}") or follows.get(space) or "health/quick")


def _age(secret: Json) -> int:
    """How old its value may be: as long as it is rotated after, else what is usual."""
    usual = _LOGIN_DAYS if has(secret["name"], "database") else _TOKEN_DAYS
    return int(secret.get("RotationRules", {}).get("AutomaticallyAfterDays") or usual)
