"""A system without an estate gets one from its target's file: all of it is there, and quiet.

Its functions answer, its API's probes and deep check are healthy, its database is real PostgreSQL
with the tables that the file names, empty; DynamoDB's hold a few items; its metrics stay on the
good side of their thresholds.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import partial
from itertools import product
from typing import Any
from urllib.parse import urlsplit

from opslib.core.reads.metrics import Metric as KeyMetric
from opslib.lab.aws.handlers import ApiHandler, FunctionHandler, Invocation
from opslib.lab.corrections.cloudwatch import metrics
from opslib.lab.estates import seeding
from opslib.lab.estates.generic import drills
from opslib.lab.estates.quiet import APPLICATION, METRICS, QUIET, SENT, routes, version
from opslib.lab.forms.data import (
    Alarm,
    Data,
    Database,
    Functions,
    Network,
    Person,
    Secret,
    Services,
    Users,
)
from opslib.lab.forms.days import Api, Clock, Lines, Measured, Metric, Traffic
from opslib.lab.places import Estate, Place
from opslib.lab.resources import names, tables
from opslib.lab.traffic.apps import App
from opslib.lab.work import executions

_PUBLISHED = [34, 12]  # days before the lab's start
_PEOPLE = {"admin": "ada@example.com", "viewer": "vera@example.com"}
_USER = (
    "INSERT INTO {table} (cognito_sub, email, role, created_at) VALUES (%(sub)s, %(email)s, "
    "%(role)s, %(created)s)"
)
_TIMES = {"Duration", "Latency", "IntegrationLatency", "TargetResponseTime"}
_TRUE = ("AWS/SQS",)  # what the lab's own queues say
_ITEMS = 3  # of a table of DynamoDB
_LOGINS = (("database", "secret"), ("database", "reader_secret"), ("cache", "secret"))
_EXECUTED = (3, 11, 19)  # hours before the lab's start
_SHARE_NIGHT, _SHARE_DAY = 0.12, 0.3  # of a threshold


def about(place: Place) -> Data:
    """What an estate.yaml would say of it."""
    facts = place.facts
    behind = next(iter(facts.get("functions", {})), "")
    traffic = _traffic(place, behind)
    return Data(
        network=Network() if {"network", "services", "maintenance_mode"} & facts.keys() else None,
        database=_database(place),
        cache_days=_days(facts, facts.get("cache", {}).get("secret", "")),
        functions=_functions(place, behind),
        services=Services(variables=_head(place, "service")),
        users=_users(facts["users"]) if "users" in facts else Users(),
        secrets=dict(_secrets(facts)),
        traffic=traffic,
        api=Api(most_ms=max((ms for *_, ms in traffic.routes), default=0.0)),
        lines=Lines(with_base=True),
        metrics=dict(_metrics(facts)),
        alarms=dict(_alarms(facts)),
        dashboards={key: [*_widgets(facts)] for key in facts.get("dashboards", {})},
    )


def _functions(place: Place, behind: str) -> Functions:
    """Those behind no API run by the clock, each quarter of an hour, far from their timeouts."""
    every = place.facts.get("functions", {})
    idle = [key for key in every if key != behind or "api" not in place.facts]
    return Functions(
        published={key: _PUBLISHED for key, facts in every.items() if "alias" in facts},
        variables=_head(place, "function"),
        clocks={key: Clock(every=15, at=at % 15, ms=(90, 400)) for at, key in enumerate(idle)},
    )


def _head(place: Place, kind: str) -> dict[str, str]:
    """The variable that says which migration the code needs: there is one, and it was run."""
    about = place.facts.get("database", {})
    head = about.get("migrations_head", {})
    return (
        {head["variable"]: version(place.facts)} if isinstance(head, dict) and kind in head else {}
    )


def _database(place: Place) -> Database:
    about = place.facts.get("database", {})
    days = _days(place.facts, about.get("secret", ""))
    settings = {"MultiAZ": place.target.production} if "instance" in about else {}
    return Database(application=place.target.system, pool=3, password_days=days, settings=settings)


def _days(facts: Mapping[str, Any], secret: str) -> int:
    """A secret's age: half of what it may be."""
    return int(facts.get("secrets", {}).get(secret, {}).get("max_age_days", 60)) // 2


def _users(facts: Mapping[str, Any]) -> Users:
    people = [Person(email=email, role=role, days=90) for role, email in _PEOPLE.items()]
    insert = _USER.format(table=facts["table"]) if "table" in facts else ""
    return Users(people=people, groups={role: f"{role}s" for role in _PEOPLE}, insert=insert)


def _secrets(facts: Mapping[str, Any]) -> Iterator[tuple[str, Secret]]:
    """Those that the file names, with the fields that it names of them; of those that open database
    or cache, which are made with them, the other fields.
    """
    fields: dict[str, dict[str, str]] = {name: {} for name in facts.get("secrets", {})}
    for name, field, value in _keys(facts):
        fields.setdefault(name, {})[field] = value
    logins = {facts.get(of, {}).get(key) for of, key in _LOGINS}
    for name, held in fields.items():
        value = held.pop("", "{hex 160}")
        if held or name not in logins:
            yield name, Secret(value=json.dumps(held) if held else value, days=_days(facts, name))


def _keys(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Secrets that hold a key, in which field (empty: it is all of it), and the key."""
    api = facts.get("api", {})
    asked = [
        api.get("key", {"secret": api.get("token_secret")}),
        facts.get("search", {}).get("key"),
    ]
    asked.append(facts.get("tokens"))
    for each in asked:
        if each and each["secret"]:
            basic = each.get("scheme") == "Basic"
            yield each["secret"], each.get("field", ""), "opslib:" * basic + "{hex 160}"
    for client in facts.get("users", {}).get("clients", {}).values():
        if at := client.get("secret"):
            yield at["name"], at["key"], "{hex 104}"


def _traffic(place: Place, behind: str) -> Traffic:
    """Its probes and what else its file names of the API, each as often as the others."""
    api = place.facts.get("api", {})
    named = [*api.get("probes", {}), *(api[key] for key in ("deep", "shallow") if key in api)]
    paths = [*dict.fromkeys(urlsplit(path).path for path in named)] or ["/"]
    limits = [
        limit * (1000 if metric.get("unit") == "s" else 1)
        for metric in place.facts.get("metrics", {}).values()
        if metric.get("metric") in _TIMES
        for limit in _limits(metric)
    ]
    ms = min(60.0, 0.1 * min(limits, default=600.0))
    found = [(1 / len(paths), "GET", path, ms) for path in paths]
    return Traffic(function=behind, routes=found if behind and api else [])


def _limits(metric: Mapping[str, Any]) -> list[float]:
    return [float(metric[key]) for key in ("warn", "critical") if key in metric]


def _metrics(facts: Mapping[str, Any]) -> Iterator[tuple[str, Measured]]:
    """What the file calls key metrics, on their good side; then what RDS tells of any database."""
    for key, each in _plain(facts).items():
        if each["namespace"] not in _TRUE:
            yield key, _measured(each["namespace"], dict(each.get("dimensions", {})), _day(each))
    database = facts.get("database", {})
    for kind, dimension in (
        ("instance", "DBInstanceIdentifier"),
        ("cluster", "DBClusterIdentifier"),
    ):
        if kind in database:
            known = {
                each["metric"]
                for each in _plain(facts).values()
                if each.get("dimensions", {}).get(dimension) == database[kind]
            }
            of = {dimension: str(database[kind])}
            for at, told in enumerate(METRICS):
                if told[0] not in known:
                    yield f"{kind} {at}", _measured("AWS/RDS", of, told)

    for key, each in facts.get("metrics", {}).items():
        for name, many in _well(each).items():
            of = each["of"][name]
            dimensions = dict(of.get("dimensions", {}))
            day = Metric(metric=of["metric"], value=many)
            yield f"{key} {name}", _measured(of["namespace"], dimensions, day)


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The key metrics that are no shares."""
    return {key: each for key, each in facts.get("metrics", {}).items() if "metric" in each}


def _well(metric: Mapping[str, Any]) -> dict[str, float]:
    """Of a share each amount, some or none a minute, so that it is on its good side."""
    import pandas as pd

    known = KeyMetric("", **metric)
    for many in product((10.0, 0.0), repeat=len(known.of)) if known.share else ():
        told = dict(zip(known.of, many, strict=True))
        once = pd.DataFrame([told], index=[datetime.min])
        [said] = known.share.windows(once, 0, 1)  # type: ignore[union-attr]
        if known.status(said["value"]) == "ok" and said["value"] == said["value"]:
            return told
    return {}


def _measured(namespace: str, dimensions: dict[str, str], told: Any) -> Measured:
    return Measured(namespace=namespace, dimensions=[dimensions], day=[told])


def _day(metric: Mapping[str, Any]) -> Any:
    name, limits = metric["metric"], _limits(metric)
    usual = next((each for each in METRICS if each[0] == name), (name, 2.0, 6.0, 0.1, "Count"))
    unit = usual[4]
    if not limits:
        return (name, 0.0, 0.0, 0.0, unit) if name in QUIET else usual
    if metric.get("below"):
        return Metric(metric=name, value=max(limits) + 2 * abs(max(limits)), unit=unit)
    least = min(limits) / (5 if metric["statistic"] == "Sum" else 1)  # a period has five minutes
    if least < 0:
        return Metric(metric=name, value=3 * least, unit=unit)
    return (name, _SHARE_NIGHT * least, _SHARE_DAY * least, 0.1, unit)


def _alarms(facts: Mapping[str, Any]) -> Iterator[tuple[str, Alarm]]:
    """Those that the file expects, or one that its pattern fits.

    Each on the metric most like its name.
    """
    described = facts.get("alarms", {})
    names = [*described.get("expected", {})]
    if not names and described:
        names = [str(described["patterns"][0]).replace("*", "quiet").replace("?", "x")]
    metrics = {key: each for key, each in _plain(facts).items() if not each.get("below")}
    for name in names:
        near = get_close_matches(name, metrics, n=1, cutoff=0.0)
        yield (
            name,
            _alarm(metrics[near[0]] if near else {"namespace": "AWS/Lambda", "metric": "Errors"}),
        )


def _alarm(metric: Mapping[str, Any]) -> Alarm:
    return Alarm(
        text=str(metric.get("title", "Errors")),
        metric=(metric["namespace"], metric["metric"]),
        dimensions=dict(metric.get("dimensions", {})),
        statistic=metric.get("statistic", "Sum"),
        above=max(_limits(metric), default=1000.0),
    )


def _widgets(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for each in _plain(facts).values():
        pairs = [part for pair in each.get("dimensions", {}).items() for part in pair]
        shown = [[each["namespace"], each["metric"], *pairs]]
        yield {"title": each["title"], "metrics": shown, "stat": each["statistic"]}


class Handlers(dict[str, FunctionHandler]):
    """Any function answers; the one behind the API as the API does."""

    def get(self, key: str, default: Any = None) -> FunctionHandler:
        return _answer


def _answer(event: Any, place: Place, invocation: Invocation) -> Any:
    behind = place.memory["data"].traffic.function
    asked = isinstance(event, dict) and ("requestContext" in event or "httpMethod" in event)
    if (
        asked
        and behind
        and "api" in place.facts
        and place.facts["functions"][behind]["name"] == invocation.function
    ):
        return _app(place).function(event, place, invocation)
    return {"status": "success"}


def _app(place: Place) -> App:
    known = place.memory["data"]
    return App(place, known.traffic.function, known.api, routes(place))


def _seed(place: Place) -> None:
    place.memory["literal"] = True
    seeding.seed(place, about(place), seeding.Texts(), APPLICATION)
    for each in place.facts.get("tables", {}).values():
        keys = [each.get("key", "id"), *filter(None, [each.get("sort")])]
        items = [{key: {"S": f"{key}-{number}"} for key in keys} for number in range(_ITEMS)]
        tables.put(place, each["name"], items)
    for key, facts in place.facts.get("workflows", {}).items():
        for hours in _EXECUTED:
            given = {facts.get("item", "item"): f"practice-{hours}"}
            when = names.start(place) - timedelta(hours=hours)
            executions.add(place, key, f"practice-{hours}", given, when, 4.0)
    for name, value in (SENT if "mail" in place.facts else {}).items():
        told = metrics.store(place.account, place.facts["mail"].get("region", place.region))
        told.baseline("AWS/SES", name, {}, partial(_steady, value), "None")


def _steady(value: float, minute: float) -> float:
    return value


def _tick(place: Place, now: datetime) -> None:
    seeding.tick(place, now, APPLICATION)


def _api(place: Place) -> ApiHandler:
    return _app(place).handler(place)


ESTATE = Estate(_seed, _api, Handlers(), _tick, tuple(drills()))
