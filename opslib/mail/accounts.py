"""Whether SES sends for this account: sandbox, pauses, quota, and how much comes back."""

from __future__ import annotations

from collections.abc import Iterator

from opslib.core import Connection, Finding, Findings, Json, Question, check, count, metrics, window

SANDBOX, PAUSED = "mail-sandbox", "mail-sending-paused"
USED_UP, REPUTATION = "mail-quota-used-up", "mail-reputation"
_ACCOUNT = "sesv2 GetAccount"
_NEAR, _FULL = 0.8, 1.0  # of what may be sent in 24 hours
_RATES = {  # metric: what comes back, and from which share on SES warns, and may pause sending
    "Reputation.BounceRate": ("bounces", 0.05, 0.10),
    "Reputation.ComplaintRate": ("complaints", 0.001, 0.005),
}
_DAYS = 3  # SES tells its rates a few times a day


def at(ops: Connection) -> Connection:
    """Where the target's mail is sent from: every region is an account of SES of its own."""
    return ops.at(str(ops.target["mail"].get("region", "")))


@check("May this account send mail, to anybody, as much as it wants to?")
def check_account(ops: Connection) -> Findings:
    """Sandbox, sending switched off or stopped by AWS, the quota of the last 24 hours."""
    ops = at(ops)
    return Findings(_judged(ops, ops.call("sesv2", "get_account")))


def _judged(ops: Connection, told: Json) -> Iterator[Finding]:
    where = f"in {ops.target.region}"
    asked = Question(f"mail to anybody {where}", "not in the sandbox", _ACCOUNT)
    seen = "production access"
    if not told["ProductionAccessEnabled"]:
        review = told.get("Details", {}).get("ReviewDetails", {})
        case = f" (case {review['CaseId']})" if review.get("CaseId") else ""
        seen = "in the sandbox: only verified addresses get mail. The way out, asked of AWS: "
        seen += f"{review.get('Status', 'not asked for').lower()}{case}"
    yield asked.judged(told["ProductionAccessEnabled"], seen, cause=SANDBOX)
    asked = Question(f"sending {where}", "on, and AWS has not stopped it", _ACCOUNT)
    health, on = str(told.get("EnforcementStatus", "not told")), told["SendingEnabled"]
    seen = f"switched {'on' if on else 'off'}, enforcement status {health}"
    if not on or health == "SHUTDOWN":
        seen += ": nothing is sent. " + _STOPPED[health == "SHUTDOWN"]
        yield asked.critical(seen, cause=PAUSED)
    elif health == "PROBATION":
        seen += ": under review, and stopped if it does not get better"
        yield asked.warn(seen, cause=REPUTATION)
    else:
        yield asked.answer("ok" if health == "HEALTHY" else "unknown", seen, cause=PAUSED)
    yield _quota(told["SendQuota"], where)


_STOPPED = {
    True: "AWS stopped it: mend what its case in the Support Center names, and answer there",
    False: "Somebody switched it off (aws sesv2 put-account-sending-attributes)",
}


def _quota(quota: Json, where: str) -> Finding:
    most, sent = quota["Max24HourSend"], quota["SentLast24Hours"]
    asked = Question(f"mails in the last 24 hours {where}", f"below {_NEAR:.0%}", _ACCOUNT)
    seen = f"{count(int(sent), 'mail')} of {most:,.0f}, at most {quota['MaxSendRate']:g} a second"
    if most < 0:  # as AWS writes that there is none
        return asked.ok(f"{count(int(sent), 'mail')}, and no quota", cause=USED_UP)
    share = sent / most if most else _FULL
    status = "critical" if share >= _FULL else "warn" if share >= _NEAR else "ok"
    seen += ". It is no day: what was sent 24 hours ago is free again" * (status != "ok")
    return asked.answer(status, seen, cause=USED_UP)


@check("Do few mails come back?")
def check_reputation(ops: Connection) -> Findings:
    """Bounces and complaints as SES counts them over its last mails; CloudWatch, AWS/SES.

    https://docs.aws.amazon.com/ses/latest/dg/reputationdashboardmessages.html
    """
    ops = at(ops)
    wanted: Json = {name: ("AWS/SES", name, {}, "Average", 3600, name) for name in _RATES}
    told = metrics.series(ops, wanted, window(ops, _DAYS * 24 * 60))
    found = Findings()
    for name, rates in told.items():
        words, warn, critical = _RATES[name]
        asked = Question(words, f"at most {warn:.1%}; from {critical:.1%} on AWS stops it", name)
        if rates.empty:
            found += [_silent(ops, asked)]
            continue
        rate = float(rates.iloc[-1])
        status = "critical" if rate >= critical else "warn" if rate > warn else "ok"
        found += [asked.answer(status, f"{rate:.2%} of the mails", cause=REPUTATION)]
    return found


def _silent(ops: Connection, asked: Question) -> Finding:
    """Without mails there is no rate; with some, something is not seen."""
    sent = ops.call("sesv2", "get_account")["SendQuota"]["SentLast24Hours"]
    if not sent:
        return asked.ok("nothing was sent in the last 24 hours, so nothing came back")
    return asked.unknown(f"no figure within {_DAYS} days, though mails were sent")
