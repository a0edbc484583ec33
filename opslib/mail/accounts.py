"""Whether SES sends for this account: sandbox, pauses, quota, and how much comes back."""

from opslib.core import (
    Connection,
    Findings,
    Json,
    beside,
    check,
    metrics,
    sayings,
    window,
)

SANDBOX, PAUSED = "mail-sandbox", "mail-sending-paused"
_RATES = ("BounceRate", "ComplaintRate")
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
    wanted: Json = {each: ("AWS/SES", f"Reputation.{each}", {}, "Average", 3600) for each in _RATES}
    found = metrics.series(ops, wanted, window(ops, _DAYS * 24 * 60))
    told: Json = {each: float(of.iloc[-1]) for each, of in found.items() if len(of)}
    if len(told) < len(_RATES):  # without mails there is no rate; with some, something is not seen
        told |= ops.call("sesv2", "get_account")["SendQuota"]
    return Findings(sayings(beside(__file__, "rates"), told))
