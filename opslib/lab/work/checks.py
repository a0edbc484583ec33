"""What an app's health answers say of the things that it depends on."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from botocore.exceptions import ClientError


def checked(check: Callable[[], Any]) -> dict[str, Any]:
    """`status` (ok, error), `latency_ms`, and the `reason` of an error."""
    began, status, more = time.monotonic(), "ok", {}
    try:
        check()
    except (psycopg.Error, ClientError) as exc:
        status, more = "error", {"reason": _reason(exc)}
    taken_ms = round((time.monotonic() - began) * 1000, 1)
    return {"status": status, "latency_ms": taken_ms, **more}


def _reason(exc: psycopg.Error | ClientError) -> str:
    if isinstance(exc, ClientError):
        return f"{exc.response['Error']['Code']}: {exc.response['Error']['Message']}"
    return str(exc).strip().splitlines()[0]


def brief(check: dict[str, Any]) -> str:
    """One, in a word or two."""
    return "ok" if check["status"] == "ok" else f"error: {check['reason']}"


def overall(checks: dict[str, dict[str, Any]]) -> tuple[int, str]:
    """The answer's status, and what it says of all."""
    well = all(check["status"] == "ok" for check in checks.values())
    return (200, "healthy") if well else (503, "unhealthy")
