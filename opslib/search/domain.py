"""The search domain: as AWS describes it, its cluster, and what its metrics say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Question,
    check,
    count,
    number,
    window,
)
from opslib.core.reads import domains, metrics
from opslib.core.text import cut

YELLOW, RED = "search-yellow", "search-red"  # the causes that findings name
BLOCKED, SLOW = "search-write-blocked", "expensive-search"
_HEALTH = "search/health"
_MINUTES = 15
_MILLION = 1_000_000


@check("Is the search domain as it should be, as AWS describes it?")
def check_domain(ops: Connection) -> Findings:
    """States, changes under way, upgrades, software of the service. An address of one's own is
    only asked who it is.
    """
    if not domains.is_described(ops):
        told = domains.ask(ops, "GET", "/")
        seen = f"{told['version'].get('distribution', 'elasticsearch')} {told['version']['number']}"
        return Findings([Question("search answers", "it does", "GET /").answer("ok", seen)])
    found = domains.describe(ops)
    name, state = found["DomainName"], found.get("DomainProcessingStatus", "Active")
    asked = Question(f"domain {name}", "active, no change under way", "opensearch DescribeDomain")
    status = {"Active": "ok", "Isolated": "critical", "Deleting": "critical"}.get(state, "warn")
    seen = f"{state}, {found['EngineVersion']}"
    if found.get("Deleted"):
        status, seen = "critical", f"it is being deleted; {seen}"
    elif not found.get("Created") or found.get("UpgradeProcessing") or found.get("Processing"):
        status, seen = max(status, "warn", key=["ok", "warn", "critical"].index), f"busy: {seen}"
    software = found.get("ServiceSoftwareOptions", {})
    if software.get("UpdateStatus") == "IN_PROGRESS":
        status, seen = max(status, "warn", key=["ok", "warn", "critical"].index), f"{seen}, updated"
    elif software.get("UpdateAvailable"):
        seen += f"; an update waits: {software.get('NewVersion')}"
    return Findings([asked.answer(status, seen)])


@check("Is the cluster green, and if not, which shard is where it should not be?")
def check_cluster(ops: Connection) -> Findings:
    """Colour of the cluster and of each index; of what is not green, why (allocation explain).

    Red: a primary is nowhere, so a part of an index can be neither read nor written. Yellow: a copy
    is missing, and all is still found.
    """
    told = domains.ask(ops, "GET", "/_cluster/health?level=indices")
    colours = {name: of["status"] for name, of in told.get("indices", {}).items()}
    why = "" if told["status"] == "green" else f". {_why(ops)}"
    judged = []
    for colour, words, rule, cause, status in _COLOURS:
        bad = sorted(name for name, seen in colours.items() if seen == colour)
        asked = Question(words, rule, "GET _cluster/health, _cluster/allocation/explain")
        seen = f"{told['status']}: {count(told['active_shards'], 'shard')} on "
        seen += count(told["number_of_nodes"], "node")
        if told["status"] == colour:
            seen += f", {told['unassigned_shards']} on none: of {', '.join(bad[:5])}{why}"
        passed = told["status"] != colour and not bad
        judged.append(asked.judged(passed, seen, otherwise=status, cause=cause, next=_HEALTH))
    return Findings(judged)


_COLOURS = (
    ("red", "every part of an index is there", "no primary shard on no node", RED, "critical"),
    ("yellow", "every part has its copies", "no copy on no node", YELLOW, "warn"),
)


def _why(ops: Connection) -> str:
    """Why shards are unassigned: how many by reason, and what the cluster explains of the worst."""
    listed = domains.ask(ops, "GET", "/_cat/shards?format=json&h=index,shard,prirep,state")
    lost = [each for each in listed if each["state"] == "UNASSIGNED"]
    if not lost:
        return "No shard is unassigned any more: it recovers"
    worst = min(lost, key=lambda each: each["prirep"])  # p comes before r
    primary = worst["prirep"] == "p"
    body = {"index": worst["index"], "shard": int(worst["shard"]), "primary": primary}
    told = domains.ask(ops, "GET", "/_cluster/allocation/explain", body)
    info, parts = told.get("unassigned_info", {}), [told.get("allocate_explanation", "")]
    for node in told.get("node_allocation_decisions", ()):
        parts += [each["explanation"] for each in node.get("deciders", ())]
    kind = "primary" if primary else "copy"
    said = cut("; ".join(dict.fromkeys(filter(None, parts))), 400)
    return f"{kind} of {worst['index']}[{worst['shard']}]: {info.get('reason')}: {said}"


class _Limit(NamedTuple):
    """A metric of the domain that says trouble from a value on, as AWS's documents have it."""

    metric: str
    statistic: str
    unit: str
    warn: float
    critical: float
    cause: str = ""

    def status(self, value: float) -> str:
        below = self.metric == "FreeStorageSpace"
        beyond = [(value <= at if below else value >= at) for at in (self.warn, self.critical)]
        return "critical" if beyond[1] else "warn" if beyond[0] else "ok"


# "Recommended CloudWatch alarms for Amazon OpenSearch Service".
_LIMITS = (
    _Limit("ClusterIndexWritesBlocked", "Maximum", "count", 1, 1, BLOCKED),
    _Limit("AutomatedSnapshotFailure", "Maximum", "count", 1, 1),
    _Limit("CPUUtilization", "Average", "%", 80, 95),
    _Limit("JVMMemoryPressure", "Maximum", "%", 80, 95),
    _Limit("KMSKeyInaccessible", "Maximum", "count", 1, 1),
)


@check("Does the domain take writes, and has it room?")
def check_load(ops: Connection) -> Findings:
    """Write blocks of the indices, and the domain's metrics against AWS's recommended alarms.

    GetMetricData of the last quarter of an hour.
    """
    judged = [_blocks(ops)]
    if domains.is_described(ops):
        judged += _measured(ops)
    return Findings(judged)


def _blocks(ops: Connection) -> Finding:
    asked = Question("writes to the indices", "not blocked", "GET _all/_settings")
    told = domains.ask(ops, "GET", "/_all/_settings")
    blocked = {
        name: [kind for kind, on in of["settings"]["index"].get("blocks", {}).items() if _on(on)]
        for name, of in told.items()
    }
    blocked = {name: kinds for name, kinds in blocked.items() if kinds}
    seen = "; ".join(f"{name}: {', '.join(kinds)}" for name, kinds in sorted(blocked.items()))
    if any("read_only_allow_delete" in kinds for kinds in blocked.values()):
        seen += ". The disk was full: make room or enlarge it; the block goes by itself then"
    return asked.judged(not blocked, seen or f"none of {len(told)}", cause=BLOCKED, next=_HEALTH)


def _on(value: Any) -> bool:
    return str(value).lower() == "true"


def dimensions(ops: Connection) -> dict[str, str]:
    return {"DomainName": ops.target["search"]["domain"], "ClientId": ops.target.account}


def _measured(ops: Connection) -> Iterator[Finding]:
    ebs = domains.describe(ops).get("EBSOptions", {})
    size = float(ebs.get("VolumeSize") or 0) * 1024  # MB, of a node
    room = [_Limit("FreeStorageSpace", "Minimum", "MB", 0.25 * size, 0.1 * size)] if size else []
    limits = [*_LIMITS, *room]
    found = newest(ops, [(each.metric, each.statistic) for each in limits])
    for each in limits:
        value, low = found.get(each.metric), each.metric == "FreeStorageSpace"
        rule = f"{'above' if low else 'below'} {number(each.warn, each.unit)}"
        asked = Question(f"{each.metric} of the domain", rule, "GetMetricData AWS/ES")
        if value is not None:
            seen = number(value, each.unit)
            yield asked.answer(each.status(value), seen, cause=each.cause, next=_HEALTH)
        elif each.metric != "KMSKeyInaccessible":  # told only where there is a key
            yield asked.answer("unknown", f"no data for {_MINUTES} minutes")


def newest(ops: Connection, asked: list[tuple[str, str]]) -> dict[str, float]:
    """By metric of the domain its last value within a quarter of an hour."""
    queries = [
        metrics.asked(f"m{at}", "AWS/ES", name, dimensions(ops), statistic, 60, name)
        for at, (name, statistic) in enumerate(asked)
    ]
    found = metrics.query(ops, queries, window(ops, _MINUTES))
    return dict(found.groupby("label")["value"].last())


@check("Are searches answered in time, and which are not?")
def check_searches(ops: Connection) -> Findings:
    """The domain's search latency, and the searches that run for longer than `search.slow_ms`."""
    slow = float(ops.target["search"].get("slow_ms", 1000))
    judged = [_running(ops, slow)]
    if domains.is_described(ops):
        value = newest(ops, [("SearchLatency", "Average")]).get("SearchLatency")
        asked = Question("latency of searches", f"below {slow:g} ms", "GetMetricData AWS/ES")
        if value is None:
            judged.append(asked.answer("unknown", f"no data for {_MINUTES} minutes"))
        else:
            seen, most = number(value, "ms"), "warn" if value < 5 * slow else "critical"
            judged.append(
                asked.judged(value < slow, seen, otherwise=most, cause=SLOW, next=_HEALTH)
            )
    return Findings(judged)


def _running(ops: Connection, slow: float) -> Finding:
    path = "/_tasks?actions=*data/read/search&detailed=true&group_by=nodes"
    asked = Question("searches that run", f"none for over {slow:g} ms", "GET _tasks")
    told = domains.ask(ops, "GET", path)["nodes"].values()
    every = [
        task for node in told for task in node["tasks"].values() if "parent_task_id" not in task
    ]
    long = [each for each in every if each["running_time_in_nanos"] / _MILLION > slow]
    if not long:
        return asked.answer("ok", f"{len(every)} run", cause=SLOW)
    worst = max(long, key=lambda each: int(each["running_time_in_nanos"]))
    seconds = worst["running_time_in_nanos"] / 1000 / _MILLION
    seen = f"{len(long)} of {len(every)}; the longest for {seconds:.0f} s: "
    seen += cut(str(worst.get("description", "")), 300)
    return asked.answer("warn", seen, cause=SLOW, next=_HEALTH)
