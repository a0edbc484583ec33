"""What health endpoints answer, in whatever shape: flat, nested, a list; in the words of many frameworks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opslib.core.connections.http import Response

_WORDS = {
    "ok": "ok healthy up pass passed passing success connected reachable available alive active green true",
    "skipped": "skipped skip disabled not_configured not_applicable n/a none not_checked",
    "degraded": "degraded warn warning slow yellow partial",
    "failed": "failed fail failing error unhealthy down unreachable unavailable timeout timed_out denied missing "
    "disconnected critical red false",
}
_STATUS = {word: status for status, words in _WORDS.items() for word in words.split()}
_CONTAINERS = ("checks", "dependencies", "components", "services", "details", "results")
_ABOUT = {  # what an answer says of itself, beside its dependencies
    "status",
    "overall",
    "overall_status",
    "healthy",
    "message",
    "detail",
    "error",
    "version",
    "environment",
    "env",
    "stage",
    "region",
    "service",
    "name",
    "app",
    "application",
    "build",
    "commit",
    "git_sha",
    "sha",
    "branch",
    "timestamp",
    "time",
    "checked_at",
    "started_at",
    "deployed_at",
    "request_id",
    "requestid",
    "hostname",
    "host",
}
_MOMENTS = {"timestamp", "time", "checked_at"}  # when it was asked, which one knows
_REASONS = ("reason", "error", "message", "detail", "details", "output")
_HEADLINE = re.compile(r"<(?:title|h1)[^>]*>\s*([^<]+)", re.IGNORECASE)

# What a failed dependency leads to. A silent one is looked for in the network first: that is what it mostly is.
_FOLLOWS = (
    (
        re.compile(r"time.?out|timed out|unreachable|endpoint|resolve|refused", re.I),
        "network/endpoints",
        True,
    ),
    (re.compile(r"s3|bucket|storage|image", re.I), "buckets/create", False),
    (re.compile(r"database|postgres|\bdb\b|rds|aurora|sql", re.I), "databases/health", False),
    (re.compile(r"sqs|queue", re.I), "queues/dead-letters", False),
    (re.compile(r"cognito|auth|user|secret|bedrock", re.I), "network/endpoints", False),
)


def is_html(answer: Response) -> bool:
    start = answer.text.lstrip()[:15].lower()
    return answer.body is None and (
        "html" in answer.content_type or start.startswith(("<!doctype", "<html"))
    )


def said(answer: Response) -> str:
    """An answer in a line: the plain values of a JSON object, its reasons first, the title of a page, else the beginning of its text."""
    if isinstance(answer.body, Mapping):
        plain = {k: v for k, v in answer.body.items() if isinstance(v, (str, int, float, bool))}
        told = sorted(
            (k for k in plain if k.lower() not in _MOMENTS), key=lambda k: k.lower() not in _REASONS
        )
        return (
            ", ".join(f"{k} {' '.join(str(plain[k]).split())}" for k in told)[:200]
            or ", ".join(map(str, answer.body))[:200]
        )
    title = _HEADLINE.search(answer.text) if is_html(answer) else None
    text = title[1] if title else answer.text
    return " ".join(text.split())[:200] or "nothing"


def follows(dependency: str, reason: str) -> str:
    """The procedure that looks further into a failed dependency."""
    for pattern, procedure, by_reason in _FOLLOWS:
        if pattern.search(reason if by_reason else dependency):
            return procedure
    return "logs/search"


def dependencies(body: Any) -> Iterator[dict[str, Any]]:
    """Rows `dependency, status (ok, skipped, degraded, failed, unclear), latency_ms, reason` of a health answer."""
    if not isinstance(body, Mapping):
        return
    held = next(
        (body[key] for key in _CONTAINERS if isinstance(body.get(key), (Mapping, list))), None
    )
    if isinstance(held, list):
        named = {
            str(item.get("name", item.get("component", i))): item for i, item in enumerate(held)
        }
    elif held is not None:
        named = dict(held)
    else:
        named = {
            k: v
            for k, v in body.items()
            if k.lower() not in _ABOUT and isinstance(v, (Mapping, str, bool))
        }
    for name, value in named.items():
        yield _row(name, value)


def _row(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        status = _status(value)
        reason = "" if str(value).lower() in _STATUS else str(value)
        return {"dependency": name, "status": status, "latency_ms": None, "reason": reason}
    said = next(
        (value[key] for key in ("status", "state", "healthy", "ok", "result") if key in value), None
    )
    reason = next((str(value[key]) for key in _REASONS if value.get(key)), "")
    return {
        "dependency": name,
        "status": _status(said),
        "latency_ms": _latency(value),
        "reason": reason,
    }


def _status(said: Any) -> str:
    text = str(said).strip().lower().replace(" ", "_").replace("-", "_")
    if text in _STATUS:
        return _STATUS[text]
    first = re.split(r"[:_(]", text, maxsplit=1)[0]  # "error: connection refused"
    return _STATUS[first] if _STATUS.get(first) in ("failed", "degraded", "skipped") else "unclear"


def _latency(value: Mapping[str, Any]) -> float | None:
    """Milliseconds from `latency_ms`, `duration_ms`, `response_time_ms`, or `…_seconds`; None when not told with a unit."""
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        if re.fullmatch(r"(latency|duration|response_time|elapsed|time)_?ms", key):
            return float(number)
        if re.fullmatch(r"(latency|duration|response_time|elapsed)_?(s|seconds)", key):
            return float(number) * 1000
    return None
