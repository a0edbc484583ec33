"""Who the mail is from: identities, their keys in DNS, the configuration set; what SES refused."""

from collections.abc import Iterator, Sequence
from functools import partial

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    OpsError,
    Question,
    beside,
    check,
    count,
    dtypes,
    frame,
    logs,
    sign_of,
    signs,
    window,
)
from opslib.mail.accounts import PAUSED, SANDBOX, at

UNVERIFIED, DKIM, MAIL_FROM = "mail-not-verified", "mail-dkim-failed", "mail-from-failed"
RECORDS = dtypes("""
    identity str
    record   str
    type     str
    value    str
""")
_ENDED = ("FAILED", "NOT_STARTED")


@check("May mail be sent as the identities that the system uses?")
def check_senders(ops: Connection) -> Findings:
    """Each of `mail.identities`: verified, DKIM, MAIL FROM. Evidence: RECORDS, of DNS."""
    ops = at(ops)
    facts = ops.target["mail"]
    told = ops.each(partial(_identity, ops), facts["identities"], "identity {}")
    found = [each for name, held in told.items() for each in _judged(ops, name, held)]
    if sender := facts.get("from"):
        domain = sender.rpartition("@")[2]
        covers = [e for e in facts["identities"] if f".{domain}".endswith(f".{e}") or e == sender]
        asked = Question(f"sender {sender}", "it is one of the identities, or of their domains", "")
        seen = f"covered by {covers[0]}" if covers else "no identity of the target's file covers it"
        found.append(asked.judged(bool(covers), seen, otherwise="warn", cause=UNVERIFIED))
    rows = [row for name, held in told.items() for row in _records(ops, name, held)]
    return Findings(found, frame(rows, RECORDS))


def _identity(ops: Connection, name: str) -> Json:
    """As SES describes it; empty when there is none of that name here."""
    try:
        return ops.call("sesv2", "get_email_identity", EmailIdentity=name)
    except NotFound:
        return {}


def _judged(ops: Connection, name: str, held: Json) -> Iterator[Finding]:
    source, where = "sesv2 GetEmailIdentity", f"in {ops.target.region}"
    asked = Question(f"identity {name}", f"verified {where}", source)
    if not held:
        seen = f"SES does not know it {where}; of another region it does not count here"
        yield asked.critical(seen, cause=UNVERIFIED)
        return
    error = held.get("VerificationInfo", {}).get("ErrorType", "")
    seen = f"{held.get('VerificationStatus', 'not told')}{f', {error}' if error else ''}"
    yield asked.judged(held["VerifiedForSendingStatus"], seen, cause=UNVERIFIED)
    dkim = held.get("DkimAttributes", {})
    status, on = str(dkim.get("Status", "not told")), dkim.get("SigningEnabled", False)
    asked = Question(f"DKIM of {name}", "signed, with its records in DNS", source)
    seen = f"{status}, signing is {'on' if on else 'off'}"
    seen += ". Its CNAMEs are in the table: are they in DNS?" * (status != "SUCCESS")
    # Receivers of much mail take none that is unsigned; while SES looks, it still counts.
    bad = "critical" if status in _ENDED else "warn"
    yield asked.judged(on and status == "SUCCESS", seen, otherwise=bad, cause=DKIM)
    way = held.get("MailFromAttributes", {})
    if domain := way.get("MailFromDomain"):
        status = str(way.get("MailFromDomainStatus", "not told"))
        asked = Question(f"MAIL FROM {domain}", "its MX is in DNS", source)
        rejects = way.get("BehaviorOnMxFailure") == "REJECT_MESSAGE"
        seen = f"{status}; without it mail is {'refused' if rejects else 'sent by amazonses.com'}"
        bad = "critical" if rejects else "warn"
        yield asked.judged(status == "SUCCESS", seen, otherwise=bad, cause=MAIL_FROM)


def _records(ops: Connection, name: str, held: Json) -> Iterator[Sequence[str]]:
    dkim = held.get("DkimAttributes", {})
    zone = dkim.get("SigningHostedZone", "dkim.amazonses.com")
    for token in dkim.get("Tokens", ()):
        record = f"{token}._domainkey.{name}"
        yield name, record, "CNAME", f"{token}.{zone}"
    if domain := held.get("MailFromAttributes", {}).get("MailFromDomain"):
        mx = f"10 feedback-smtp.{ops.target.region}.amazonses.com"
        yield name, domain, "MX", mx


@check("Does the configuration set send, and tell what became of the mail?")
def check_set(ops: Connection) -> Findings:
    """`mail.configuration_set`: sending, and where its events go. None described: none asked."""
    ops = at(ops)
    name = ops.target["mail"].get("configuration_set")
    if not name:
        return Findings(note="The target's file names no configuration set.")
    held = ops.call("sesv2", "get_configuration_set", ConfigurationSetName=name)
    asked_for, named = "get_configuration_set_event_destinations", {"ConfigurationSetName": name}
    told = ops.pages("sesv2", asked_for, "EventDestinations[]", **named)
    on = held.get("SendingOptions", {}).get("SendingEnabled", True)
    asked = Question(f"configuration set {name}", "it sends", "sesv2 GetConfigurationSet")
    seen = "on" if on else "sending is switched off: mail that names this set is refused"
    found = [asked.judged(on, seen, cause=PAUSED)]
    heard = {kind for each in told if each.get("Enabled") for kind in each["MatchingEventTypes"]}
    lacks = sorted({"BOUNCE", "COMPLAINT"} - heard)
    asked = Question(f"events of {name}", "bounces and complaints go somewhere", asked_for)
    seen = f"{count(len(told), 'destination')}"
    seen += f"; nobody is told of {' and '.join(lacks).lower()}" if lacks else ""
    return Findings([*found, asked.judged(not lacks, seen, otherwise="warn")])


_TOLD = beside(__file__, "refusals")
_REFUSED = signs(_TOLD["signs"])


@check("Did SES refuse mail of the service?")
def check_refusals(ops: Connection, minutes: float = 1440) -> Findings:
    """Lines of `mail.service`, in which SES says no, by what it says. Evidence: the lines."""
    facts = ops.target["mail"]
    if "service" not in facts:
        return Findings(note="The target's file does not say which service sends (mail.service).")
    lines = logs.search(ops, facts["service"], _TOLD["pattern"], window(ops, minutes))
    asked = Question("mail that SES refused", "none", f"FilterLogEvents of {facts['service']}")
    if lines.empty:
        return Findings(asked.ok(f"no line of it in {minutes:g} minutes"), lines)
    signs = [_sign(facts, text) for text in lines["message"]]
    if SANDBOX in signs and not _in_sandbox(ops):
        signs = [UNVERIFIED if each == SANDBOX else each for each in signs]
    found = []
    for name in dict.fromkeys(signs):
        of = lines[[each == name for each in signs]]
        seen = f"{count(len(of), 'line')}, the last at {of['time'].iloc[-1]:%m-%d %H:%M} UTC"
        found.append(asked.warn(f"{seen}: {of['message'].iloc[-1][:160]}", cause=name))
    return Findings(found, lines)


def _in_sandbox(ops: Connection) -> bool:
    """Outside of it only senders have to be verified; also when AWS does not tell."""
    try:
        return not at(ops).call("sesv2", "get_account")["ProductionAccessEnabled"]
    except OpsError:
        return True


def _sign(facts: Json, text: str) -> str:
    """Not verified is the sender where SES names one of ours; else the receiver: the sandbox."""
    name = sign_of(_REFUSED, text).name
    ours = [*facts["identities"], facts.get("from") or ""]
    told = text.rpartition("region")[2]
    return UNVERIFIED if name == SANDBOX and any(e and e in told for e in ours) else name
