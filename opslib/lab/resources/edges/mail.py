"""What a target's file says of its mail: an account out of the sandbox, its senders proved."""

from datetime import timedelta
from typing import Any

from opslib.lab.corrections.accounts import mail
from opslib.lab.places import Place
from opslib.lab.resources import names

_SENT, _MOST, _RATE = 1420.0, 50_000.0, 14.0
_GONE = ("old.address@example.org", "nobody@example.net")  # who bounced long ago
_EVENTS = ["BOUNCE", "COMPLAINT", "DELIVERY", "REJECT"]


def of(place: Place) -> dict[str, Any]:
    return mail.of(place.account, str(place.facts["mail"].get("region", place.region)))


def seed(place: Place) -> None:
    facts = place.facts.get("mail")
    if not facts:
        return
    held, start = of(place), names.start(place)
    quota = {"Max24HourSend": _MOST, "MaxSendRate": _RATE, "SentLast24Hours": _SENT}
    review = {"Status": "GRANTED", "CaseId": "172211345600117"}
    about = {"MailType": "TRANSACTIONAL", "ReviewDetails": review}
    held["account"] |= {"ProductionAccessEnabled": True, "SendQuota": quota, "Details": about}
    for name in facts["identities"]:
        held["identities"][name] = _identity(place, name)
    if name := facts.get("configuration_set"):
        topic = names.arn(place, "sns", "mail-events")
        told = {"Name": "events", "Enabled": True, "MatchingEventTypes": _EVENTS}
        held["sets"][name] = {
            "ConfigurationSetName": name,
            "SendingOptions": {"SendingEnabled": True},
            "ReputationOptions": {"ReputationMetricsEnabled": True},
            "destinations": [{**told, "SnsDestination": {"TopicArn": topic}}],
        }
    for at, address in enumerate(_GONE):
        mail.suppress(held, address, "BOUNCE", start - timedelta(days=40 * (at + 1)))


def _identity(place: Place, name: str) -> dict[str, Any]:
    rng, domain = names.generator(place, f"mail/{name}"), "@" not in name
    looked = names.start(place) - timedelta(hours=3)
    dkim = {
        "SigningEnabled": True,
        "Status": "SUCCESS",
        "Tokens": [f"{rng.getrandbits(128):032x}" for _ in range(3)],
        "SigningHostedZone": "dkim.amazonses.com",
        "SigningAttributesOrigin": "AWS_SES",
    }
    way = {
        "MailFromDomain": f"bounce.{name}",
        "MailFromDomainStatus": "SUCCESS",
        "BehaviorOnMxFailure": "USE_DEFAULT_VALUE",
    }
    return {
        "IdentityType": "DOMAIN" if domain else "EMAIL_ADDRESS",
        "FeedbackForwardingStatus": True,
        "VerifiedForSendingStatus": True,
        "VerificationStatus": "SUCCESS",
        "VerificationInfo": {"LastCheckedTimestamp": looked, "LastSuccessTimestamp": looked},
        "DkimAttributes": dkim,
        "MailFromAttributes": way if domain else {},
        "Policies": {},
        "Tags": [],
    }
