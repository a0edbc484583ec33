"""Amazon SES, version 2: what an account says of itself, and its suppression list.

moto has no GetAccount and no suppression list, and calls every identity verified. So all of it is
held here, by account and region, as the API tells it; an account of which nothing was seeded is
new: in the sandbox, with nothing in it.
"""

import copy
from datetime import UTC
from typing import Any

from opslib.lab.aws.operations import AwsError, Call, Result, answers

Held = dict[str, Any]
_PAGE = 1000
_NEW: Held = {
    "account": {
        "DedicatedIpAutoWarmupEnabled": True,
        "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": False,
        "SendingEnabled": True,
        "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 0.0},
        "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
    },
    "identities": {},
    "sets": {},
    "suppressed": {},
    "said": {},  # by drill: what is otherwise of the account, of each identity, of each set
}
_accounts: dict[tuple[str, str], Held] = {}


def held() -> tuple[dict[Any, Any], ...]:
    return (_accounts,)


def reset() -> None:
    _accounts.clear()


def of(account: str, region: str) -> Held:
    """account, identities, sets (with `destinations`) and suppressed, each as the API tells it.

    said: by drill, what is otherwise of `account`, of each of `identities`, of each of `sets`.
    """
    return _accounts.setdefault((account, region), copy.deepcopy(_NEW))


def _of(call: Call) -> Held:
    return of(call.account, call.region)


def _one(call: Call, kind: str, parameter: str) -> Held:
    name = call.params[parameter]
    found: Held | None = _of(call)[kind].get(name)
    if found is None:
        raise AwsError("NotFoundException", f"{parameter} {name} does not exist.", 404)
    return _told(call, kind, found)


def _told(call: Call, kind: str, about: Held) -> Held:
    """With what drills say otherwise; mappings in it are merged."""
    for said in _of(call)["said"].values():
        about = about | {
            key: about.get(key, {}) | value if isinstance(value, dict) else value
            for key, value in said.get(kind, {}).items()
        }
    return about


@answers("sesv2", "GetAccount")
def get_account(call: Call) -> Result:
    return _told(call, "account", _of(call)["account"])


@answers("sesv2", "GetEmailIdentity")
def get_email_identity(call: Call) -> Result:
    return _one(call, "identities", "EmailIdentity")


@answers("sesv2", "GetConfigurationSet")
def get_configuration_set(call: Call) -> Result:
    told = _one(call, "sets", "ConfigurationSetName")
    return {key: value for key, value in told.items() if key != "destinations"}


@answers("sesv2", "DeleteConfigurationSet")
def delete_configuration_set(call: Call) -> Result:
    _one(call, "sets", "ConfigurationSetName")
    del _of(call)["sets"][call.params["ConfigurationSetName"]]
    return {}


@answers("sesv2", "GetConfigurationSetEventDestinations")
def get_event_destinations(call: Call) -> Result:
    return {"EventDestinations": _one(call, "sets", "ConfigurationSetName")["destinations"]}


@answers("sesv2", "ListSuppressedDestinations")
def list_suppressed_destinations(call: Call) -> Result:
    asked, every = call.params, _of(call)["suppressed"].values()
    start, end = (asked.get(name) for name in ("StartDate", "EndDate"))
    found = [
        each
        for each in sorted(every, key=lambda each: each["LastUpdateTime"])
        if each["Reason"] in (asked.get("Reasons") or ("BOUNCE", "COMPLAINT"))
        if not start or each["LastUpdateTime"] >= start.replace(tzinfo=start.tzinfo or UTC)
        if not end or each["LastUpdateTime"] <= end.replace(tzinfo=end.tzinfo or UTC)
    ]
    first = int(asked.get("NextToken") or 0)
    last = first + min(int(asked.get("PageSize") or _PAGE), _PAGE)
    token = {"NextToken": str(last)} if last < len(found) else {}
    return {"SuppressedDestinationSummaries": found[first:last], **token}


@answers("sesv2", "GetSuppressedDestination")
def get_suppressed_destination(call: Call) -> Result:
    return {"SuppressedDestination": _one(call, "suppressed", "EmailAddress")}


@answers("sesv2", "PutSuppressedDestination")
def put_suppressed_destination(call: Call) -> Result:
    suppress(_of(call), call.params["EmailAddress"], call.params["Reason"], call.received)
    return {}


@answers("sesv2", "DeleteSuppressedDestination")
def delete_suppressed_destination(call: Call) -> Result:
    _one(call, "suppressed", "EmailAddress")
    del _of(call)["suppressed"][call.params["EmailAddress"]]
    return {}


def suppress(account: Held, address: str, reason: str, when: Any) -> None:
    about = {"EmailAddress": address, "Reason": reason, "LastUpdateTime": when}
    account["suppressed"][address] = about
