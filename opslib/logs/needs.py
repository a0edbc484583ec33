"""What functions and services need, and whether they can have it: by their configuration and lines.

A need is described (`functions.*.needs`), or known by what the variables of one name. A service is
looked at by its task definition: the role of its tasks, their variables, subnets and groups.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from opslib import databases, users
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    OpsError,
    Question,
    Read,
    answer,
    check,
    count,
    cut,
    functions,
    identities,
    logs,
    look,
    metrics,
    networks,
    number,
    services,
    unread,
    window,
)
from opslib.core.checks.causes import NEAR_LIMIT
from opslib.core.reads.log_levels import read
from opslib.logs import denials, judged
from opslib.logs.kinds import kind_of

OUTSIDE = "function-outside-vpc"  # the causes that findings name
LOGIN = "cognito-misconfigured"
MEMORY = "function-out-of-memory"
_FULL = r"connection slots|too many (?:clients|connections)|connection pool"
_TOKENS = r"cognito|user ?pool|\bjwks?\b|issuer|audience|app client"
_POOL, _CLIENT = r"[a-z]{2}(?:-[a-z]+)+-\d_\w+", r"[a-z0-9]{26}"
_WAY = Question(
    "way to the database",
    "each that needs it is in its VPC, and let in",
    "lambda GetFunctionConfiguration, ecs DescribeTaskDefinition, ec2 DescribeSecurityGroups",
)
_SLOTS = Question("lines of a database that is full", "none", "FilterLogEvents, GetMetricData")
_FULL_MEMORY = re.compile(r"emory ?Size(?:MB\")?: *(\d+)\D+\1\b")
_MEMORY = Question("requests that memory did not suffice for", "none", "FilterLogEvents")
_STORED = Question("secrets that variables name", "they are there", "DescribeSecret")
_SIGN_IN = Question(
    "user pool of functions and API",
    "the target's, with app clients that it has",
    "lambda GetFunctionConfiguration, ecs DescribeTaskDefinition, apigatewayv2 GetAuthorizers, "
    "cognito-idp",
)


@check("Can functions and services have what they need?")
def check_needs(
    ops: Connection,
    function: str = logs.ALL,
    minutes: float = 60,
    since: str = "",
    until: str = "",
    database: bool = False,
) -> Findings:
    """The ways to the database, its connections, the user pool, permissions: a finding each.

    Each with what is configured, and with the lines of trouble that say the same; `database`: of
    the database alone.
    """
    within = window(ops, minutes, since, until)
    every = judged.read_lines(ops, function, within)
    lines = judged.troubles(every)
    names = functions.named(ops, function, "services")
    live = ops.each(partial(_live, ops), names, "configuration of {}")
    needs = {key: _needs(ops, key, config) for key, config in live.items()}

    def needing(what: str) -> dict[str, Json]:
        return {key: live[key] for key, of in needs.items() if what in of}

    failed = lines.attrs["failed"].items()  # a group that is gone is told by others
    found = [
        unread(f"lines of {name}", exc) for name, exc in failed if not isinstance(exc, NotFound)
    ]
    if reaching := needing("database"):
        found.append(answer(_WAY, _way, ops, reaching, lines))
        found.append(answer(_SLOTS, _slots, ops, lines, within))
    if database:
        return Findings(found)
    if "users" in ops.target.facts:
        found.append(answer(_SIGN_IN, _sign_in, ops, needing("users"), lines))
    if mine := {key: live[key] for key in ops.target.at("functions") if key in live}:
        found.append(answer(_STORED, _stored, ops, mine))  # of services: services/starting
        found.append(_memory(every[every["source"].isin(mine)]))
    buckets = {
        key: [what[8:] for what in of if what[:8] == "buckets."] for key, of in needs.items()
    }
    return Findings([*found, *denials.judged(ops, live, buckets, lines)])


def _live(ops: Connection, key: str) -> Json:
    of_function = key in ops.target.at("functions")
    return functions.live(ops, key) if of_function else services.as_configuration(ops, key)


def _needs(ops: Connection, key: str, config: Json) -> set[str]:
    at = ops.target.at
    if "needs" in (told := at("functions", key)):
        return set(told["needs"])
    database = at("database")
    named = {"database": [database.get(each) for each in ("secret", "cluster", "instance")]}
    named |= {f"buckets.{name}": [of["name"]] for name, of in at("buckets").items()}
    values = list(functions.variables(config).values())
    pool = any(re.fullmatch(_POOL, value) for value in values)
    found = {
        what
        for what, names in named.items()
        if any(name and _holds(value, name) for name in names for value in values)
    }
    return found | ({"users"} if pool else set())


def _holds(value: str, name: str) -> bool:
    """Whether a variable names it: as a whole, in an address, in an ARN."""
    name = re.escape(name)
    return bool(re.search(rf"(?:^|[/:@]){name}(?:$|[./:])|:secret:{name}-\w{{6}}$", value))


def _beside(lines: Frame, pattern: str, sources: Iterable[str] = ()) -> str:
    """What the lines of trouble say of it, to be put after what is configured; or nothing."""
    mine = lines[lines["source"].isin(list(sources))] if sources else lines
    mine = mine[mine["message"].str.contains(pattern, case=False, regex=True)]
    if mine.empty:
        return ""
    first, last = (f"{mine['time'].iloc[at]:%m-%d %H:%M}" for at in (0, -1))
    example = cut(read(str(mine["message"].iloc[-1])).text, 160)
    return f"; {count(len(mine), 'line')} from {first} to {last} UTC, as {example}"


def _way(ops: Connection, needing: dict[str, Json], lines: Frame) -> Finding:
    """In the database's VPC, let out to it and let in."""
    groups, port, public = databases.entrance(ops)
    home = {group.get("VpcId") for group in groups}
    lost = {}
    for key, config in needing.items():
        way = networks.of(ops, config)
        if public or not groups:
            continue
        if way is None:
            lost[key] = "is in no VPC"
        elif not way.enters(groups, port):
            apart = home.isdisjoint(group.get("VpcId") for group in way.groups)
            lost[key] = "is in another VPC" * apart or f"is not let in on port {port}"
        elif not way.leaves(groups, port):
            lost[key] = f"lets nothing out on port {port}: its own security groups"
    if not lost:
        seen = f"{', '.join(needing)}: " + (
            "its address is public" if public else f"a way through the security groups, port {port}"
        )
        return _WAY.ok(seen, cause=OUTSIDE)
    told = [f"{key} (version {needing[key].get('Version')}) {why}" for key, why in lost.items()]
    kinds = lines[lines["message"].map(kind_of).isin(["connection", "timeout"])]
    seen = "; ".join(told) + _beside(kinds, "", lost)
    if outside := [key for key, why in lost.items() if "VPC" in why]:
        of = "functions" if outside[0] in ops.target.at("functions") else "services"
        return _WAY.critical(seen, cause=OUTSIDE, next=f"{of}/rollback")
    return _WAY.critical(seen, next="changes/configuration")  # a rule that was taken away


def _slots(ops: Connection, lines: Frame, within: Any) -> Finding:
    """Whether the lines say that the database takes no more connections; beside what it has."""
    said = _beside(lines, _FULL)
    if not said:
        return _SLOTS.ok("none", cause=NEAR_LIMIT)
    facts = ops.target["database"]
    kinds = [kind for kind in ("instance", "cluster") if kind in facts]
    of = {f"DB{kind.capitalize()}Identifier": facts[kind] for kind in kinds}
    asked = {"": ("AWS/RDS", "DatabaseConnections", of, "Maximum")}
    try:
        points = metrics.series(ops, asked, within)[""]
        most = f"at most {number(points.max())}" if len(points) else "not measured"
    except OpsError as exc:
        most = f"not read: {exc}"
    limit = f" of {facts['max_connections']}" if "max_connections" in facts else ""
    seen = f"connections: {most}{limit}{said}"
    return _SLOTS.critical(seen, cause=NEAR_LIMIT, next="databases/health")


def _stored(ops: Connection, live: dict[str, Json]) -> Finding:
    """Secrets of this account that variables name, whole or as the name that they are called."""
    own = f":secretsmanager:{ops.target.region}:{ops.target.account}:secret:"
    named = {
        value: f"{name} of {key}: {value}"
        for key, config in live.items()
        for name, value in functions.variables(config).items()
        if own in value or (name.endswith("SECRET_NAME") and not value.startswith("arn:"))
    }

    def gone(name: str) -> Any:
        """When it goes, or absent; None for one that is there."""
        return look(ops, Read("secretsmanager", "describe_secret", "DeletedDate", SecretId=name))

    lost = [named[name] for name, when in ops.each(gone, named).items() if when]
    seen = "; ".join(lost) or f"{len(named)}, all there"
    return _STORED.judged(not lost, seen, next="functions/environment")


def _memory(lines: Frame) -> Finding:
    """Functions that were killed for it, and those that ended with nothing left."""
    ill = judged.troubles(lines)
    killed = ill[ill["message"].map(kind_of) == "memory"]
    full = lines[lines["message"].map(_FULL_MEMORY.search).notna()]
    if killed.empty and full.empty:
        return _MEMORY.ok("none", cause=MEMORY)
    sources = ", ".join(sorted({*killed["source"], *full["source"]}))
    seen = f"{sources}: {count(len(full), 'request')} used all of it{_beside(killed, '')}. "
    seen += "More of it, or less to hold at once"
    status = "warn" if killed.empty else "critical"
    return _MEMORY.answer(status, seen, cause=MEMORY, next="functions/scale")


def _sign_in(ops: Connection, needing: dict[str, Json], lines: Frame) -> Finding:
    """The pool and app clients that functions and the API's authorizers name, against the pool."""
    pool = users.pool_id(ops)
    listed = ops.pages(
        "cognito-idp", "list_user_pool_clients", "UserPoolClients[].ClientId", UserPoolId=pool
    )
    wrong = []
    for key, config in needing.items():
        for name, value in functions.variables(config).items():
            if re.fullmatch(_POOL, value) and value != pool:
                wrong.append(f"{name} of {key} names pool {value}, not {pool}")
            elif "CLIENT" in name and re.fullmatch(_CLIENT, value) and value not in listed:
                wrong.append(f"{name} of {key} names an app client that {pool} does not have")
    at = f"{ops.target.region}.{identities.suffix(ops.target.region)}"
    issuer = f"https://cognito-idp.{at}/{pool}"
    for each in _authorizers(ops):
        jwt: Json = each.get("JwtConfiguration") or {}
        called = each.get("Name", each.get("name"))
        given = str(jwt.get("Issuer", issuer)).rstrip("/")
        audience = jwt.get("Audience", listed)
        arns = each.get("providerARNs", ())
        if "cognito-idp" in given and given != issuer:
            wrong.append(f"authorizer {called} takes tokens of {given}, not of {issuer}")
        elif given == issuer and not {*audience} & {*listed}:
            wrong.append(f"authorizer {called}: none of its audience is an app client of {pool}")
        elif arns and not any(arn.endswith(f"/{pool}") for arn in arns):
            wrong.append(f"authorizer {called} asks another pool: {', '.join(arns)}")
    said = _beside(lines, _TOKENS)
    if wrong:
        known = "functions" in ops.target.facts and "authorizer" not in wrong[0]
        follow = "functions/environment" if known else "logs/errors"
        return _SIGN_IN.critical("; ".join(wrong) + said, cause=LOGIN, next=follow)
    seen = f"pool {pool}, {count(len(listed), 'app client')}"
    if said:
        return _SIGN_IN.warn(f"{seen}, as described{said}", next="users/sign-in")
    return _SIGN_IN.ok(seen, cause=LOGIN)


def _authorizers(ops: Connection) -> Iterator[Json]:
    """Those of the API's that a route of it uses: an HTTP API's, else a REST API's."""
    ids = {
        of.dimensions.get("ApiId", "")
        for each in metrics.described(ops)
        for of in each.amounts.values()
    }
    ids |= {each["id"] for each in ops.target.at("apis").values()}
    host = urlsplit(ops.target.at("api").get("url", "")).hostname or ""
    ids |= {host.split(".")[0]} if ".execute-api." in host else set()
    for id in sorted(ids - {""}):
        ask = partial(ops.pages, "apigatewayv2")
        try:
            used = {*ask("get_routes", "Items[].AuthorizerId", ApiId=id)}
            every = ask("get_authorizers", "Items[]", ApiId=id)
            yield from (each for each in every if each["AuthorizerId"] in used)
        except NotFound:
            yield from ops.call("apigateway", "get_authorizers", restApiId=id).get("items", ())
