"""A target's facts out of what is in its account; what a person has to decide is noted."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jmespath

from opslib.core import Json, batched, decoded, identities
from opslib.discovery.accounts import Account
from opslib.discovery.known import first, has, known, words

_LOGIN_DAYS, _TOKEN_DAYS, _VALID_DAYS = 90, 180, 30


@dataclass
class Draft:
    """Facts on the way to a file. `notes`: by the place in it, what a person has to look at."""

    account: Account
    facts: Json
    notes: dict[str, list[str]] = field(default_factory=dict)
    api_id: str = ""

    def ask(self, path: str) -> list[Any]:
        """What a query in JMESPath finds in the account."""
        return jmespath.search(path, self.account.things) or []

    def key(self, section: str, name: str) -> str:
        """What a thing of that name is called in the file."""
        of = self.facts.get(section, {})
        return str(first(key for key, each in of.items() if each["name"] == name))

    def note(self, place: str, text: str) -> None:
        self.notes.setdefault(place, []).append(text)

    def short(self, name: str, taken: Iterable[str] = ()) -> str:
        """A name without the words that all have: bluemoxon-staging-api as api."""
        common = {*words(self.facts["system"]), *words(self.facts["environment"])}
        rest = "-".join(word for word in words(name) if word not in common) or "main"
        return rest if rest not in taken else "-".join(words(name))


def about(account: Account, prefix: str, name: str) -> tuple[str, str]:
    """System and environment: as said, as the resources' tags have it, or of their names."""
    kinds = ("functions", "services", "clusters", "instances", "queues")
    things = [each for kind in kinds for each in account[kind]]
    tagged = [{key.lower(): value for key, value in each["tags"].items()} for each in things]
    every = [words(each["name"]) for each in things]
    environments = [*known("words", "production"), *known("words", "other")]
    shared = [word for word in (every or [[]])[0] if all(word in of for of in every)]
    split = words(name or prefix) or shared
    environment = split[-1] if len(split) > 1 and (name or split[-1] in environments) else ""
    system = "-".join(split[:-1] if environment else split)
    environment = environment or first(each for each in environments if each in shared)
    if not name:
        system = _told(tagged, known("tags", "system")) or system
        environment = _told(tagged, known("tags", "environment")) or environment
    return "-".join(words(system)) or "system", "-".join(words(environment)) or "production"


def _told(tagged: list[Json], keys: list[str]) -> str:
    return str(first(each[key] for key in keys for each in tagged if key in each))


def draft(account: Account, head: Json) -> Draft:
    """The file's sections. `head`: system, environment, account, region, profile."""
    production = head["environment"] not in known("words", "other")
    facts = {"title": f"{head['system'].replace('-', ' ').title()} {head['environment']}", **head}
    facts |= {"production": production, "logs": known("logs")}
    made = Draft(account, facts)
    facts["policy"] = {"apply_at_once": not production, **known("policy")}
    made.note("title", "title: as people call it")
    made.note("policy", "policy: what a change needs here, see docs/targets.md")
    _functions(made)
    for section, about in known("sections").items():
        facts[section] = _by_name(made, about)
    for put in (_api, _queues, _database, _named, _network, _alarms, _apart):
        put(made)
    facts["secrets"] = {each["name"]: {"max_age_days": _age(each)} for each in account["secrets"]}
    domains = sorted(made.ask("certificates[].name"))
    facts["certificates"] = {name: {"min_days": _VALID_DAYS} for name in domains}
    return made


def beside(made: Draft) -> Iterator[str]:
    """What is there too, and what could not be asked: lines for the file's head."""
    for kind in known("beside"):
        if names := made.ask(f'"{kind}"[].name'):
            yield f"Also there, for you to describe: {kind}: {', '.join(names[:12])}"
    for kind, why in made.account.unknown.items():
        yield f"Not known: {kind}: {why}"


def _by_name(made: Draft, about: list[str]) -> Json:
    """`about`: kinds, each with what is said of one, a query; nothing of the tools that made the
    others.
    """
    found: Json = {}
    for kind, told in batched(about, 2):
        for each in made.account[kind]:
            if has(each["name"], "tools"):
                continue
            said = jmespath.search(told, each)
            if isinstance(said, dict):
                said = _said(said)
            found[made.short(each["name"], found)] = said
    return found


def _functions(made: Draft) -> None:
    """The one behind the API comes first."""
    behind = _behind(made)
    made.account.things["functions"] = things = sorted(
        made.account["functions"], key=lambda each: each["name"] != behind
    )
    for name, aliases in made.ask("functions[?aliases[1]].[name, aliases]"):
        made.note("functions", f"{name} has the aliases {', '.join(aliases)}: which is called?")
    if things and not behind:
        made.note("functions", "the first is taken for the one behind the API: put it there")


def _behind(made: Draft) -> str:
    """The function that the API calls: by its integration, its URL, or its name."""
    names = made.ask("functions[].name")
    parts = [part for uri in made.ask("APIs[].behind[]") for part in re.split("[:/]", uri)]
    called = [name for name in names if name in parts]
    called += made.ask("functions[?url].name")
    for word in known("words", "api"):
        called += [name for name in names if word in words(made.short(name))]
    return str(first(called))


def _api(made: Draft) -> None:
    url, made.api_id = first(_urls(made)) or ("", "")
    if not url:
        return
    own = {*known("words", "token"), *known("words", "api")}  # not somebody else's: OPENAI_API_KEY
    key = first(name for name in made.ask("secrets[].name") if {*words(made.short(name))} <= own)
    made.facts["api"] = {"url": url.rstrip("/")} | ({"token_secret": key} if key else {})
    made.facts["api"] |= {"timeout_seconds": 10, "slow_seconds": 2}
    if key:
        made.note("api", f"is {key} sent as a Bearer token? Else say how in api.key")


def _urls(made: Draft) -> Iterator[tuple[str, str]]:
    """Addresses of the API, and its id: its own domain, API Gateway's, the function's."""
    ids, region = made.ask("APIs[].ApiId"), made.facts["region"]
    for domain in made.account["domains"]:
        for path in domain.get("paths") or ():
            if path["ApiId"] in ids:
                yield f"https://{domain['name']}/{path.get('ApiMappingKey') or ''}", path["ApiId"]
    for id, end, stage in made.ask("APIs[].[ApiId, ApiEndpoint, stages[?@!='$default'] | [0]]"):
        yield f"{end}/{stage or ''}", id
    for id, stage in made.ask('"REST APIs"[].[id, stages[0]]'):
        yield f"https://{id}.execute-api.{region}.{identities.suffix(region)}/{stage or ''}", ""
    yield from ((url, "") for url in made.ask("functions[].url"))


def _apart(made: Draft) -> None:
    """A note where names of production and of another environment stand together."""
    names = made.ask("[functions, services, clusters, instances, queues, buckets][][].name")
    live, other = ({n for n in names if has(n, kind)} for kind in ("production", "other"))
    if live - other and other - live:
        each = f"{min(live - other)} and {min(other - live)} are in one: discover each by a "
        made.note("title", each + "--prefix of its own")


def _queues(made: Draft) -> None:
    dead = {each["name"]: _dead_letters(each) for each in made.account["queues"]}
    found: Json = {}
    for name, letters in dead.items():
        if name not in dead.values():
            found[made.short(name, found)] = _said({"name": name, "dead_letters": letters or None})
    made.facts["queues"] = found


def _dead_letters(queue: Json) -> str:
    policy = decoded((queue.get("set") or {}).get("RedrivePolicy", ""), {})
    return str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]


def _database(made: Draft) -> None:
    every = [("cluster", each) for each in made.account["clusters"]]
    alone = "instances[?!DBClusterIdentifier && !ReadReplicaSourceDBInstanceIdentifier]"
    every += [("instance", each) for each in made.ask(alone)]
    if not every:
        return
    (kind, found), *others = every
    for other, each in others:
        made.note("database", f"{other} {each['name']} is there, too: which is the app's?")
    facts: Json = {kind: found["name"]}
    if "postgres" not in found.get("Engine", "postgres"):
        facts["engine"] = found["Engine"]
    if not found.get("MasterUserSecret"):
        named = made.ask("secrets[].name")  # as if the database's login were in it
        opens = (each for each in named if has(each, "database") or found["name"] in each)
        facts["secret"] = first(opens) or None
        if not facts["secret"]:
            made.note("database", "no secret looks like its login: name it in secret")
    facts["backup_days"] = found.get("BackupRetentionPeriod")
    made.facts["database"] = _said(facts)


def _said(facts: Json) -> Json:
    """Without what nothing says."""
    return {key: value for key, value in facts.items() if value is not None}


def _named(made: Draft) -> None:
    """What there is one of, as a rule."""
    for section, key, kind, told in known("named"):
        for each in made.account[kind]:
            if section in made.facts:
                made.note(section, f"{each['name']} is there, too: which is the app's?")
                continue
            made.facts[section] = _said({key: each["name"], **jmespath.search(told, each)})
    opens = first(name for name in made.ask("secrets[].name") if has(name, "cache"))
    if opens and "cache" in made.facts:
        made.facts["cache"]["secret"] = opens


def _network(made: Draft) -> None:
    for inside in made.ask("functions[?VpcConfig.SubnetIds] | [:1]"):
        subnet = inside["VpcConfig"]["SubnetIds"][0]
        id = first(made.ask(f"subnets[?SubnetId=='{subnet}'].VpcId"))
        vpc = first(made.ask(f"VPCs[?VpcId=='{id}'].name")) or id
        ends = made.ask(f"endpoints[?VpcId=='{id}'].[ServiceName, VpcEndpointType]")
        endpoints = dict(sorted((name.rpartition(".")[2], kind) for name, kind in ends))
        if endpoints:
            made.facts["network"] = {
                "vpc": vpc,
                "function": made.key("functions", inside["name"]),
                "endpoints": endpoints,
            }


def _alarms(made: Draft) -> None:
    made.account.things["alarms"] = made.ask(known("telling"))
    if not (names := made.ask("alarms[].name")):
        return
    system, environment = made.facts["system"], made.facts["environment"]
    begins = (f"{system}-{environment}-", f"{system}-")
    begin = first(each for each in begins if all(name.startswith(each) for name in names))
    made.facts["alarms"] = {"patterns": [f"{begin}*"] if begin else names}
    made.facts["alarms"]["expected"] = {
        each["name"]: _next(each) for each in made.account["alarms"]
    }
    made.note("alarms", "expected: what each asks for, a procedure or an entry of the runbook")


def _next(alarm: Json) -> str:
    space, metric = alarm.get("Namespace", ""), alarm.get("MetricName", "")
    follows = known("next")
    return str(follows.get(f"{space} {metric}") or follows.get(space) or "health/quick")


def _age(secret: Json) -> int:
    """How old its value may be: as long as it is rotated after, else what is usual."""
    usual = _LOGIN_DAYS if has(secret["name"], "database") else _TOKEN_DAYS
    return int(secret.get("RotationRules", {}).get("AutomaticallyAfterDays") or usual)
