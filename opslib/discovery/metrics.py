"""Key metrics of a target: those of its alarms, and the usual ones of what it has, with data."""

from opslib.core import Json, UsageError
from opslib.core.checks.shares import Share
from opslib.discovery.facts import Draft
from opslib.discovery.known import first, known


def describe(made: Draft, connections: int = 0) -> None:
    """Adds `metrics` and `metrics_namespace`. `connections`: so many the database takes."""
    limits = {"timeout": _timeout(made), "connections": connections}
    found: Json = {}
    own = _own(made)
    usual = {(each["namespace"], each["metric"]): each for each in known("usual")}
    for each in made.account["metrics"]:
        dimensions = _dimensions(each)
        about = usual.get((each["Namespace"], each["MetricName"]))
        pairs = sorted(dimensions.items(), reverse=True)  # DomainName before ClientId
        thing = ",".join(f"{key}={value}" for key, value in pairs)
        if about and thing in own:
            name = each["MetricName"]
            key = f"{own[thing]}-{known('short').get(name, name.lower())}"
            found[key] = _described(about, own[thing], dimensions, limits)
    for alarm in made.account["alarms"]:
        _alarmed(made, alarm, found)
    made.facts["metrics"] = found
    if found:
        made.note("metrics", "the limits are usual ones, or the alarms'; see that they fit")
    if others := sorted(made.ask("metrics[?!starts_with(Namespace, 'AWS/')].Namespace")):
        made.facts["metrics_namespace"] = others[0]


def _dimensions(of: Json) -> dict[str, str]:
    return {pair["Name"]: pair["Value"] for pair in of.get("Dimensions", ())}


def _timeout(made: Draft) -> float:
    """Of the function behind the API, in ms."""
    first: Json = next(iter(made.facts.get("functions", {}).values()), {})
    return 1000.0 * float(first.get("timeout_seconds", 30))


def _own(made: Draft) -> dict[str, str]:
    """Things whose metrics are key metrics: dimension=value, and what it is called in short."""
    facts = made.facts
    first = next(iter(facts.get("functions", {}).items()), None)
    found = {f"FunctionName={first[1]['name']}": first[0]} if first else {}
    for kind, name in facts.get("database", {}).items():
        if kind in ("cluster", "instance"):
            found[f"DB{kind.capitalize()}Identifier={name}"] = "database"
    if domain := facts.get("search", {}).get("domain"):
        found[f"DomainName={domain},ClientId={facts['account']}"] = "search"
    if made.api_id:
        found[f"ApiId={made.api_id}"] = "api"
    for section, form in known("own").items():
        found |= {form.format(**each): key for key, each in facts.get(section, {}).items()}
    return found


def _described(usual: Json, of: str, dimensions: Json, limits: dict[str, float]) -> Json:
    told = {key: value for key, value in usual.items() if key not in ("limits", "of")}
    found = told | {"title": f"{of.capitalize()} {usual['title']}", "dimensions": dimensions}
    if whole := limits.get(usual.get("of", ""), 1):
        warn, critical = (_round(limit * whole) for limit in usual["limits"])
        found |= {"warn": warn, "critical": critical}
    return found


def _round(value: float) -> float:
    """Without a fraction where there is none."""
    return int(value) if value == int(value) else float(f"{value:.4g}")


def _alarmed(made: Draft, alarm: Json, found: Json) -> None:
    """What an alarm watches is a key metric, its threshold the critical limit."""
    if "MetricName" not in alarm:  # of metric math
        if share := _share(alarm):
            found[made.short(alarm["name"], found)] = share
        return
    dimensions = _dimensions(alarm)
    statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
    told = {"namespace": alarm["Namespace"], "metric": alarm["MetricName"]}
    told |= {"dimensions": dimensions, "statistic": statistic}
    same = first(key for key, each in found.items() if told.items() <= each.items())
    if not same:
        dead = {each.get("dead_letters") for each in made.facts.get("queues", {}).values()}
        if set(dimensions.values()) & dead:  # each message there is trouble, and is looked at
            return
        same = made.short(alarm["name"], found)
        found[same] = {"title": alarm.get("AlarmDescription") or alarm["name"], **told}
    found[same]["critical"] = limit = _round(alarm["Threshold"])
    if alarm["ComparisonOperator"].startswith("Less"):
        found[same]["below"] = True
    elif found[same].get("warn", limit) >= limit:
        found[same]["warn"] = _round(limit * (0.5 if statistic == "Sum" else 0.9))


def _share(alarm: Json) -> Json | None:
    """What an alarm on metric math watches, where it is arithmetic of sums."""
    asked = alarm.get("Metrics", ())
    expression = [each["Expression"] for each in asked if "Expression" in each]
    of = {}
    for each in asked:
        told = each.get("MetricStat", {})
        if told.get("Stat") in ("Sum", "SampleCount"):
            of[each["Id"]] = {
                "namespace": told["Metric"]["Namespace"],
                "metric": told["Metric"]["MetricName"],
                "dimensions": _dimensions(told["Metric"]),
                "statistic": told["Stat"],
            }
    try:
        Share("; ".join(expression), of)
    except UsageError:  # functions, other statistics: no share of sums
        return None
    told = {"expression": expression[0], "of": of, "critical": _round(alarm["Threshold"])}
    if alarm["ComparisonOperator"].startswith("Less"):
        told["below"] = True
    return {"title": alarm.get("AlarmDescription") or alarm["name"], **told}
