"""Addresses that SES does not send to any more, for mail to them came back or was called spam.

Of the account, in one region. SES takes such mail, counts it, and does not deliver it.
"""

from datetime import timedelta
from typing import Any

from opslib.core import (
    ABSENT,
    UTC_TIME,
    Aws,
    Connection,
    Findings,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    UsageError,
    check,
    count,
    frame,
    look,
    planner,
)
from opslib.mail.accounts import at

SUPPRESSED = "mail-suppressed"
LIST = {"address": "str", "reason": "str", "since": UTC_TIME}
_SES, _A_DAY = "sesv2", 20


@check("Are few addresses new on the list of those that get no mail?")
def check_suppressed(ops: Connection, days: float = 1) -> Findings:
    """Those that came within some days, of which one of ours is none. Evidence: LIST."""
    ops = at(ops)
    path = "SuppressedDestinationSummaries[].{address: EmailAddress, reason: Reason, "
    path += "since: LastUpdateTime}"
    since, asked_of = ops.now() - timedelta(days=days), "list_suppressed_destinations"
    listed = ops.pages(_SES, asked_of, path, StartDate=since, PageSize=1000)
    rows = frame(listed, LIST).sort_values("since", ascending=False, ignore_index=True)
    facts = ops.target["mail"]
    most = facts.get("suppressed_per_day", _A_DAY) * days
    asked = Question("addresses that get no mail since", f"at most {most:g}", "suppression list")
    bounced = int((rows["reason"] == "BOUNCE").sum())
    seen = f"{count(len(rows), 'address')} in {days:g} d: {bounced} bounced"
    seen += f", {len(rows) - bounced} complained"
    found = [asked.judged(len(rows) <= most, seen, otherwise="warn", cause=SUPPRESSED)]
    if (sender := facts.get("from")) and sender in set(rows["address"]):
        asked = Question(f"mail to {sender}", "not on the list", "suppression list")
        found.append(asked.warn("it is on the list", cause=SUPPRESSED))
    return Findings(found, rows)


@check("Does this address get mail?")
def check_address(ops: Connection, address: str = "") -> Findings:
    """Whether one address is on the account's list, why and since when; none given, none asked."""
    if not address:
        return Findings(note="No address was given.")
    held = _held(at(ops), _required(address))
    asked = Question(
        f"mail to {address}", "not on the suppression list", "GetSuppressedDestination"
    )
    if held == ABSENT:
        return Findings(asked.ok("not on the list", cause=SUPPRESSED))
    seen = f"on the list since {held['LastUpdateTime']:%Y-%m-%d %H:%M} UTC: {held['Reason']}. "
    seen += "Mail to it is taken, counted, and not delivered"
    return Findings(asked.warn(seen, cause=SUPPRESSED, next="mail/unsuppress"))


def _held(ops: Connection, address: str) -> Any:
    asked = "get_suppressed_destination", "SuppressedDestination"
    return look(ops, Read(_SES, *asked, EmailAddress=address))


def _required(address: str) -> str:
    name, at_sign, domain = address.partition("@")
    if not (name and at_sign and "." in domain) or any(each.isspace() for each in address):
        raise UsageError(f"address={address!r} is no address of mail. Nothing was changed.")
    return address


@planner
def plan_lift(ops: Connection, address: str) -> Planned:
    """Take one address off the account's list; undo puts it back with its reason.

    Raises UsageError (no address), Refused (another region than the target's: no plan is there).
    """
    there = at(ops)
    if there.target.region != ops.target.region:
        raise Refused(
            f"Mail is sent from {there.target.region}, and a plan acts in {ops.target.region}. "
            "Nothing was changed. aws sesv2 delete-suppressed-destination --region does it."
        )
    held = _held(ops, _required(address))
    if held == ABSENT:
        note = "It is looked for as it is written: capitals count."
        return Planned(f"{address} is not on the list", notes=[note])
    undo = Aws(_SES, "put_suppressed_destination", EmailAddress=address, Reason=held["Reason"])
    do = Aws(_SES, "delete_suppressed_destination", EmailAddress=address)
    path = "SuppressedDestination.Reason"
    observe = Read(_SES, "get_suppressed_destination", path, EmailAddress=address)
    step = Step(f"Take {address} off the list", do, held["Reason"], ABSENT, [undo], observe)
    notes = ["Does the address exist now? It bounces again, and is on the list again, if not."]
    if held["Reason"] == "COMPLAINT":
        notes = ["Its owner called a mail spam. Take it off only when the owner asks for it."]
    return Planned(f"mail to {address} again", [step], notes)
