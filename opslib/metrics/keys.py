"""The target's key metrics against their thresholds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Plotted,
    Question,
    Window,
    beside,
    check,
    clock,
    dtypes,
    frame,
    metrics,
    number,
    window,
)
from opslib.core.reads.metrics import RECENT_MINUTES, Metric, panel, thresholds

SUMMARY = dtypes("""
    metric   str
    unit     str
    now      float64
    highest  float64
    lowest   float64
    worst_at utc
    warn     float64
    critical float64
    points   int64
""")


_LATE = timedelta(minutes=20)  # RECENT_MINUTES, and what CloudWatch itself is late


@check("Are the key metrics within their thresholds?")
def check_metrics(
    ops: Connection, keys: Sequence[str] | None = None, hours: float = 24
) -> Findings:
    """Each key metric of the target: now, and the worst of the window. Evidence: SUMMARY.

    Beyond a threshold in the last 15 minutes counts as now; beyond the critical one earlier is a
    warning. A share is of so many minutes more as hold `at_least` of what it is a share of.
    """
    within, asked = window(ops, hours * 60), metrics.described(ops, keys)
    answered = metrics.answered(ops, asked, within)
    missing = _missing(ops, asked, set(answered["label"]))
    summaries, found, panels = [], [], []
    for metric in asked:
        mine = metrics.points(metric, answered, within)
        said = summary(metric, mine)
        told = finding(metric, mine, said, within)
        if lost := [missing[each.key] for each in metric.amounts.values() if each.key in missing]:
            seen = f"{'; '.join(lost)}. Without it: {told.seen}"
            told = replace(told, status="unknown", seen=seen)
        found.append(told)
        panels.append(panel(metric, mine))
        if metric.unit == "bytes":  # read in GB
            said = {k: v / 1e9 if isinstance(v, float) else v for k, v in said.items()}
            said["unit"] = "GB"
        summaries.append(said)
    return Plotted(found, frame(summaries, SUMMARY), f"{within}.", panels, within)


def _missing(ops: Connection, asked: Sequence[Metric], answered: set[str]) -> dict[str, str]:
    """The amounts of shares that CloudWatch has not had for two weeks (ListMetrics), and why that
    matters: where its name is wrong, nothing would ever be counted.
    """
    named = {
        each.key: each
        for metric in asked
        for name, each in metric.amounts.items()
        if name and each.key not in answered and not each.rare
    }

    def seen(key: str) -> str:
        each = named[key]
        if each.metric in metrics.sent(ops, each.namespace, each.dimensions):
            return ""
        of = " of ".join([each.metric, *each.dimensions.values()])
        return (
            f"{each.namespace} has had no {of} for two weeks at least: another name, or never "
            "counted (then say `rare: true` of it)"
        )

    found = ops.each(seen, named, "whether CloudWatch knows {}")
    return {key: text for key, text in found.items() if text}


def summary(metric: Metric, points: Frame) -> Json:
    said = {**vars(metric), "metric": metric.key, "points": len(points)}
    points = points.dropna(subset="value")
    if points.empty:
        return said
    values = points["value"]
    worst = values.idxmin() if metric.below else values.idxmax()
    return said | {
        "now": values.iloc[-1],
        "highest": values.max(),
        "lowest": values.min(),
        "worst_at": points.loc[worst, "time"],
    }


def finding(metric: Metric, points: Frame, said: Json, within: Window) -> Finding:
    told = metric.expression or f"{metric.namespace} {metric.metric} {metric.statistic}"
    asked = Question(metric.title, thresholds(metric), f"GetMetricData {told}")
    if metric.share and points["value"].dropna().empty:
        few = f"too few to judge ({metric.share.whole}: at least {number(metric.at_least)}): "
        few += points["of"].iloc[-1] if len(points) else f"none, {within}"
        return asked.unknown(few)
    if points.empty:
        name = ", ".join(f"{key}={value}" for key, value in metric.dimensions.items()) or "its name"
        seen = f"no data, {within}: nothing happened, or {name} is not its name"
        return asked.unknown(seen)
    side = "lowest" if metric.below else "highest"
    worst, now = number(said[side], metric.unit), number(said["now"], metric.unit)
    if metric.share:  # with the counts that it is of
        of = points.set_index("time")["of"]
        now, worst = f"{now} ({of.iloc[-1]})", f"{worst} ({of[said['worst_at']]})"
    seen, status = f"now {now}", _status(metric, points, said[side])
    newest = points["time"].iloc[-1].to_pydatetime()
    if (age := within.end - newest) > _LATE:  # it is not now
        seen = f"newest {now}, of {clock(newest, within.end)}"
        if _stopped(metric, points, age):
            seen += (
                f": none for {number(round(age / timedelta(minutes=1)))} min, without such a gap "
            )
            return asked.unknown(f"{seen}before", next="alarms/review")
        status = "warn" if status == "critical" else "ok"
    seen += f", {side} {worst} at {clock(said['worst_at'], within.end)}"
    if status == "ok":
        return asked.ok(seen)
    follows = beside(__file__, "metrics")["follows"].get(metric.namespace, {})
    service = follows.get("any", "metrics/dashboard")
    follow = metric.next or follows.get(metric.metric, service)
    return asked.answer(status, seen, next=follow)


def _stopped(metric: Metric, points: Frame, age: timedelta) -> bool:
    """Whether a metric that comes by itself does not: of what is only counted when something
    happens, none is no news.
    """
    gaps = points["time"].diff().dropna()
    told = beside(__file__, "metrics")
    always = metric.namespace in told["always"] and metric.metric not in told["quiet"]
    return always and len(gaps) > 3 and bool(age > 3 * gaps.max())


def _status(metric: Metric, points: Frame, worst: float) -> str:
    since = points["time"].iloc[-1] - timedelta(minutes=RECENT_MINUTES - 5)
    span = "15min" if metric.lasting else 3  # of few requests one: two of three periods count
    lasting = points.rolling(span, min_periods=3, on="time")["value"].median()
    recent = (lasting if metric.lasting else points["value"])[points["time"] >= since]
    status = metric.status(recent.min() if metric.below else recent.max())
    if metric.lasting or metric.statistic.startswith("p"):
        worst = lasting.max()
    return "warn" if status == "ok" and metric.status(worst) == "critical" else status
