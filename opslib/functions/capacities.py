"""What a function may use: memory, and with it CPU; time; and how many of it may run at once. Changed as one plan."""

from __future__ import annotations

from functools import partial
from typing import Any

from opslib.core.checks.checks import answer, check
from opslib.core.checks.plots import Plotted
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Action, Aws, Read
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import functions, logs, metrics
from opslib.core.text import count
from opslib.core.times import Window, window
from opslib.functions import invocations, releases, throttling
from opslib.functions.throttling import NONE, UNRESERVED, Use

LEAST_MB, MOST_MB, MOST_SECONDS = 128, 10_240, 900  # of Lambda
GATEWAY_SECONDS = 29, 30  # how long API Gateway waits for a function: REST APIs, HTTP APIs
_TITLES = {"MemorySize": "Memory", "Timeout": "Time-out"}
_LIMITS = {"MemorySize": "{:,} MB of memory", "Timeout": "{} s at most"}
_FULL = 90.0  # per cent of the memory: a larger request does not fit
_CPU_MB = 1769  # MB at which a function has one whole virtual CPU (AWS)
_PRICE = 0.0000166667  # US$ for a GB-second: x86, us-east-1, first tier


@check("Is there room for what runs?")
def check_capacity(ops: Connection, function: str) -> Findings:
    """Memory that requests used in the last 24 hours; executions at once and throttles of the last one, drawn over all 24."""
    day, hour, account = window(ops, 1440), window(ops, 60), throttling.account(ops)
    points, reserved = ops.gather(
        partial(functions.read_points, ops, [function], day),
        partial(invocations.tried, partial(functions.reserved, ops, function)),
    )
    use = invocations.used(function, points[points["time"] >= hour.start], reserved, hour)
    found = [
        answer(f"memory of {function}", partial(_memory, ops, function, day)),
        throttling.judge(use, account, hour),
    ]
    panels = invocations.panels(points, day, [use], ("ConcurrentExecutions", "Throttles"))
    return Plotted(found, None, throttling.account_note(account), panels, day)


def _use(ops: Connection, function: str, within: Window) -> Use:
    points = functions.read_points(ops, [function], within)
    return invocations.used(function, points, functions.reserved(ops, function), within)


def _memory(ops: Connection, function: str, within: Window) -> Finding:
    size = int(functions.live(ops, function)["MemorySize"])
    text = 'filter @type = "REPORT" | stats count(*) as requests, max(@maxMemoryUsed) / 1000000 as used_mb'
    found = logs.query(ops, function, text, within)
    question, rule, source = (
        f"memory of {function}",
        f"at most {_FULL:g} % used",
        "Logs Insights, REPORT lines",
    )
    if found.empty or not found["requests"].iloc[0]:
        return Finding("ok", question, f"{size:,} MB; no request ended, {within}", rule, source)
    used = float(found["used_mb"].iloc[0])
    seen = f"{size:,} MB, {size / _CPU_MB:.2g} CPU; {count(int(found['requests'].iloc[0]), 'request')} used at most "
    seen += f"{used:,.0f} MB ({100 * used / size:.0f} %)"
    return Finding("warn" if 100 * used / size > _FULL else "ok", question, seen, rule, source)


@planner
def plan_capacity(
    ops: Connection,
    function: str,
    memory_mb: int = 0,
    timeout_seconds: int = 0,
    reserved: str = "",
    even_below_use: bool = False,
) -> Planned:
    """Set memory and time-out (0: as it is), reserved concurrency (a number; `none`: no reservation; empty: as it is).

    Raises UsageError (no such value), Refused (unreleased code in $LATEST; too few left unreserved in the account; fewer
    than run at once now, or 0, unless `even_below_use`).
    """
    wanted, name = _wanted(reserved), ops.target["functions"][function]["name"]
    settings = _settings(memory_mb, timeout_seconds)
    changed, said = _setting_steps(ops, function, settings) if settings else ([], [])
    room, told = (
        _reserve_steps(ops, function, wanted, even_below_use) if reserved.strip() else ([], [])
    )
    parts = [_LIMITS[key].format(value) for key, value in settings.items()] if changed else []
    parts += (
        [f"at most {wanted} at once" if wanted is not None else "no reservation"] if room else []
    )
    nothing = (
        []
        if settings or reserved.strip()
        else ["Choose what to change: memory_mb, timeout_seconds, reserved."]
    )
    return Planned(
        f"{name}: {', '.join(parts) or 'as it is'}", [*changed, *room], [*said, *told, *nothing]
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


def _wanted(reserved: str) -> int | None:
    text = reserved.strip().lower()
    if text in ("", NONE):
        return None
    if not text.isdecimal():
        raise UsageError(
            f"reserved={reserved!r} is neither a number, nor {NONE!r} (no reservation), nor empty: as it is."
        )
    return int(text)


def _setting_steps(
    ops: Connection, function: str, settings: dict[str, int]
) -> tuple[list[Step], list[str]]:
    name, alias = ops.target["functions"][function]["name"], functions.find_alias(ops, function)
    live, latest = releases.both(ops, function, alias)
    releases.refuse(name, alias, live, latest)
    at, steps, path = (
        {"FunctionName": name},
        [],
        f"{{{', '.join(f'{key}: {key}' for key in settings)}}}",
    )
    before, served = ({key: config[key] for key in settings} for config in (latest, live))
    if before != settings:
        change = partial(Aws, "lambda", "update_function_configuration", **at)
        steps = [
            Step(
                f"{' and '.join(_TITLES[key] for key in settings)} of {name}",
                change(**settings, RevisionId=latest["RevisionId"]),
                before=before,
                after=settings,
                undo=[change(**before), releases.settled(name)],
                observe=Read("lambda", releases.GET, path, **at),
            ),
            releases.settle(name),
        ]
    if alias and served != settings:
        steps += releases.steps(
            name, alias, live, latest, releases.Change(tuple(settings), served, settings), path
        )
    if not steps:
        return [], [
            f"{name} has that already: {', '.join(_LIMITS[key].format(v) for key, v in settings.items())}."
        ]
    return steps, _notes(ops, function, live, settings)


def _notes(
    ops: Connection, function: str, live: dict[str, Any], settings: dict[str, int]
) -> list[str]:
    """What it costs, what else limits it, and what remains to be written down so that it stays."""
    facts, notes = ops.target["functions"][function], []
    if "MemorySize" in settings:
        notes.append(_cost(ops, function, live["MemorySize"], settings["MemorySize"]))
    if settings.get("Timeout", 0) >= GATEWAY_SECONDS[0] and "api" in ops.target.facts:
        notes.append(gateway_note())
    described = {"MemorySize": facts.get("memory_mb"), "Timeout": facts.get("timeout_seconds")}
    differs = [
        _LIMITS[key].format(described[key])
        for key in settings
        if described[key] not in (None, settings[key])
    ]
    if differs:
        notes.append(
            f"The target's file says {', '.join(differs)}: change it there and in Terraform, or the next deployment takes "
            "this back, and functions/configuration calls it drift until then."
        )
    return notes


def gateway_note() -> str:
    """What limits a function that is called through API Gateway, whatever its own time-out."""
    rest, http = GATEWAY_SECONDS
    return (
        f"Who calls through API Gateway is answered after {rest} s (REST; AWS can raise that quota) or {http} s (HTTP API; fixed), "
        f"whatever the function's own time-out: Lambda allows up to {MOST_SECONDS} s."
    )


def _cost(ops: Connection, function: str, before: int, after: int) -> str:
    """What memory times duration is a day, now and then (Lambda bills that product)."""
    within = window(ops, 1440)
    of = {"FunctionName": ops.target["functions"][function]["name"]}
    query = metrics.asked("sum", "AWS/Lambda", "Duration", of, "Sum", 3600)
    try:
        seconds = float(metrics.query(ops, [query], within)["value"].sum()) / 1000
    except OpsError as exc:
        return f"What it costs could not be read: {exc}"
    now, then = (seconds * mb / 1024 for mb in (before, after))
    return (
        f"Memory x duration of the last 24 h: {now:,.0f} GB-s (about ${now * _PRICE:.2f} a day), then {then:,.0f} GB-s "
        f"(${then * _PRICE:.2f}) if requests take as long; with more memory they get more CPU ({after / _CPU_MB:.2g} instead "
        f"of {before / _CPU_MB:.2g}) and may take less. List price of x86 in us-east-1."
    )


def _reserve_steps(
    ops: Connection, function: str, wanted: int | None, even_below_use: bool
) -> tuple[list[Step], list[str]]:
    name, present = ops.target["functions"][function]["name"], functions.reserved(ops, function)
    if wanted == present:
        return [], [
            f"{name} has {'no reservation' if wanted is None else f'{wanted} reserved'} already."
        ]
    account = throttling.account(ops)
    if isinstance(account, OpsError):
        raise account
    pool = account["unreserved"] + (present or 0)  # when this function reserved nothing
    notes = _refuse(ops, function, wanted, pool, even_below_use)
    at = {"FunctionName": name}
    step = Step(
        f"Reserved concurrency of {name}",
        _reserve(at, wanted),
        before=_shown(present),
        after=_shown(wanted),
        undo=[_reserve(at, present)],
        observe=Read(
            "lambda",
            "get_function_concurrency",
            f"not_null(ReservedConcurrentExecutions, '{NONE}')",
            **at,
        ),
    )
    left = pool - (wanted or 0)
    return [step], [
        *notes,
        f"The account's other functions then share {left:,} of {account['limit']:,}.",
    ]


def _reserve(at: dict[str, str], wanted: int | None) -> Action:
    if wanted is None:
        return Aws("lambda", "delete_function_concurrency", **at)
    return Aws("lambda", "put_function_concurrency", **at, ReservedConcurrentExecutions=wanted)


def _shown(reserved: int | None) -> Any:
    return NONE if reserved is None else reserved


def _refuse(
    ops: Connection, function: str, wanted: int | None, pool: int, even_below_use: bool
) -> list[str]:
    """Raises Refused for what the account cannot give, and for what would turn present work away; else says what is known."""
    if wanted is None:
        return [
            "Without a reservation it shares what is left of the account, and has no cap of its own."
        ]
    name = ops.target["functions"][function]["name"]
    if wanted > pool - UNRESERVED:
        raise Refused(
            f"{wanted:,} for {name} would leave {pool - wanted:,} of the account unreserved; AWS keeps {UNRESERVED}. At most "
            f"{max(0, pool - UNRESERVED):,} can be reserved here. Nothing was changed; ask AWS for a higher limit, or reserve less."
        )
    use = _use(ops, function, window(ops, 60))
    if wanted < max(1, use.most_at_once) and not even_below_use:
        what = (
            "That stops it: every invocation is turned away"
            if wanted == 0
            else "What is above is turned away"
        )
        raise Refused(
            f"{name} ran up to {use.most_at_once} at once in the last hour, and {wanted} is also a cap. {what}. "
            "Nothing was changed; if that is meant, say even_below_use=true."
        )
    cap = f"{wanted} is kept for it, and is also its cap; it ran up to {use.most_at_once} at once in the last hour"
    return [
        cap
        + (
            f" and had {count(use.throttles, 'throttle')}: more was wanted."
            if use.throttles
            else "."
        )
    ]
