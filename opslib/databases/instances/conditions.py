"""How a database stands in RDS: what was set or left so that it fails, soon or at the next restart.

A table of rules over what RDS describes; who can reach it, by its security groups; how far its
readers are behind.
"""

from datetime import timedelta
from functools import partial

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    answer,
    check,
    metrics,
    networks,
    window,
)
from opslib.databases.instances import rds, states

_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/"
_GUIDE = f"{_DOCS}UserGuide/"
EXPOSED = "database-exposed"  # the cause that findings name
_FORCED, _MAINTAINED = timedelta(days=7), "maintenance"


@check("Does RDS say anything of the database that should be seen to?")
def check_conditions(ops: Connection) -> Findings:
    """Settings in force, storage's limit, backups, replication, writer, who gets in.

    One finding for each that is not well, one that says how many are.
    """
    database, described, members = rds.present(ops)
    whole = {each.get(rds.NAME, database.name): each for each in (described, *members)}
    looks = [
        *(partial(_by_rule, rule, whole) for rule in rds.told("rules")),
        partial(_maintenance, ops, database, members),
        partial(_reachable, ops, described, members),
        partial(_behind, ops, database, members),
    ]
    told = Question(f"{database} as RDS describes it", "nothing to see to", _GUIDE)
    every = [answer(told, look) for look in looks]
    bad = [each for each in every if each.status != "ok"]
    if len(bad) < len(every):
        names = "; ".join(f"{f.check}: {f.seen}" for f in every if f.status == "ok")
        bad.append(told.ok(names))
    return Findings(bad)


def _by_rule(rule: Json, whole: dict[str, Json]) -> Finding:
    """Of the cluster, where it is one, and of each instance, by their names."""
    import jmespath

    asked = Question(rule["words"], rule["rule"], _GUIDE + rule["source"])
    hits = [(name, jmespath.search(rule["when"], each) or ()) for name, each in whole.items()]
    found = "; ".join(f"{name}: {hit}" for name, of in hits for hit in of)
    seen = f"{found}: {rule['means']}" if found else asked.rule
    return asked.judged(not found, seen, otherwise=rule["status"], next=rule.get("next", ""))


def _maintenance(ops: Connection, database: rds.Database, members: list[Json]) -> Finding:
    """What AWS is going to do to it of its own accord, and when."""
    source = f"{_GUIDE}USER_UpgradeDBInstance.Maintenance.html"
    asked = Question("maintenance", f"nothing forced within {_FORCED.days} days", source)
    rows = [each for each in states.waiting(ops, database, members) if each["what"] == _MAINTAINED]
    if unread := [each["change"] for each in rows if each["change"].startswith("unknown")]:
        return asked.unknown(unread[0])
    forced = [each for each in rows if each["by"] and each["by"] < ops.now() + _FORCED]
    told = forced or rows
    seen = "; ".join(f"{each['database']}: {each['change']}, {each['when']}" for each in told)
    by = min((each["by"] for each in forced), default=None)
    seen += f", by {by:%Y-%m-%d %H:%M} UTC" if by else ""
    return asked.judged(not forced, seen or "none waits", otherwise="warn")


def _reachable(ops: Connection, described: Json, members: list[Json]) -> Finding:
    """Open to every address is too many; closed to all of the target's functions too few."""
    asked = Question(
        "who gets to it", "the functions, not everybody", f"{_GUIDE}Overview.RDSSecurityGroups.html"
    )
    groups, port = _entrance(ops, described, members)
    public = [each[rds.NAME] for each in members if each.get("PubliclyAccessible")]
    world = [group["GroupId"] for group in groups if networks.open_to_all(group, port)]
    seen = f"{', '.join(world)} lets every address in on port {port}" if world else ""
    if public:
        seen = f"{', '.join(public)} is publicly accessible" + f"; {seen}" * bool(seen)
        return asked.answer("critical" if world else "warn", seen, cause=EXPOSED)
    if world:
        return asked.warn(f"{seen}; from within its VPC only, as it is not public")
    callers = _callers(ops)
    shut = [name for name, caller in callers.items() if not caller.enters(groups, port)]
    if callers and len(shut) == len(callers):
        seen = f"no security group of it lets {', '.join(shut)} in on port {port}"
        return asked.critical(seen, next="changes/configuration")
    seen = f"port {port}: not every address, and what asks it from its VPC"
    return asked.ok(seen, cause=EXPOSED)


def entrance(ops: Connection) -> tuple[list[Json], int, bool]:
    """The security groups of the target's database, its port, whether its address is public."""
    _, described, members = rds.present(ops)
    public = any(each.get("PubliclyAccessible") for each in members)
    return *_entrance(ops, described, members), public


def _entrance(ops: Connection, described: Json, members: list[Json]) -> tuple[list[Json], int]:
    of, endpoint = (members or [described])[0], described.get("Endpoint")
    found = of.get("VpcSecurityGroups") or described.get("VpcSecurityGroups", ())
    groups = networks.find_groups(ops, {each["VpcSecurityGroupId"] for each in found})
    told = endpoint["Port"] if isinstance(endpoint, dict) else described.get("Port")
    # The lab's server has a port of its own, which no security group names.
    return groups, 5432 if ops.target.lab or not told else int(told)


def _callers(ops: Connection) -> dict[str, networks.Caller]:
    """What of the target is in a VPC: the one that the network's section names, else all."""
    facts, here = ops.target.facts, ops.target.at("network")
    found: dict[str, networks.Caller | None] = {}
    for part, read in (("functions", networks.caller), ("services", networks.of_service)):
        one = here.get(part.removesuffix("s"))
        known = facts.get(part, {})
        told = ops.each(partial(read, ops), [one] if one else [*known])
        found |= {str(known[key]["name"]): caller for key, caller in told.items()}
    return {name: caller for name, caller in found.items() if caller is not None}


def _behind(ops: Connection, database: rds.Database, members: list[Json]) -> Finding:
    """How far the readers of a cluster, or an instance that is a replica, are behind."""
    asked = Question(
        "readers", "at most 1 s behind (a replica 30 s)", f"{_GUIDE}monitoring-cloudwatch.html"
    )
    source, members = "ReadReplicaSourceDBInstanceIdentifier", rds.measured(ops, members)
    late = {each[rds.NAME]: ("ReplicaLag", 1.0, 30.0) for each in members if each.get(source)}
    if database.kind is rds.CLUSTER and len(members) > 1:
        late = {members[0][rds.NAME]: ("AuroraReplicaLagMaximum", 0.001, 1.0)}
    if not late:
        return asked.ok("none")
    asked_of = {
        name: ("AWS/RDS", metric, {rds.NAME: name}, "Maximum", 60)
        for name, (metric, *_) in late.items()
    }
    points = metrics.series(ops, asked_of, window(ops, metrics.RECENT_MINUTES))
    told, status = [], "ok"
    for name, (metric, scale, most) in late.items():
        values = points[name] * scale
        if values.empty:
            return asked.unknown(f"{name} sends no {metric}")
        value = -1.0 if (values < 0).all() else float(values.max())
        bad = value < 0 or value > 10 * most
        status = "critical" if bad else "warn" if value > most and status == "ok" else status
        told.append(f"{name}: {'broken' if value < 0 else f'{value:.3g} s behind'}")
    seen, follows = "; ".join(told), "databases/replica"
    return asked.judged(status == "ok", seen, otherwise=status, next=follows)
