"""Who may be somebody else: rules over CloudTrail's events (suspicions.yaml), and over who asks for
what he may not have, and from where.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import groupby

from opslib.changes import memory
from opslib.changes.resources import data
from opslib.changes.rules import accepted
from opslib.changes.trail.trails import KEPT, Act, did, look_up
from opslib.changes.trail.who import Trail, read_trail
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Question,
    Window,
    check,
    clock,
    count,
    cut,
)

PROBED, ELSEWHERE, STOPPED = "secrets-probed", "key-elsewhere", "trail-stopped"  # causes
_SOURCE, _NEXT = "cloudtrail LookupEvents", "changes/who"
# Denied calls: of so many kinds somebody tries; a role that lacks a right.
_DIFFERENT, _MANY = 5, 20
_ROAMS, _IDENTITIES, _PAST = 5, 10, 100  # networks; identities; events of each
_UNJUDGED = "not in CloudTrail: reads and writes of data (objects, items), the last 15 minutes"


@check("Is what is done here logged?")
def check_trail(ops: Connection) -> Findings:
    """Whether a trail logs (CloudTrail DescribeTrails, GetTrailStatus). Without one, LookupEvents
    still tells of 90 days.
    """
    asked = Question("trail of the account", "one logs", "cloudtrail GetTrailStatus")
    listed = ops.call("cloudtrail", "describe_trails", includeShadowTrails=True)["trailList"]
    on = ops.each(
        lambda arn: ops.call("cloudtrail", "get_trail_status", Name=arn)["IsLogging"],
        [each["TrailARN"] for each in listed],
    )
    if not on:
        return Findings(asked.warn("there is none: what is older than 90 days is lost"))
    told = ", ".join(
        f"{arn.rpartition('/')[2]}: {'on' if is_on else 'off'}" for arn, is_on in on.items()
    )
    return Findings(asked.judged(any(on.values()), told, cause=STOPPED, next=_NEXT))


@check("Does what was done here look like somebody else?")
def check_suspicion(
    ops: Connection, trail: Trail | None = None, minutes: float = 1440, beside: bool = False
) -> Findings:
    """Rules over the events that were read; calls that were denied; addresses never seen before.

    `beside`: the configuration is compared, too, and tells who changed what is remembered.
    Unknown where not all could be read, unless the target's file takes it (`accepted`).
    """
    trail = trail or read_trail(ops, minutes=minutes)
    known = memory.last(ops) if beside else None
    told = [name for _, name in known.now] if known else ()
    found = [*_by_rules(ops, trail, told), *_denied(ops, trail), *_elsewhere(ops, trail)]
    people = count(len({act.principal for act in trail.acts}), "identity")
    seen = f"{count(len(trail.acts), 'event')} of {people}, {trail.within}; {_UNJUDGED}"
    asked = Question("suspicious events", "none", _SOURCE)
    taken = accepted(ops, ("read", "cloudtrail:LookupEvents", ""))
    if trail.unseen and not taken:
        seen = f"not all is seen: {'; '.join(trail.unseen)}. {seen}"
        return Findings([*found, asked.unknown(seen)])
    return Findings(found or [asked.ok(seen)])


def _by_rules(ops: Connection, trail: Trail, told: Iterable[str]) -> Iterator[Finding]:
    known = cache(partial(did, ops, until=trail.within.start))
    for rule in data("suspicions")["rules"]:
        hits = [
            act
            for act in trail.acts
            if "events" not in rule or act.name in rule["events"]
            if "when" not in rule or act.of(rule["when"])
            if not (rule.get("told") and any(map(act.names, told)))
        ]
        if rule.get("usual"):
            hits = [
                act
                for act in hits
                if "many" in rule or not act.is_own(ops)
                if not act.of("userIdentity.invokedBy")
                if act.principal not in known(act.what)
            ]
        for who, of in _each(hits):
            if len(of) < rule.get("many", 1):
                continue
            tried = all(act.of("errorCode") for act in of)
            status = "warn" if tried else rule.get("status", "critical")
            asked = Question(f"{rule['rule']}: {who}", "none", _SOURCE)
            seen = f"{'tried, and denied: ' if tried else ''}{_told(trail, of)}. {rule['then']}"
            follows = rule.get("next", _NEXT)
            yield asked.answer(status, seen, cause=rule.get("cause", ""), next=follows)


def _each(acts: list[Act]) -> Iterator[tuple[str, list[Act]]]:
    """By identity and key."""
    for who, of in groupby(sorted(acts, key=lambda act: act.who), lambda act: act.who):
        yield who, sorted(of, key=lambda act: act.time)


def _told(trail: Trail, acts: list[Act]) -> str:
    """What, how often, when, from where."""
    names = ", ".join(dict.fromkeys(act.what for act in acts))
    where = ", ".join(dict.fromkeys(act.address for act in acts))
    first, last = (clock(acts[at].time, trail.within.end) for at in (0, -1))
    when = first if first == last else f"{first} to {last}"
    return f"{cut(names, 300)} ({count(len(acts), 'call')}, {when}, from {cut(where, 100)})"


def _denied(ops: Connection, trail: Trail) -> Iterator[Finding]:
    """Who asked for many things that he may not have; and what he was given."""
    others = [act for act in trail.acts if not act.is_own(ops)]
    for who, of in _each([act for act in others if act.denied]):
        kinds = {(act.what, str(act.of("requestParameters"))) for act in of}
        if len(kinds) < _DIFFERENT and len(of) < _MANY:
            continue
        asked = Question(f"denied calls of {who}", f"fewer than {_DIFFERENT} kinds", _SOURCE)
        given = sorted((a for a in others if a.who == who and not a.denied), key=lambda a: a.time)
        seen = f"{_told(trail, of)}; "
        seen += f"answered: {_told(trail, given)}. " if given else "nothing was answered. "
        console = of[0].of("sessionCredentialFromConsole")
        if len(kinds) < _DIFFERENT or console or of[0].of("userIdentity.invokedBy"):
            seen += "It lacks a right: was its policy changed?"
            yield asked.warn(seen, next="changes/configuration")
        else:
            seen += "Somebody tries what this key can do: deactivate it (aws iam update-access-key "
            seen += "--status Inactive), rotate what was read, block the address"
            yield asked.critical(seen, cause=PROBED, next=_block(ops))


def _block(ops: Connection) -> str:
    return "edge/block" if "edge" in ops.target.facts else _NEXT


def _elsewhere(ops: Connection, trail: Trail) -> Iterator[Finding]:
    """Who comes from a network that he never came from in the 90 days before.

    Not judged: services and what has no public address, who roams, sessions of a role that none of
    that name was before.
    """
    before = Window(trail.within.start - KEPT, trail.within.start)
    acts = [
        act for act in trail.acts if _network(act.address) and not act.of("userIdentity.invokedBy")
    ]
    for at, (who, of) in enumerate(_each(acts)):
        asked = Question(f"where {who} comes from", "seen in the 90 days before", _SOURCE)
        if at == _IDENTITIES:
            rest = len({act.who for act in acts}) - at
            yield asked.unknown(f"{rest} more identities were not looked up")
            return
        past, trouble = look_up(ops, "Username", of[0].by, before, _PAST)
        known = {_network(act.address) for act in past if act.principal == of[0].principal} - {""}
        new = [act for act in of if _network(act.address) not in known]
        role = of[0].of("userIdentity.type") == "AssumedRole"
        if not new or len(known) >= _ROAMS or (role and not known):
            continue
        if accepted(ops, ("identity", of[0].principal, "address")):
            continue
        seen = f"{_told(trail, new)}. Before: {', '.join(sorted(known)) or 'not seen at all'}"
        seen += f" ({trouble})" if trouble else ""
        seen += ". Ask who it was; else deactivate the key and block the address"
        cause = ELSEWHERE if known else ""
        yield asked.warn(seen, cause=cause, next=_block(ops))


def _network(address: str) -> str:
    """The network around a public address; empty for a service's name, and for what is private."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    size = 16 if found.version == 4 else 32
    return str(ipaddress.ip_network((address, size), strict=False)) if found.is_global else ""
