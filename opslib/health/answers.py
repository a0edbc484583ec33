"""What health endpoints answer, in whatever shape: flat, nested, a list.

In the words of many frameworks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opslib.core import Json, Sign, sign_of
from opslib.core.connections.http import Response
from opslib.core.text import cut

_WORDS = {
    "ok": "ok healthy up pass passed passing success connected reachable available alive active "
    "green true",
    "skipped": "skipped skip disabled not_configured not_applicable n/a none not_checked",
    "degraded": "degraded warn warning slow yellow partial",
    "failed": "failed fail failing error unhealthy down unreachable unavailable timeout timed_out "
    "denied missing disconnected critical red false",
}
_STATUS = {word: status for status, words in _WORDS.items() for word in words.split()}
_CONTAINERS = ("checks", "dependencies", "components", "services", "details", "results")
# What an answer says of itself, beside its dependencies.
_ABOUT = (
    "status overall overall_status healthy message detail error version environment env stage "
    "region service name app application build commit git_sha sha branch timestamp time checked_at "
    "started_at deployed_at request_id requestid hostname host"
)
_MOMENTS = {"timestamp", "time", "checked_at"}  # when it was asked, which one knows
_REASONS = ("reason", "error", "message", "detail", "details", "output")
_LATENCY = re.compile(r"time_?ms|(?:latency|duration|response_time|elapsed)_?(ms|s|seconds)")
_HEADLINE = re.compile(r"<(?:title|h1)[^>]*>\s*([^<]+)", re.IGNORECASE)

# What a failed dependency leads to, by its reason or else by its name.
# A silent one is looked for in the network first: that is what it mostly is.
_SILENT = Sign(
    "silent", r"time.?out|timed out|unreachable|endpoint|resolve|refused", next="network/endpoints"
)
_DEPENDENCIES = (
    Sign("storage", r"s3|bucket|storage|image", next="buckets/create"),
    Sign("database", r"database|postgres|\bdb\b|rds|aurora|sql", next="databases/health"),
    Sign("queue", r"sqs|queue", next="queues/dead-letters"),
    Sign("service", r"cognito|auth|user|secret|bedrock", next="network/endpoints"),
    Sign("other", "", next="logs/search"),
)


def is_html(answer: Response) -> bool:
    start = answer.text.lstrip()[:15].lower()
    return answer.body is None and (
        "html" in answer.content_type or start.startswith(("<!doctype", "<html"))
    )


def in_a_line(answer: Response) -> str:
    """The plain values of a JSON object, its reasons first; the title of a page.

    Else the beginning of its text.
    """
    text, body = answer.text, answer.body
    if isinstance(body, Mapping):
        plain = [key for key, value in body.items() if isinstance(value, (str, int, float))]
        told = sorted(plain, key=lambda key: key.lower() not in _REASONS)
        text = ", ".join(f"{key} {body[key]}" for key in told if key.lower() not in _MOMENTS)
        text = text or ", ".join(map(str, body))
    elif is_html(answer) and (title := _HEADLINE.search(text)):
        text = title[1]
    return cut(" ".join(text.split()), 200) or "nothing"


def follows(dependency: str, reason: str) -> str:
    """The procedure that looks further into a failed dependency."""
    return (_SILENT if _SILENT.fits(reason) else sign_of(_DEPENDENCIES, dependency)).next


def dependencies(body: Any) -> Iterator[Json]:
    """Rows `dependency, status, latency_ms, reason` of a health answer.

    A status is ok, skipped, degraded, failed or unclear.
    """
    if not isinstance(body, Mapping):
        return
    held = next((body[k] for k in _CONTAINERS if isinstance(body.get(k), (Mapping, list))), None)
    if isinstance(held, list):
        held = {item.get("name", item.get("component", i)): item for i, item in enumerate(held)}
    elif held is None:
        others = ((k, v) for k, v in body.items() if k.lower() not in _ABOUT.split())
        held = {k: v for k, v in others if isinstance(v, (Mapping, str, bool))}
    for name, value in held.items():
        yield _row(str(name), value)


def _row(name: str, value: Any) -> Json:
    told, reason, latency = value, "", None
    if isinstance(value, Mapping):
        keys = ("status", "state", "healthy", "ok", "result")
        told = next((value[key] for key in keys if key in value), None)
        reason = next((str(value[key]) for key in _REASONS if value.get(key)), "")
        latency = _latency(value)
    elif str(value).lower() not in _STATUS:
        reason = str(value)
    status = _status(told)
    return {"dependency": name, "status": status, "latency_ms": latency, "reason": reason}


def _status(said: Any) -> str:
    text = str(said).strip().lower().replace(" ", "_").replace("-", "_")
    if text in _STATUS:
        return _STATUS[text]
    first = re.split(r"[:_(]", text, maxsplit=1)[0]  # "error: connection refused"
    return _STATUS[first] if _STATUS.get(first) in ("failed", "degraded", "skipped") else "unclear"


def _latency(value: Mapping[str, Any]) -> float | None:
    """Milliseconds from `latency_ms`, `duration_ms`, `response_time_ms`, or `…_seconds`.

    None when not told with a unit.
    """
    for key, number in value.items():
        told = _LATENCY.fullmatch(key)
        if told and type(number) in (int, float):
            return float(number) * (1000 if told[1] in ("s", "seconds") else 1)
    return None
