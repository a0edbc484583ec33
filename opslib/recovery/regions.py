"""A region that is lost: whether it is, what there is outside of it, in which order that is used.

What is not there cannot be made then: copies are made before, in `recovery.region`.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from urllib.parse import urlsplit

from opslib import databases, secrets
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotAllowed,
    OpsError,
    Question,
    answer,
    beside,
    check,
    dtypes,
    frame,
    services,
)
from opslib.recovery import clock

LOST = "region-lost"  # the cause that findings name
ORDER = dtypes("""
    order int64
    part  str
    there str
    then  str
""")
_TABLE = beside(__file__, "regions")
_ASKED = _TABLE["asked"]
_HEALTH = "https://health.aws.amazon.com/health/status"


@check("Does the region answer?")
def check_region(ops: Connection) -> Findings:
    """Five services of it are asked; one that denies answers, too."""
    region = ops.target.region
    asked = Question(f"{region} answers", f"{len(_ASKED)} services", "one call of each")
    found = ops.gather(*(partial(_silent, ops, *each) for each in _ASKED))
    silent = [each for each in found if each and "denied" not in each]
    seen = f"{len(_ASKED) - len(silent)} of {len(_ASKED)}"
    seen += "".join(f"; {each}" for each in found if each)
    if not silent:
        return Findings(asked.ok(seen, cause=LOST))
    seen += f". What AWS says: {_HEALTH}"
    lost = len(silent) == len(_ASKED)
    status, cause = ("critical", LOST) if lost else ("warn", "")
    return Findings(asked.answer(status, seen, cause=cause))


def _silent(ops: Connection, service: str, operation: str) -> str:
    """Why it does not answer; empty when it does."""
    try:
        ops.call(service, operation)
    except NotAllowed:
        return f"{service} {operation} is denied, so it answers"
    except OpsError as exc:
        return f"{service} does not: {exc}"
    return ""


@check("What is there outside of the region?")
def check_elsewhere(ops: Connection) -> Findings:
    """Each part that the target's file describes, in the order in which it is brought up there.

    Nothing there is critical, and says what would have to be there. Evidence: ORDER.
    """
    region = clock.aims(ops).get("region", "")
    parts = {key: of for key, of in _TABLE["parts"].items() if key in ops.target.facts}
    if region in ("", ops.target.region):
        told = Question("another region", "described, with copies in it", "recovery.region")
        seen = "none is described: nothing was looked at, and nothing is known to be elsewhere"
        found = [told.critical(seen)]
        statuses = ["not looked at"] * len(parts)
    else:
        there = ops.at(region)
        found = ops.gather(*(partial(_looked, ops, there, *each) for each in parts.items()))
        statuses = [{"ok": "yes", "critical": "no"}.get(f.status, "unknown") for f in found]
    rows = [
        (at, part["title"], status, part["then"])
        for at, (part, status) in enumerate(zip(parts.values(), statuses, strict=True), 1)
    ]
    return Findings(found, frame(rows, ORDER))


def _looked(ops: Connection, there: Connection, key: str, part: Json) -> Finding:
    asked = Question(f"{part['title']} outside of {ops.target.region}", part["wanted"], there.where)

    def look() -> Finding:
        well, seen = _LOOKS[key](ops, there)
        lacking = "" if well else f". There would have to be {part['wanted']}"
        return asked.judged(well, f"{seen or 'nothing'}{lacking}")

    return answer(asked, look)


def _database(ops: Connection, there: Connection) -> tuple[bool, str]:
    found = databases.list_snapshots(there)
    usable = found[found["status"] == "available"]
    if len(usable):
        newest = usable.iloc[0]
        seen = f"{newest['snapshot']}, {newest['age_hours']:.0f} h old: that much would be lost"
        return True, seen
    name = ops.target["database"].get("cluster", "")
    path = "GlobalClusters[].GlobalClusterMembers[].DBClusterArn" if name else ""
    members = there.pages("rds", "describe_global_clusters", path) if name else []
    ours = [each for each in members if each.split(":")[3] == there.target.region]
    well = bool(ours) and any(each.endswith(f":{name}") for each in members)
    return well, f"{ours[0].rpartition(':')[2]}, of a global database" if well else ""


def _secrets(ops: Connection, there: Connection) -> tuple[bool, str]:
    wanted = dict.fromkeys(ops.target["secrets"])
    held = ops.each(lambda name: secrets.read_age(there, name)[1], wanted)
    lacking = [name for name, told in held.items() if not told]
    return not lacking, _told(wanted, lacking)


def _images(ops: Connection, there: Connection) -> tuple[bool, str]:
    """By the repositories' names, as the task definitions at home have them."""
    held = {*there.pages("ecr", "describe_repositories", "repositories[].repositoryName")}
    wanted = sorted({_repository(ops, key) for key in ops.target["services"]})
    lacking = [name for name in wanted if name not in held]
    return not lacking, _told(wanted, lacking)


def _told(wanted: Iterable[str], lacking: Sequence[str]) -> str:
    held = [each for each in wanted if each not in lacking]
    without = f"; not: {', '.join(lacking)}" if lacking else ""
    return f"{len(held)} of {len(held) + len(lacking)}{without}" if held else ""


def _repository(ops: Connection, key: str) -> str:
    of = services.Service(ops, key).container()
    return str(of["image"]).partition("/")[2].partition("@")[0].partition(":")[0]


def _buckets(ops: Connection, there: Connection) -> tuple[bool, str]:
    known = ops.target["buckets"]
    copies = {known[each["copy_to"]]["name"] for each in known.values() if "copy_to" in each}
    at = {
        name: there.call("s3", "head_bucket", Bucket=name)["BucketRegion"]
        for name in sorted(copies)
    }
    near = [name for name, region in at.items() if region == ops.target.region]
    seen = ", ".join(f"{name} in {region}" for name, region in at.items())
    return bool(at) and not near, seen


def _names(ops: Connection, there: Connection) -> tuple[bool, str]:
    """Records of the API's host, as Route 53 holds them."""
    host = f"{urlsplit(str(ops.target['api']['url'])).hostname}."
    zones = there.pages("route53", "list_hosted_zones", "HostedZones[].[Id, Name]")
    fit = [each for each in zones if host.endswith(each[1])]
    if not fit:
        raise OpsError(f"No zone of {host} is in this account: who answers for it?")
    zone = max(fit, key=lambda each: len(each[1]))[0]
    path = f"ResourceRecordSets[?Name=='{host}']"
    records = there.pages("route53", "list_resource_record_sets", path, HostedZoneId=zone)
    ways = [each for each in records if each.get("Failover") == "SECONDARY"]
    kinds = ", ".join(str(each["Type"]) for each in records)
    return bool(ways), f"{host} {kinds}" + ("; it fails over by itself" if ways else "; one way")


_LOOKS: dict[str, Callable[[Connection, Connection], tuple[bool, str]]] = {
    "secrets": _secrets,
    "database": _database,
    "buckets": _buckets,
    "services": _images,
    "api": _names,
}
