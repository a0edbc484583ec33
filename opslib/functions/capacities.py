"""What a function may use: memory, and with it CPU; time; and how many of it may run at once.

Changed as one plan.
"""

from __future__ import annotations

from functools import partial

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    OpsError,
    Planned,
    Plotted,
    Question,
    Read,
    Refused,
    Step,
    UsageError,
    Window,
    answer,
    check,
    count,
    planner,
    window,
)
from opslib.core.reads import logs, metrics
from opslib.core.reads.functions import Function, read_points
from opslib.functions import invocations, throttling
from opslib.functions.releases import Release
from opslib.functions.throttling import NONE, UNRESERVED

LEAST_MB, MOST_MB, MOST_SECONDS = 128, 10_240, 900  # of Lambda
GATEWAY_SECONDS = 29, 30  # how long API Gateway waits for a function: REST APIs, HTTP APIs
_TITLES = {"MemorySize": "Memory", "Timeout": "Time-out"}
_LIMITS = {"MemorySize": "{:,} MB of memory", "Timeout": "{} s at most"}
_FULL = 90.0  # per cent of the memory: a larger request does not fit
_CPU_MB = 1769  # MB at which a function has one whole virtual CPU (AWS)
_PRICE = 0.0000166667  # US$ for a GB-second: x86, us-east-1, first tier


@check("Is there room for what runs?")
def check_capacity(ops: Connection, function: str) -> Findings:
    """Memory that requests used in the last 24 hours; executions at once and throttles of the last.

    These are drawn over all 24.
    """
    known, day, hour = Function(ops, function), window(ops, 1440), window(ops, 60)
    account = throttling.account(ops)
    points, reserved = ops.gather(
        partial(read_points, ops, [function], day), partial(invocations.tried, known.reserved)
    )
    use = invocations.used(function, points[points["time"] >= hour.start], reserved, hour)
    asked = Question(
        f"memory of {function}", f"at most {_FULL:g} % used", "Logs Insights, REPORT lines"
    )
    found = [
        answer(asked.words, partial(_memory, known, day, asked)),
        throttling.judge(use, account, hour),
    ]
    panels = invocations.panels(points, day, [use], ("ConcurrentExecutions", "Throttles"))
    return Plotted(found, None, throttling.account_note(account), panels, day)


def _memory(function: Function, within: Window, asked: Question) -> Finding:
    size = int(function.live()["MemorySize"])
    text = 'filter @type = "REPORT" | stats count(*) as requests, '
    text += "max(@maxMemoryUsed) / 1000000 as used_mb"
    found = logs.query(function.ops, function.key, text, within)
    requests = int(found["requests"].sum()) if len(found) else 0
    if not requests:
        return asked.answer("ok", f"{size:,} MB; no request ended, {within}")
    used = found["used_mb"].iloc[0]
    percent = 100 * used / size
    seen = f"{size:,} MB, {size / _CPU_MB:.2g} CPU; {count(requests, 'request')} used at most "
    seen += f"{used:,.0f} MB ({percent:.0f} %)"
    return asked.judged(percent <= _FULL, seen, otherwise="warn")


@planner
def plan_capacity(
    ops: Connection,
    function: str,
    memory_mb: int = 0,
    timeout_seconds: int = 0,
    reserved: str = "",
    even_below_use: bool = False,
) -> Planned:
    """Set memory, time-out, reserved concurrency.

    0 or an empty text: as it is; reserved `none`: no reservation. Raises UsageError (no such
    value), Refused (unreleased code in $LATEST; too few left unreserved in the account; fewer than
    run at once now, or 0, unless `even_below_use`).
    """
    known, wanted = Function(ops, function), _wanted(reserved)
    settings = _settings(memory_mb, timeout_seconds)
    parts = [_set(known, settings)] if settings else []
    if reserved.strip():
        parts.append(_reserve(known, wanted, even_below_use))
    summary = ", ".join(part.summary for part in parts if part.summary)
    notes = [note for part in parts for note in part.notes]
    return Planned(
        f"{known.name}: {summary or 'as it is'}",
        [step for part in parts for step in part.steps],
        notes or ["Choose what to change: memory_mb, timeout_seconds, reserved."],
    )


def _settings(memory_mb: int, timeout_seconds: int) -> dict[str, int]:
    """What is asked for, by Lambda's names."""
    for name, value, least, most in (
        ("memory_mb", memory_mb, LEAST_MB, MOST_MB),
        ("timeout_seconds", timeout_seconds, 1, MOST_SECONDS),
    ):
        if value and not least <= value <= most:
            raise UsageError(
                f"{name}={value}: a Lambda function has {least} to {most:,}, or 0: as it is."
            )
    asked = {"MemorySize": memory_mb, "Timeout": timeout_seconds}
    return {key: value for key, value in asked.items() if value}


def _in_words(settings: dict[str, int]) -> str:
    return ", ".join(_LIMITS[key].format(value) for key, value in settings.items())


def _wanted(reserved: str) -> int | None:
    text = reserved.strip().lower()
    if text in ("", NONE):
        return None
    if not text.isdecimal():
        raise UsageError(
            f"reserved={reserved!r} is neither a number, nor {NONE!r} (no reservation), "
            "nor empty: as it is."
        )
    return int(text)


def _set(function: Function, settings: dict[str, int]) -> Planned:
    release = Release.begin(function)
    steps: list[Step] = []
    path = f"{{{', '.join(f'{key}: {key}' for key in settings)}}}"
    before, served = (
        {key: config[key] for key in settings} for config in (release.latest, release.live)
    )
    if before != settings:
        change = partial(Aws, "lambda", "update_function_configuration", FunctionName=release.name)
        steps += release.change(
            f"{' and '.join(_TITLES[key] for key in settings)} of {release.name}",
            change(**settings, RevisionId=release.latest["RevisionId"]),
            change(**before),
            before,
            settings,
            path,
        )
    if served != settings:
        steps += release.publish(tuple(settings), served, settings, path)
    if not steps:
        return Planned("", notes=[f"{release.name} has that already: {_in_words(settings)}."])
    return Planned(_in_words(settings), steps, _notes(function, served, settings))


def _notes(function: Function, served: dict[str, int], settings: dict[str, int]) -> list[str]:
    """What it costs, what else limits it, and what remains to be written down so that it stays."""
    notes = []
    if "MemorySize" in settings:
        notes.append(_cost(function, served["MemorySize"], settings["MemorySize"]))
    if settings.get("Timeout", 0) >= GATEWAY_SECONDS[0] and "api" in function.ops.target.facts:
        notes.append(gateway_note())
    keys = {"MemorySize": "memory_mb", "Timeout": "timeout_seconds"}
    described = {key: function.facts.get(keys[key]) for key in settings}
    differing = {
        key: value for key, value in described.items() if value not in (None, settings[key])
    }
    if differing:
        notes.append(
            f"The target's file says {_in_words(differing)}: change it there and in "
            "Terraform, or the next deployment takes this back, and functions/configuration calls "
            "it drift until then."
        )
    return notes


def gateway_note() -> str:
    """What limits a function that is called through API Gateway, whatever its own time-out."""
    rest, http = GATEWAY_SECONDS
    return (
        f"Who calls through API Gateway is answered after {rest} s "
        f"(REST; AWS can raise that quota) or {http} s (HTTP API; fixed), "
        f"whatever the function's own time-out: Lambda allows up to {MOST_SECONDS} s."
    )


def _cost(function: Function, before: int, after: int) -> str:
    """What memory times duration is a day, now and then (Lambda bills that product)."""
    query = function.measured("sum", "Duration", "Sum", 3600)
    try:
        found = metrics.query(function.ops, [query], window(function.ops, 1440))
    except OpsError as exc:
        return f"What it costs could not be read: {exc}"
    now, then = (found["value"].sum() / 1000 * mb / 1024 for mb in (before, after))
    return (
        f"Memory x duration of the last 24 h: {now:,.0f} GB-s (about ${now * _PRICE:.2f} a day), "
        f"then {then:,.0f} GB-s (${then * _PRICE:.2f}) if requests take as long; with more memory "
        f"they get more CPU ({after / _CPU_MB:.2g} instead of {before / _CPU_MB:.2g}) and may take "
        "less. List price of x86 in us-east-1."
    )


def _reserve(function: Function, wanted: int | None, even_below_use: bool) -> Planned:
    name, present = function.name, function.reserved()
    if wanted == present:
        has = "no reservation" if wanted is None else f"{wanted} reserved"
        return Planned("", notes=[f"{name} has {has} already."])
    account = throttling.account(function.ops)
    if isinstance(account, OpsError):
        raise account
    pool = account["unreserved"] + (present or 0)  # when this function reserved nothing
    note = _room(function, wanted, pool, even_below_use)
    left = f"The account's other functions then share {pool - (wanted or 0):,} of "
    left += f"{account['limit']:,}."
    at = {"FunctionName": name}
    path = f"not_null(ReservedConcurrentExecutions, '{NONE}')"
    step = Step(
        f"Reserved concurrency of {name}",
        _reservation(at, wanted),
        NONE if present is None else present,
        NONE if wanted is None else wanted,
        undo=[_reservation(at, present)],
        observe=Read("lambda", "get_function_concurrency", path, **at),
    )
    summary = "no reservation" if wanted is None else f"at most {wanted} at once"
    return Planned(summary, [step], [note, left])


def _reservation(at: dict[str, str], wanted: int | None) -> Action:
    if wanted is None:
        return Aws("lambda", "delete_function_concurrency", **at)
    return Aws("lambda", "put_function_concurrency", **at, ReservedConcurrentExecutions=wanted)


def _room(function: Function, wanted: int | None, pool: int, even_below_use: bool) -> str:
    """What is known of the room that it gets.

    Raises Refused for what the account cannot give, and for what would turn present work away.
    """
    if wanted is None:
        return (
            "Without a reservation it shares what is left of the account, "
            "and has no cap of its own."
        )
    most = pool - UNRESERVED
    if wanted > most:
        raise Refused(
            f"{wanted:,} for {function.name} would leave {pool - wanted:,} of the account "
            f"unreserved; AWS keeps {UNRESERVED}. At most {max(0, most):,} can be reserved here. "
            "Nothing was changed; ask AWS for a higher limit, or reserve less."
        )
    hour = window(function.ops, 60)
    points = read_points(function.ops, [function.key], hour)
    use = invocations.used(function.key, points, None, hour)
    ran = f"ran up to {use.most_at_once} at once in the last hour"
    if wanted < max(1, use.most_at_once) and not even_below_use:
        what = "What is above is turned away"
        if wanted == 0:
            what = "That stops it: every invocation is turned away"
        raise Refused(
            f"{function.name} {ran}, and {wanted} is also a cap. {what}. "
            "Nothing was changed; if that is meant, say even_below_use=true."
        )
    more = f" and had {count(use.throttles, 'throttle')}: more was wanted" if use.throttles else ""
    return f"{wanted} is kept for it, and is also its cap; it {ran}{more}."
