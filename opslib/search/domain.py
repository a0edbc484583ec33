"""The search domain: as AWS describes it, its cluster, and what its metrics say."""

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Question,
    beside,
    check,
    count,
    cut,
    domains,
    metrics,
    number,
    sayings,
    window,
)

YELLOW, RED = "search-yellow", "search-red"  # the causes that findings name
BLOCKED, SLOW = "search-write-blocked", "expensive-search"
_HEALTH = "search/health"
_MILLION = 1_000_000


@check("Is the search domain as it should be, as AWS describes it?")
def check_domain(ops: Connection) -> Findings:
    """Its state, and what is under way. An address of one's own is only asked who it is."""
    if not domains.is_described(ops):
        told = domains.ask(ops, "GET", "/")
        seen = f"{told['version'].get('distribution', 'elasticsearch')} {told['version']['number']}"
        return Findings(Question("search answers", "it does", "GET /").ok(seen))
    found = {"DomainProcessingStatus": "Active"} | domains.describe(ops)
    busy = [key for key in ("Deleted", "Processing", "UpgradeProcessing") if found.get(key)]
    shown = ", ".join([found["DomainProcessingStatus"], found["EngineVersion"], *busy])
    return Findings(sayings(beside(__file__, "domain"), found | {"shown": shown}))


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


@check("Does the domain take writes?")
def check_writes(ops: Connection) -> Findings:
    """Blocks of the indices: of a disk that is all but full, or set by hand."""
    asked = Question("writes to the indices", "not blocked", "GET _settings, _cluster/settings")
    told = domains.ask(ops, "GET", "/_all/_settings?flat_settings=true")
    every = {name: of["settings"] for name, of in told.items()}
    of_all = domains.ask(ops, "GET", "/_cluster/settings?flat_settings=true")
    every["the cluster"] = of_all["persistent"] | of_all["transient"]
    blocked = {
        name: [
            key.rpartition(".")[2]
            for key, on in of.items()
            if ".blocks." in key and str(on).lower() == "true"
        ]
        for name, of in every.items()
    }
    blocked = {name: kinds for name, kinds in blocked.items() if kinds}
    seen = "; ".join(f"{name}: {', '.join(kinds)}" for name, kinds in sorted(blocked.items()))
    if any("read_only_allow_delete" in kinds for kinds in blocked.values()):
        seen += ". The disk was full: make room or enlarge it; the block goes by itself then"
    seen = seen or f"none of {len(told)}"
    return Findings(asked.judged(not blocked, seen, cause=BLOCKED, next=_HEALTH))


@check("Are searches answered in time, and which are not?")
def check_searches(ops: Connection) -> Findings:
    """The domain's search latency, and the searches that run for longer than `search.slow_ms`."""
    slow = float(ops.target["search"].get("slow_ms", 1000))
    judged = [_running(ops, slow)]
    if domains.is_described(ops):
        of = {"DomainName": ops.target["search"]["domain"], "ClientId": ops.target.account}
        latency = {"": ("AWS/ES", "SearchLatency", of, "Average")}
        values = metrics.series(ops, latency, window(ops, metrics.RECENT_MINUTES))[""]
        worst = max(values, default=0.0)  # nobody searches: nothing is slow
        asked = Question("latency of searches", f"below {slow:g} ms", "GetMetricData AWS/ES")
        most = "warn" if worst < 5 * slow else "critical"
        seen = number(worst, "ms") if len(values) else "no search was measured"
        judged.append(asked.judged(worst < slow, seen, otherwise=most, cause=SLOW, next=_HEALTH))
    return Findings(judged)


def metric_keys(ops: Connection) -> list[str]:
    """Which of the target's key metrics are the domain's."""
    return metrics.metric_keys(ops, "AWS/ES")


def _running(ops: Connection, slow: float) -> Finding:
    path = "/_tasks?actions=*data/read/search&detailed=true&group_by=nodes"
    asked = Question("searches that run", f"none for over {slow:g} ms", "GET _tasks")
    told = domains.ask(ops, "GET", path)["nodes"].values()
    every = [
        task for node in told for task in node["tasks"].values() if "parent_task_id" not in task
    ]
    long = [each for each in every if each["running_time_in_nanos"] / _MILLION > slow]
    if not long:
        return asked.ok(f"{len(every)} run", cause=SLOW)
    worst = max(long, key=lambda each: int(each["running_time_in_nanos"]))
    seconds = worst["running_time_in_nanos"] / 1000 / _MILLION
    seen = f"{len(long)} of {len(every)}; the longest for {seconds:.0f} s: "
    seen += cut(str(worst.get("description", "")), 300)
    return asked.warn(seen, cause=SLOW, next=_HEALTH)
