"""Troubles of a system as its logs tell them.

Sorted by kind, with who they concern and what follows from each.
"""

from datetime import timedelta
from functools import partial

from opslib import services
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Line,
    OpsError,
    Panel,
    Plotted,
    Question,
    Sign,
    Window,
    check,
    clock,
    count,
    dtypes,
    frame,
    window,
)
from opslib.core.reads import functions, log_lines, logs, versions
from opslib.core.reads.concerns import concerns
from opslib.logs import judged
from opslib.logs.kinds import ANSWERS, BY_VERSIONS, KINDS, OTHER, VALIDATION, kind_of

KINDS_FOUND = dtypes("""
    kind         str
    lines        int64
    now_per_hour int64
    since        utc
    last         utc
    example      str
""")
PATTERNS = {"kind": "str", **log_lines.PATTERNS}
MALFORMED = "malformed-requests"  # the cause that findings name
RECENT = timedelta(minutes=15)  # what counts as still going on
_SOURCE = "FilterLogEvents"
OF_SERVICES = {  # what does for a service what that does for a function
    "functions/latency": "services/latency",
    "functions/rollback": "services/rollback",
    "functions/scale": "services/size",
}


@check("What kinds of trouble are logged?")
def check_kinds(
    ops: Connection, function: str = logs.ALL, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """Lines of trouble by kind, a finding each; their share, and what Lambda counts beside them.

    Evidence: KINDS_FOUND. Up to `logs.errors_per_hour` of a kind in any hour are an ordinary day.
    """
    within, most = window(ops, minutes, since, until), logs.tolerated(ops)
    lines, (served, beside) = ops.gather(
        partial(judged.read_lines, ops, function, within), partial(_served, ops, function, within)
    )
    events = _by_kind(lines)
    told = f"{beside}, {within}, {count(len(lines.attrs['groups']), 'log group')}"
    kinds = {sign: events[events["kind"] == sign.name] for sign in KINDS}
    rows, found = [], [*judged.not_read(ops, lines, within)]
    for sign, of in kinds.items():
        if len(of):
            rows.append(_row(sign, of, within))
            found.append(_judged(ops, sign, rows[-1], of, most, within))
    if not rows:
        asked = Question("trouble logged", f"at most {most} of a kind in an hour", _SOURCE)
        found.append(asked.ok(f"no line of trouble {told}"))
    if lines.attrs["cut"]:
        asked = Question("all lines were read", f"at most {logs.LIMIT:,} a group", _SOURCE)
        seen = f"more than {logs.LIMIT:,} lines in a log group: only its newest are counted, "
        seen += "so `since` is too late and all counts too low"
        found.append(asked.warn(seen, next="logs/query"))
    whole = judged.of_the_whole(ops, lines, within, "logs/search")
    found += [finding for finding in whole if finding.status != "ok"]
    found += _silent(served, len(events), most)
    unclear = judged.told_of_unclear(lines)
    note = f"{count(len(events), 'line')} of trouble {told}.{f' {unclear}.' if unclear else ''}"
    panels = _panels(kinds, served, within)
    return Plotted(found, frame(rows, KINDS_FOUND), note, panels, within)


def _silent(served: Frame, lines: int, most: int) -> list[Finding]:
    """Errors that Lambda counts, and no line tells of."""
    errors = int(served.loc[served["metric"] == "Errors", "value"].sum())
    if errors <= most or 2 * lines >= errors:
        return []
    asked = Question("errors without a line", "errors that Lambda counts are logged", "Errors")
    seen = (
        f"Lambda counts {count(errors, 'error')}, the logs have {count(lines, 'line')} of trouble"
    )
    seen += ": the function does not write, or elsewhere; its versions and metrics may tell"
    return [asked.warn(seen, next="functions/health")]


def read_troubles(ops: Connection, function: str, within: Window) -> Frame:
    """The lines of trouble and the kind of each. Columns: `judged.LINES` and `kind`."""
    return _by_kind(judged.read_lines(ops, function, within))


def _by_kind(lines: Frame) -> Frame:
    found = judged.troubles(lines)
    found["kind"] = list(map(kind_of, found["message"]))
    return found


@check("What do the lines of trouble have in common?")
def show_patterns(
    ops: Connection,
    function: str = logs.ALL,
    minutes: float = 60,
    since: str = "",
    until: str = "",
    most: int = 15,
) -> Findings:
    """What the lines of trouble have in common, the most frequent first; it judges nothing.

    Evidence: PATTERNS, at most so many.
    """
    events = read_troubles(ops, function, window(ops, minutes, since, until))
    kinds = {kind: log_lines.group_errors(of) for kind, of in events.groupby("kind")}
    rows = [{"kind": kind, **row} for kind, of in kinds.items() for row in of.to_dict("records")]
    rows.sort(key=lambda row: -row["count"])
    note = f"{count(len(rows), 'pattern')}; at most {most} are shown."
    return Findings(evidence=frame(rows[:most], PATTERNS), note=note)


def _served(ops: Connection, function: str, within: Window) -> tuple[Frame, str]:
    """Invocations and Errors of the functions, as Lambda counts them, and what to say of that.

    Columns: `functions.POINTS`; empty when they could not be read: the lines are what is asked for.
    """
    try:
        names = functions.named(ops, function)
        if not names:
            return frame([], functions.POINTS), f"in {function}"
        found = functions.read_points(ops, names, within)
    except OpsError as exc:
        return frame([], functions.POINTS), f"(invocations could not be counted: {exc})"
    invocations = found[found["metric"] == "Invocations"]["value"].sum()
    return found, f"beside {count(int(invocations), 'invocation')}"


def _row(sign: Sign, lines: Frame, within: Window) -> Json:
    times = lines["time"]
    recent = int((times >= within.end - RECENT).sum())
    return {
        "kind": sign.name,
        "lines": len(lines),
        "now_per_hour": recent * (timedelta(hours=1) // RECENT),
        "since": times.iloc[0].floor("s"),
        "last": times.iloc[-1].floor("s"),
        "example": log_lines.brief(lines["message"].iloc[-1]),
    }


def _judged(
    ops: Connection, sign: Sign, row: Json, lines: Frame, tolerated: int, within: Window
) -> Finding:
    begun = log_lines.burst(lines["time"], tolerated)
    asked = Question(
        f"trouble of kind {sign.name}", f"at most {tolerated} lines in an hour", _SOURCE, begun
    )
    sources, most = sorted(set(lines["source"])), log_lines.most_in_an_hour(lines["time"])
    going, refused = row["now_per_hour"], sign.name == VALIDATION
    last = f"the last at {clock(row['last'], within.end)}"
    seen = f"{count(len(lines), 'line')} in {', '.join(sources)} "
    seen += f"since {clock(row['since'], within.end)}, at most {most} in an hour; "
    seen += f"still, {going} an hour now" if going else last
    if most <= tolerated:
        return asked.ok(seen, cause=MALFORMED if refused else "")
    said = concerns(lines)
    whom = ", ".join(map(str, said))
    seen += f". Concerns {whom}. " if whom else ". No client and no route stands out. "
    if refused and any(concern.is_client for concern in said):
        seen += "One client, so no deployment brought it: "
        seen += "tell them what is refused (the example says it)"
        return asked.warn(seen, cause=MALFORMED, next="logs/search")
    status = "critical" if going and not refused else "warn"
    if sign.name in BY_VERSIONS and (found := _version(ops, sources, within)):
        name, version = found
        follows = ops.entry("functions/rollback", function=name)
        return asked.answer(status, seen + version, next=follows)
    own = [name for name in sources if name in ops.target.at("services")]
    seen += _of_one_task(ops, own, lines) if own == sources else ""
    if sign.name in (*BY_VERSIONS, ANSWERS) and (began := _deployed(ops, own, lines, within)):
        return asked.answer(status, seen + began, next="services/rollback")
    seen += f"{sign.means[:1].upper()}{sign.means[1:]}: {sign.advice}"
    follows = "logs/search" if sign.name == OTHER else sign.next
    if own == sources:
        follows = OF_SERVICES.get(follows, follows)
    chapter = follows.partition("/")[0]
    needs = {"databases": "database"}.get(chapter, chapter)
    if needs in ("database", "functions", "secrets") and needs not in ops.target.facts:
        follows = "health/deep"
    if follows == "health/deep" and "deep" not in ops.target.at("api"):
        follows = "services/health" if own == sources else "logs/search"
    return asked.answer(status, seen, next=follows)


def _version(ops: Connection, names: list[str], within: Window) -> tuple[str, str] | None:
    """The function whose live version fails more often than the one before it in the last day, and
    that in words.
    """
    day = Window(min(within.start, within.end - timedelta(days=1)), within.end)
    for name in filter(ops.target.at("functions").__contains__, names):
        _, now, before = versions.live_and_before(ops, name, day)
        if now and before and now.errors_per_100 > versions.most_errors(before):
            return name, (
                f"Version {now.version} of {name}, live since {clock(now.first, within.end)}, has "
                f"{now.errors_per_100:g} in 100 requests, version {before.version} had "
                f"{before.errors_per_100:g}: see whether it brought them"
            )
    return None


_OF_A_TASK = 20  # lines; fewer may come from one by chance


def _deployed(ops: Connection, names: list[str], lines: Frame, within: Window) -> str:
    """The deployment of a service with which its lines began, in words."""
    for name in names:
        times = lines.loc[lines["source"] == name, "time"]
        if began := services.began_with(ops, name, times, within):
            return f"They began with {began} of {name}: none before it. See whether it brought them"
    return ""


def _of_one_task(ops: Connection, names: list[str], lines: Frame) -> str:
    """The one of several tasks that nearly all lines come from, in words."""
    tasks = max(ops.target["services"][name].get("tasks", 1) for name in names)
    (stream, times), *_ = lines["stream"].value_counts().items()
    if tasks < 2 or len(lines) < _OF_A_TASK or times < 0.9 * len(lines):
        return ""
    task = stream.rpartition("/")[2]
    return f"Nearly all come from one task, {task}: stop that one, and ECS starts another. "


def _panels(kinds: dict[Sign, Frame], served: Frame, within: Window) -> list[Panel]:
    """Lines of each kind, and beside them the errors that Lambda counts.

    A refused request is a line and no error.
    """
    step = functions.period(within) // 60
    lines = []
    for sign, of in kinds.items():
        if len(of):
            lines.append(Line(sign.name, of.resample(f"{step}min", on="time").size()))
    errors = served[served["metric"] == "Errors"].groupby("time")["value"].sum()
    width = step if len(lines) == 1 else 0
    told = Panel(f"Lines of trouble per {step} min, by kind", "lines", lines, bar_minutes=width)
    if served.empty:
        return [told]
    return [
        told,
        Panel(f"Errors that Lambda counts per {step} min", "count", [Line("Errors", errors)]),
    ]
