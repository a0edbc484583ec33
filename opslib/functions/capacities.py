"""What a function may use: memory, and with it CPU; time; and how many of it may run at once.

Changed as one plan.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from inspect import unwrap

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Function,
    Json,
    Planned,
    Plotted,
    Question,
    Read,
    Refused,
    Step,
    UsageError,
    Window,
    check,
    count,
    functions,
    logs,
    planner,
    tried,
    window,
)
from opslib.functions import invocations
from opslib.functions.configurations import SETTINGS, UPDATE, Release, Setting
from opslib.functions.invocations import NONE, UNRESERVED

GATEWAY_SECONDS = 29  # how long API Gateway waits for a function, at least
GATEWAY_NOTE = (
    "Who calls through API Gateway is answered after 29 s (REST; AWS can raise that quota) or 30 s "
    "(HTTP API; fixed), whatever the function's own time-out: Lambda allows up to 900 s."
)
_FULL = 90.0  # per cent of the memory: a larger request does not fit
_STEADILY = 0.8  # of the steps of a day go up: with as much again it is full tomorrow
_CPU_MB = 1769  # MB at which a function has one whole virtual CPU (AWS)


@check("Is there room for what runs?")
def check_capacity(ops: Connection, function: str) -> Findings:
    """Memory that requests used in the last 24 hours; executions at once and throttles of the last.

    These are drawn over all 24.
    """
    known, day, hour = Function(ops, function), window(ops, 1440), window(ops, 60)
    points, account, reserved = ops.gather(
        partial(functions.read_points, ops, [function], day),
        partial(tried, partial(invocations.account, ops)),
        partial(tried, known.reserved),
    )
    use = invocations.used(function, points[points["time"] >= hour.start], reserved, hour)
    found = [*unwrap(check_memory)(ops, function), invocations.judge(use, account, hour)]
    panels = invocations.panels(points, day, [use], ("ConcurrentExecutions", "Throttles"))
    return Plotted(found, None, invocations.account_note(account), panels, day)


@check("Is their memory enough?")
def check_memory(ops: Connection, function: str = logs.ALL) -> Findings:
    """What requests of the last 24 hours used, and whether it grows until it is full."""
    read = partial(_memory, ops, window(ops, 1440))
    return Findings(ops.each(read, functions.named(ops, function), "memory of {}").values())


def _memory(ops: Connection, within: Window, function: str) -> Finding:
    rule = f"at most {_FULL:g} % used, not growing into it"
    asked = Question(f"memory of {function}", rule, "Logs Insights, REPORT lines")
    size = int(Function(ops, function).live()["MemorySize"])
    text = 'filter @type = "REPORT" | stats count(*) as requests, '
    text += "max(@maxMemoryUsed) / 1000000 as used_mb by bin(2h) as at | sort at asc"
    found = logs.query(ops, function, text, within)
    if found.empty or not (requests := int(found["requests"].sum())):
        return asked.ok(f"{size:,} MB; no request ended, {within}")
    each = found["used_mb"]
    used, grown = each.max(), each.iloc[-1] - each.iloc[0]
    percent = 100 * used / size
    seen = f"{size:,} MB, {size / _CPU_MB:.2g} CPU; {count(requests, 'request')} used at most "
    seen += f"{used:,.0f} MB ({percent:.0f} %)"
    creeps = used + grown > size and (each.diff()[1:] > 0).mean() >= _STEADILY
    seen += f": {grown:,.0f} MB more than a day ago, ever more: something is kept" * bool(creeps)
    return asked.judged(
        percent <= _FULL and not creeps, seen, otherwise="warn", next="functions/scale"
    )


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
    both = zip(SETTINGS, (memory_mb, timeout_seconds), strict=True)
    asked = {setting: value for setting, value in both if value}
    parts = [_set(known, asked)] if asked else []
    if reserved.strip():
        parts.append(_reserve(known, wanted, even_below_use))
    summary = ", ".join(part.summary for part in parts if part.summary)
    return Planned(
        f"{known.name}: {summary or 'as it is'}",
        [step for part in parts for step in part.steps],
        [note for part in parts for note in part.notes]
        or ["Choose what to change: memory_mb, timeout_seconds, reserved."],
    )


def steps_stopped(ops: Connection, function: str) -> Iterable[Step]:
    """Every invocation is turned away; undo brings the reservation of before back."""
    return _reserve(Function(ops, function), 0, True).steps


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


def _set(function: Function, asked: dict[Setting, int]) -> Planned:
    release = Release.begin(function)
    settings = {of.name: value for of, value in asked.items()}
    said = ", ".join(of.told(value) for of, value in asked.items())
    path = f"{{{', '.join(f'{key}: {key}' for key in settings)}}}"
    latest, live = (
        {key: config[key] for key in settings} for config in (release.latest, release.live)
    )
    steps = release.steps(
        f"{' and '.join(of.title for of in asked)} of {release.name}",
        release.call(UPDATE, **settings, RevisionId=release.latest["RevisionId"]),
        release.call(UPDATE, **latest),
        tuple(settings),
        path,
        latest,
        live,
        settings,
    )
    if not steps:
        return Planned("", notes=[f"{release.name} has that already: {said}."])
    return Planned(said, steps, _notes(function, live, asked))


def _notes(function: Function, served: Json, asked: dict[Setting, int]) -> Iterator[str]:
    """What it costs, what else limits it, and what remains to be written down so that it stays."""
    memory, time_out = (asked.get(setting, 0) for setting in SETTINGS)
    if memory:
        yield (
            "Lambda bills memory x duration: a request that takes as long costs "
            f"{memory / served['MemorySize']:.2g} times as much. It gets {memory / _CPU_MB:.2g} "
            f"CPU instead of {served['MemorySize'] / _CPU_MB:.2g}."
        )
    if time_out >= GATEWAY_SECONDS and "api" in function.ops.target.facts:
        yield GATEWAY_NOTE
    described = {of: function.facts.get(of.key, value) for of, value in asked.items()}
    if described != asked:
        yield (
            f"The target's file says {', '.join(of.told(described[of]) for of in asked)}: change "
            "it there and in Terraform, or the next deployment takes this back, and "
            "functions/configuration calls it drift until then."
        )


def _reserve(function: Function, wanted: int | None, even_below_use: bool) -> Planned:
    name, present = function.name, function.reserved()
    if wanted == present:
        has = "no reservation" if wanted is None else f"{wanted} reserved"
        return Planned("", notes=[f"{name} has {has} already."])
    account = invocations.account(function.ops)
    # when this function reserved nothing
    pool = account["UnreservedConcurrentExecutions"] + (present or 0)
    note = _room(function, wanted, pool, even_below_use)
    left = f"The account's other functions then share {pool - (wanted or 0):,} of "
    left += f"{account['ConcurrentExecutions']:,}."
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
    points = functions.read_points(function.ops, [function.key], hour)
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
