"""Drills in what the app stands on: network, bucket, pool, permissions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from opslib.lab.estates.bluemoxon import lines, names, users
from opslib.lab.places import Drill, Place
from opslib.lab.traffic import journals
from opslib.lab.traffic.drills import denial

_ENDPOINT = "cognito-idp"
_DENIED = ("sqs:ListQueues", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
_MINUTES_AGO = (47, 46, 31, 12, 11, 4)


def lose_endpoint(place: Place) -> None:
    endpoints = place.backend("ec2").vpc_end_points
    service = f"com.amazonaws.{place.region}.{_ENDPOINT}"
    lost = {key: held for key, held in endpoints.items() if held.service_name == service}
    for key in lost:
        del endpoints[key]
    place.memory["lost_endpoints"] = lost


def find_endpoint(place: Place) -> None:
    """Puts the endpoint back, in place of any that was made meanwhile."""
    endpoints, lost = place.backend("ec2").vpc_end_points, place.memory.pop("lost_endpoints")
    services = {held.service_name for held in lost.values()}
    for key in [key for key, held in endpoints.items() if held.service_name in services]:
        del endpoints[key]
    endpoints.update(lost)


def lose_bucket(place: Place) -> None:
    backend, name = place.backend("s3"), names.bucket(place)
    place.memory["lost_bucket"] = backend.buckets.pop(name)
    _accounts().pop(name, None)


def find_bucket(place: Place) -> None:
    """Puts the bucket back with all that it held, in place of any that was made meanwhile."""
    name = names.bucket(place)
    place.backend("s3").buckets[name] = place.memory.pop("lost_bucket")
    _accounts()[name] = ("aws", place.account)


def _accounts() -> dict[str, tuple[str, str]]:
    from moto.s3.models import s3_backends

    held: dict[str, tuple[str, str]] = s3_backends.bucket_accounts
    return held


def make_mfa_stale(place: Place) -> None:
    user: Any = users.find(place, users.STALE_MFA)
    place.memory["mfa"] = dict(vars(user))
    user.software_token_mfa_enabled = user.token_verified = True
    user.preferred_mfa_setting = "SOFTWARE_TOKEN_MFA"
    told = {"method": "POST", "path": "/api/v1/auth/login", "status": 401, "latency_ms": 212.5}
    for minutes in _MINUTES_AGO:
        when = place.now() - timedelta(minutes=minutes)
        line = lines.entry(
            "WARN", when, **told, message="Invalid code received for user", error="CodeMismatchException",
            username=user.username,
        )  # fmt: skip
        journals.tell(place, "api", when, [(when, line)], 212.5)


def mend_mfa(place: Place) -> None:
    user = users.find(place, users.STALE_MFA)
    if user is not None:
        vars(user).update(place.memory.pop("mfa"))


def sign_up(place: Place) -> None:
    users.add(place, users.LATECOMER)


def sign_off(place: Place) -> None:
    users.remove(place, users.LATECOMER.email)


DRILLS = (
    Drill(
        "vpc-endpoint-missing", "Deep health answers 503 after a wait, while the list of books still comes",
        "The VPC has no endpoint for Cognito any more: functions in it cannot reach the service.",
        lose_endpoint, find_endpoint, found_by=("network/endpoints", "bluemoxon/vpc-endpoints"),
    ),
    Drill(
        "bucket-missing", "No image loads, and deep health fails on S3",
        "The images bucket is gone.", lose_bucket, find_bucket, found_by=("buckets/create", "buckets/orphans"),
    ),
    Drill(
        "mfa-stale", "A user cannot sign in: 'Invalid code received for user'",
        "The user's software token is of a pool that no longer is; the code can never fit.",
        make_mfa_stale, mend_mfa, found_by=("users/sign-in",),
    ),
    Drill(
        "user-not-synced", "Somebody signs in and does not appear in the app",
        "A confirmed user of the pool has no row in the users table.", sign_up, sign_off,
        found_by=("users/sign-in", "users/sync"),
    ),
    Drill(
        "access-denied", "The queues cannot be looked at: AccessDenied",
        "The operator's role lost its read access to SQS.", *denial(*_DENIED),
        found_by=("queues/dead-letters", "queues/redrive", "queues/purge", "reports/daily"),
    ),
)  # fmt: skip
