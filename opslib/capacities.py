"""What a function may use: memory, and with it CPU; and how many of it may run at once. Seen, and changed as one plan."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opslib import _configurations, _releases, _throttling, invocations, logs, metrics
from opslib._actions import Action, aws, read
from opslib._throttling import NONE, UNRESERVED, Use
from opslib._windows import Window, window
from opslib._wording import count
from opslib.errors import OpsError, Refused, UsageError
from opslib.findings import Finding, Findings, answer, check
from opslib.plans import Step, planner

if TYPE_CHECKING:
    from opslib.connections import Connection

LEAST_MB, MOST_MB = 128, 10_240
_FULL = 90.0  # per cent of the memory: a larger request does not fit
_CPU_MB = 1769  # MB at which a function has one whole virtual CPU (AWS)
_PRICE = 0.0000166667  # US$ for a GB-second: x86, us-east-1, first tier


@check("Is there room for what runs?")
def check_capacity(ops: Connection, function: str, hours: float = 24) -> Findings:
    """Memory that requests used, executions at once, throttles: over the last hours."""
    within = window(ops, 60 * hours)
    account = _throttling.account(ops)
    return Findings(
        [
            answer(f"memory of {function}", partial(_memory, ops, function, within)),
            answer(f"throttles of {function}", lambda: _throttling.judge(_use(ops, function, within), account, within)),
        ],
        note=f"{within}. {_throttling.account_note(account)}",
    )


def _use(ops: Connection, function: str, within: Window) -> Use:
    points = invocations.read(ops, [function], within)
    return invocations.used(function, points, _throttling.reserved(ops, function), within)


def _memory(ops: Connection, function: str, within: Window) -> Finding:
    size = int(_configurations.live(ops, function)["MemorySize"])
    text = 'filter @type = "REPORT" | stats count(*) as requests, max(@maxMemoryUsed) / 1000000 as used_mb'
    found = logs.query(ops, function, text, within)
    question, rule, source = f"memory of {function}", f"at most {_FULL:g} % used", "Logs Insights, REPORT lines"
    if found.empty or not found["requests"].iloc[0]:
        return Finding("ok", question, f"{size:,} MB; no request ended, {within}", rule, source)
    used = float(found["used_mb"].iloc[0])
    seen = f"{size:,} MB, {size / _CPU_MB:.2g} CPU; {count(int(found['requests'].iloc[0]), 'request')} used at most "
    seen += f"{used:,.0f} MB ({100 * used / size:.0f} %)"
    return Finding("warn" if 100 * used / size > _FULL else "ok", question, seen, rule, source)


@planner
def plan_capacity(
    ops: Connection, function: str, memory_mb: int = 0, reserved: str = "", even_below_use: bool = False
) -> tuple[str, list[Step], list[str]]:
    """Set memory (0: as it is) and reserved concurrency (a number; `none`: no reservation; empty: as it is).

    Raises UsageError (no such value), Refused (unreleased code in $LATEST; too few left unreserved in the account; fewer
    than run at once now, or 0, unless `even_below_use`).
    """
    wanted = _wanted(reserved)
    if memory_mb and not LEAST_MB <= memory_mb <= MOST_MB:
        raise UsageError(f"memory_mb={memory_mb}: a Lambda function has {LEAST_MB} to {MOST_MB:,} MB, or 0: as it is.")
    name = ops.target["functions"][function]["name"]
    memory, said = _memory_steps(ops, function, memory_mb) if memory_mb else ([], [])
    room, told = _reserve_steps(ops, function, wanted, even_below_use) if reserved.strip() else ([], [])
    parts = [f"{memory_mb:,} MB of memory"] if memory else []
    parts += [f"at most {wanted} at once" if wanted is not None else "no reservation"] if room else []
    nothing = [] if memory or room else ["Nothing that differs was asked for: choose memory_mb, reserved, or both."]
    return f"{name}: {', '.join(parts) or 'as it is'}", [*memory, *room], [*said, *told, *nothing]


def _wanted(reserved: str) -> int | None:
    text = reserved.strip().lower()
    if text in ("", NONE):
        return None
    if not text.isdecimal():
        raise UsageError(
            f"reserved={reserved!r} is neither a number, nor {NONE!r} (no reservation), nor empty: as it is."
        )
    return int(text)


def _memory_steps(ops: Connection, function: str, memory_mb: int) -> tuple[list[Step], list[str]]:
    name, alias = ops.target["functions"][function]["name"], _releases.find_alias(ops, function)
    live, latest = _releases.both(ops, function, alias)
    _releases.refuse(name, alias, live, latest)
    at, steps = {"FunctionName": name}, []
    if latest["MemorySize"] != memory_mb:
        change = partial(aws, "lambda", "update_function_configuration", **at)
        steps = [
            Step(f"Memory of {name}", change(MemorySize=memory_mb, RevisionId=latest["RevisionId"]),
                 before=latest["MemorySize"], after=memory_mb,
                 undo=[change(MemorySize=latest["MemorySize"]), _releases.settled(name)],
                 observe=read("lambda", _releases.GET, "MemorySize", **at)),
            _releases.settle(name),
        ]  # fmt: skip
    if alias and live["MemorySize"] != memory_mb:
        moved = ("MemorySize", live["MemorySize"], memory_mb)
        steps += _releases.steps(name, alias, live, latest, moved, "MemorySize")
    notes = (
        [_cost(ops, function, live["MemorySize"], memory_mb)] if steps else [f"{name} has {memory_mb:,} MB already."]
    )
    return steps, [*notes, *_described(ops, function, memory_mb)]


def _described(ops: Connection, function: str, memory_mb: int) -> list[str]:
    """What remains to be written down, so that the change stays."""
    facts = ops.target["functions"][function]
    if facts.get("memory_mb", memory_mb) == memory_mb:
        return []
    return [
        f"The target's file says {facts['memory_mb']:,} MB: change it there and in Terraform, or the next deployment "
        "takes it back, and functions/configuration calls it drift until then."
    ]


def _cost(ops: Connection, function: str, before: int, after: int) -> str:
    """What memory times duration is a day, now and then (Lambda bills that product)."""
    within = window(ops, 1440)
    asked = {"Namespace": "AWS/Lambda", "MetricName": "Duration",
             "Dimensions": [{"Name": "FunctionName", "Value": ops.target["functions"][function]["name"]}]}  # fmt: skip
    query = {"Id": "sum", "Label": "sum", "MetricStat": {"Metric": asked, "Period": 3600, "Stat": "Sum"}}
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
    name, present = ops.target["functions"][function]["name"], _throttling.reserved(ops, function)
    if wanted == present:
        return [], [f"{name} has {'no reservation' if wanted is None else f'{wanted} reserved'} already."]
    account = _throttling.account(ops)
    if isinstance(account, OpsError):
        raise account
    pool = account["unreserved"] + (present or 0)  # when this function reserved nothing
    notes = _refuse(ops, function, wanted, pool, even_below_use)
    at = {"FunctionName": name}
    step = Step(
        f"Reserved concurrency of {name}", _reserve(at, wanted), before=_shown(present), after=_shown(wanted),
        undo=[_reserve(at, present)],
        observe=read("lambda", "get_function_concurrency", f"not_null(ReservedConcurrentExecutions, '{NONE}')", **at),
    )  # fmt: skip
    left = pool - (wanted or 0)
    return [step], [*notes, f"The account's other functions then share {left:,} of {account['limit']:,}."]


def _reserve(at: dict[str, str], wanted: int | None) -> Action:
    if wanted is None:
        return aws("lambda", "delete_function_concurrency", **at)
    return aws("lambda", "put_function_concurrency", **at, ReservedConcurrentExecutions=wanted)


def _shown(reserved: int | None) -> Any:
    return NONE if reserved is None else reserved


def _refuse(ops: Connection, function: str, wanted: int | None, pool: int, even_below_use: bool) -> list[str]:
    """Raises Refused for what the account cannot give, and for what would turn present work away; else says what is known."""
    if wanted is None:
        return ["Without a reservation it shares what is left of the account, and has no cap of its own."]
    name = ops.target["functions"][function]["name"]
    if wanted > pool - UNRESERVED:
        raise Refused(
            f"{wanted:,} for {name} would leave {pool - wanted:,} of the account unreserved; AWS keeps {UNRESERVED}. At most "
            f"{max(0, pool - UNRESERVED):,} can be reserved here. Nothing was changed; ask AWS for a higher limit, or reserve less."
        )
    use = _use(ops, function, window(ops, 60))
    if wanted < max(1, use.most_at_once) and not even_below_use:
        what = "That stops it: every invocation is turned away" if wanted == 0 else "What is above is turned away"
        raise Refused(
            f"{name} ran up to {use.most_at_once} at once in the last hour, and {wanted} is also a cap. {what}. "
            "Nothing was changed; if that is meant, say even_below_use=true."
        )
    cap = f"{wanted} is kept for it, and is also its cap; it ran up to {use.most_at_once} at once in the last hour"
    return [cap + (f" and had {count(use.throttles, 'throttle')}: more was wanted." if use.throttles else ".")]
