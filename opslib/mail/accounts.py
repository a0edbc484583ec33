"""Whether SES sends for this account: sandbox, pauses, quota, and how much comes back."""

from __future__ import annotations

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    beside,
    check,
    metrics,
    sayings,
    window,
)

SANDBOX, PAUSED = "mail-sandbox", "mail-sending-paused"
REPUTATION = "mail-reputation"
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
    told = ops.call("sesv2", "get_account")
    quota = told["SendQuota"]
    most, sent = quota["Max24HourSend"], quota["SentLast24Hours"]
    more = {"region": ops.target.region, "used": sent / most if most else 1.0}
    return Findings(sayings(beside(__file__, "account"), told | more))


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
