"""The door of the stand-in for OpenSearch: who asks, what is asked, and errors as OpenSearch's.

`/_es/<target>/<path>` on the lab's address. A request has to carry a good signature (SigV4, service
`es`) of one of the lab's users, or it is 403, in the words of the real one.
"""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from opslib.lab.aws import credentials
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.search import indices
from opslib.lab.resources.search.asked import Asked, Problem
from opslib.lab.resources.search.operations import ROUTES

SERVICE = "es"
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/"
    r"aws4_request, ?SignedHeaders=(?P<headers>[\w;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_NO_MATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)
Answer = tuple[int, str, bytes]


def answer(
    place: Place, method: str, url: str, path: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    """`url`: as it was asked for, path as it is within the domain."""
    if why := _turned_away(place, method, url, headers, body):
        return _json(403, why)
    inner = urlsplit(path)
    query = dict(parse_qsl(inner.query, keep_blank_values=True))
    try:
        if denied := indices.held(place)["fault"].get("denied"):
            raise Problem(403, "security_exception", str(denied))
        if (action := f"opensearch:{method} {inner.path}") in place.faults.get("deny", {}):
            raise Problem(403, "security_exception", f"no permissions for [{action}]")
        for verbs, pattern, operation in ROUTES:
            if method in verbs.split("|") and (found := re.fullmatch(pattern, inner.path)):
                return _json(200, operation(Asked(place, found.groups(), query, body)))
        raise Problem(
            400,
            "illegal_argument_exception",
            f"no handler found for uri [{inner.path}] and method [{method}] (the lab's stand-in "
            "for OpenSearch has few of them)",
        )
    except Problem as exc:
        return _json(exc.status, exc.told())
    except ValueError as exc:  # a query of another kind, a number that is none
        return _json(400, Problem(400, "parsing_exception", str(exc)).told())


def _json(status: int, told: Any) -> Answer:
    return status, "application/json; charset=UTF-8", json.dumps(told, default=str).encode()


def _turned_away(
    place: Place, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> dict[str, str] | None:
    """What the door says to whom it lets not in."""
    action = f"es:ESHttp{method.title()}"
    found = _SIGNED.fullmatch(headers.get("authorization", ""))
    if found is None:
        return {"Message": f"User: anonymous is not authorized to perform: {action}"}
    users = (credentials.credentials(place.account, user) for user in credentials.USERS)
    secret = dict(users).get(found["key"])
    if secret is None:
        return {"message": "The security token included in the request is invalid."}
    if found["service"] != SERVICE or found["region"] != place.region:
        scope = f"{found['region']}/{found['service']}"
        return {"message": f"Credential should be scoped to {place.region}/{SERVICE}, not {scope}"}
    hashed = headers.get("x-amz-content-sha256", sha256(body).hexdigest())
    whole = compare_digest(hashed, sha256(body).hexdigest())
    if not whole or not _fits(found, secret, method, url, headers, body):
        return {"message": _NO_MATCH}
    if denied := {action, "es:ESHttp*", "es:*"} & place.faults.get("deny", {}).keys():
        user = next(u for u in credentials.USERS if found["key"] in _key(place, u))
        arn = names.owner(place, f"user/{user}")
        why = place.faults["deny"][min(denied)] or "no resource-based policy allows it"
        return {"Message": f"User: {arn} is not authorized to perform: {action} because {why}"}
    return None


def _key(place: Place, user: str) -> tuple[str, ...]:
    return credentials.credentials(place.account, user)


def _fits(
    found: re.Match[str],
    secret: str,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
) -> bool:
    """Whether the signature is that of this request."""
    signed = {name: headers[name] for name in found["headers"].split(";") if name in headers}
    request = AWSRequest(method, url, signed, body)
    request.context["timestamp"] = headers.get("x-amz-date", "")
    signer = SigV4Auth(Credentials(found["key"], secret), found["service"], found["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return compare_digest(signer.signature(text, request), found["signature"])
