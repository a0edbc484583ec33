"""The addresses that AWS WAF turns away."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from opslib import changes
from opslib.core import (
    UTC_TIME,
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Listed,
    NotFound,
    Planned,
    Question,
    Refused,
    Step,
    There,
    UsageError,
    answer,
    check,
    count,
    frame,
    identities,
    networks,
    planner,
)

BLOCKED = {"address": "str", "since": UTC_TIME, "by": "str"}
_WAF = "wafv2"
_WIDEST = {4: 16, 6: 32}  # a wider network is not somebody: it is a country or a provider
_EVENTS = 200


class Addresses:
    """The set of addresses that the target's file names, where its scope has it."""

    def __init__(self, ops: Connection) -> None:
        facts = ops.target["edge"]
        self.scope, self.name = str(facts.get("scope", "REGIONAL")), str(facts["ip_set"])
        self.region = identities.kept_in(ops.target.region, self.scope)
        self.ops, self.facts = ops.at(self.region), facts
        self.key = self.named("list_ip_sets", "IPSets", "set of addresses", self.name)
        self.held: Json = self.ops.call(_WAF, "get_ip_set", **self.key)["IPSet"]
        self.addresses = sorted(map(str, self.held["Addresses"]))

    def named(self, operation: str, path: str, kind: str, name: str) -> Json:
        """What WAF asks for to tell of one of a kind. Raises NotFound."""
        found = self.ops.pages(_WAF, operation, path, Scope=self.scope, Limit=100)
        for each in found:
            if each["Name"] == name:
                return {"Name": name, "Scope": self.scope, "Id": each["Id"]}
        raise NotFound(
            f"WAF has no {kind} {name!r} of scope {self.scope} in {self.region}; {len(found)} "
            "others are there."
        )

    @property
    def version(self) -> int:
        return 6 if self.held["IPAddressVersion"] == "IPV6" else 4


def list_blocked(ops: Connection) -> Frame:
    """Every address that is turned away, and who put it there and when, as CloudTrail knows it.

    It knows of 90 days; of what was there with the first change of these it tells nothing.
    Columns: BLOCKED.
    """
    known = Addresses(ops)
    since: dict[str, tuple[Any, str]] = {}
    before: set[str] | None = None  # which of them the first known change brought, it does not say
    found, trouble = changes.look_up(known.ops, "EventName", "UpdateIPSet", most=_EVENTS)
    unknown = f"not known: {trouble}" * bool(trouble)
    for act in reversed(found):  # what the set held after each change of it, oldest first
        given = act.of("requestParameters") or {}
        if (given.get("name") or given.get("Name")) == known.name:
            now = set(given.get("addresses") or given.get("Addresses") or ())
            since |= dict.fromkeys(now - (before or now), (act.time, act.by))
            before = now
    told = {each: since.get(each, (None, unknown)) for each in known.addresses}
    return frame(((each, *since_when) for each, since_when in told.items()), BLOCKED)


@check("Does the set turn anybody away?")
def check_firewall(ops: Connection) -> Findings:
    """The set itself, and whether a rule of the web ACL that the file names blocks what it has."""
    known = Addresses(ops)
    rule = "there, nobody of our own in it"
    asked = Question(f"set {known.name}", rule, f"wafv2 GetIPSet, {known.scope}")
    seen = f"{count(len(known.addresses), 'address')}"
    if about := known.held.get("Description"):
        seen += f"; it says of itself: {about}"
    own, held = [*_own(known)], map(ipaddress.ip_network, known.addresses)
    wrong = [why for each in held for why in _why_not(each, own)]
    seen += f"; {' '.join(wrong)} Take it out" * bool(wrong)
    found = [asked.judged(not wrong, seen, next="edge/block")]
    if "acl" in known.facts:
        words = f"{known.facts['acl']} blocks {known.name}"
        found.append(answer(words, _rule, known, words))
    return Findings(found)


def _rule(known: Addresses, words: str) -> Finding:
    asked = Question(words, "a rule with action Block", "wafv2 GetWebACL")
    key = known.named("list_web_acls", "WebACLs", "web ACL", known.facts["acl"])
    acl = known.ops.call(_WAF, "get_web_acl", **key)["WebACL"]
    rules = [each for each in acl["Rules"] if known.held["ARN"] in str(each["Statement"])]
    if not rules:
        return asked.critical("no rule names the set: it turns nobody away")
    action = next(iter(rules[0].get("Action") or rules[0].get("OverrideAction") or {"?": 0}))
    seen = f"rule {rules[0]['Name']}, priority {rules[0]['Priority']}: {action}"
    if "NotStatement" in str(rules[0]["Statement"]):
        return asked.unknown(f"{seen}, for those that are not in the set")
    return asked.judged(action == "Block", f"{seen}")


@planner
def plan_block(ops: Connection, address: str, reason: str, unblock: bool = False) -> Planned:
    """Turn an address away, or let it in again; the others in the set stay.

    Raises UsageError (no address, another version than the set's, no reason), Refused (private, our
    own, too wide, or never to be blocked as the file says).
    """
    known, network = Addresses(ops), _network(address)
    if not reason.strip():
        raise UsageError("reason is empty: who looks at the set later wants to know why.")
    if network.version != known.version:
        raise UsageError(f"{network} is IPv{network.version}; the set takes IPv{known.version}.")
    wanted = str(network)
    there = wanted in known.addresses
    wider = [each for each in known.addresses if each != wanted and networks.lies_in(wanted, each)]
    if unblock and wider:
        raise Refused(
            f"{wanted} is turned away as a part of {', '.join(wider)}. Nothing was changed. Let "
            f"that in as a whole: address={wider[0]}; then block what remains of it."
        )
    if unblock != there:
        said = "is not in the set" if unblock else "is in the set already"
        return Planned(f"{wanted} {said}", notes=[f"{known.name} stays as it is."])
    if not unblock:
        _require_a_stranger(known, network)
    becomes = (
        [each for each in known.addresses if each != wanted]
        if unblock
        else [*known.addresses, wanted]
    )
    title = f"Set {known.name}: {'without' if unblock else 'with'} {wanted}"
    step = Step(
        title,
        _changed(known, wanted, add=not unblock),
        known.addresses,
        sorted(becomes),
        [_changed(known, wanted, add=unblock)],
        There(known.region, _WAF, "get_ip_set", "sort(IPSet.Addresses)", **known.key),
    )
    notes = [
        f"Why: {reason.strip()}",
        f"{count(len(becomes), 'address')} in the set then; "
        "it takes up to a minute until it is so everywhere.",
    ]
    verb = "let in" if unblock else "block"
    return Planned(f"{verb} {wanted}", [step], notes)


def _changed(known: Addresses, address: str, add: bool) -> Action:
    given: Json = {"add": [address]} if add else {"drop": [address]}
    about = known.held.get("Description")
    more = {"Description": about} if about else {}
    return Listed(
        Aws(_WAF, "get_ip_set", **known.key),
        Aws(_WAF, "update_ip_set", **known.key, **more),
        "IPSet.Addresses",
        "Addresses",
        "LockToken",
        region=known.region,
        **given,
    )


def _network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """One address, or a network in CIDR form; host bits are no offence."""
    try:
        return ipaddress.ip_network(address.strip(), strict=False)
    except ValueError as exc:
        raise UsageError(
            f"address={address!r} is neither an IP address nor a network like 203.0.113.0/24."
        ) from exc


def _require_a_stranger(known: Addresses, network: Any) -> None:
    if not network.is_global:
        raise Refused(
            f"{network} is no public address: it is private or reserved, and nobody outside has "
            "it. Behind a load balancer the caller is in X-Forwarded-For. Nothing was changed."
        )
    for why in _why_not(network, _own(known)):
        raise Refused(f"{why} Nothing was changed.")


def _why_not(network: Any, own: Iterable[tuple[str, str]]) -> Iterator[str]:
    if network.prefixlen < _WIDEST[network.version]:
        yield (
            f"{network} are {network.num_addresses:,} addresses: too many to be one caller. "
            f"At most /{_WIDEST[network.version]} is taken here."
        )
    for each, whose in own:
        if network.overlaps(ipaddress.ip_network(each, strict=False)):
            yield f"{network} has {each} in it: {whose}."


def _own(known: Addresses) -> Iterator[tuple[str, str]]:
    """Addresses that must not be turned away, and whose they are."""
    for each in known.facts.get("never", ()):
        if ipaddress.ip_network(each, strict=False).version == known.version:
            yield each, "the target's file says that it is never to be blocked (edge.never)"
    if known.version == 4:
        path = "Addresses[].PublicIp"
        for each in known.ops.pages("ec2", "describe_addresses", path):
            yield each, f"an Elastic IP of account {known.ops.target.account}, our own"
