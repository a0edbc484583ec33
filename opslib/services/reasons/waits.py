"""What a service waits for: by its own lines, and by the key metrics of what it asks."""

from typing import Any

from opslib.core import (
    Finding,
    Question,
    Window,
    beside,
    clock,
    count,
    log_lines,
    logs,
    metrics,
    number,
    signs,
)
from opslib.services.reading import Service

THROTTLED = "upstream-throttled"
_LINES = (
    '?hrottl ?TooManyRequests ?"oo many requests" ?"ate limit" ?"imed out" ?imeout ?"status 429"'
)
SIGNS = signs(beside(__file__, "waits"))


def told(service: Service, within: Window) -> Finding:
    """What its lines say of the services that it asks."""
    most = logs.tolerated(service.ops)
    asked = Question(
        f"what {service.key} waits for", f"at most {most} lines in an hour", "FilterLogEvents"
    )
    lines = logs.search(service.ops, service.key, _LINES, within)
    for sign in SIGNS[:-1]:
        mine = lines[[sign.fits(text) for text in lines["message"]]]
        often = log_lines.most_in_an_hour(mine["time"]) if len(mine) else 0
        if often > most:
            said = f"{count(len(mine), 'line')}, at most {often} in an hour, the last at "
            said += f"{clock(mine['time'].iloc[-1], within.end)}: {sign.means}. As "
            said += log_lines.brief(mine["message"].iloc[-1])
            return asked.warn(said, cause=sign.name, next=sign.next)
    said = f"{count(len(lines), 'line')} of throttling or a time-out"
    return asked.ok(said, cause=THROTTLED)


def measured(service: Service, within: Window, slow: Any) -> list[Finding]:
    """Of each kind in `waits_for` (provider, database), whether it was slow when answers were.

    `slow`: the times of the periods in which they were; none: over all of the window.
    """
    kinds = service.facts.get("waits_for", {})
    return [_judged(service, within, slow, kind, keys) for kind, keys in kinds.items()]


def _judged(service: Service, within: Window, slow: Any, kind: str, keys: list[str]) -> Finding:
    known = {each.key: each for each in metrics.described(service.ops, keys)}
    points = metrics.read(service.ops, within, keys)
    if len(slow):
        points = points[points["time"].isin(slow)]
    medians = points.dropna(subset="value").groupby("metric")["value"].median()
    rule = "; ".join(f"{each.title}: {metrics.thresholds(each)}" for each in known.values())
    asked = Question(f"the {kind} of {service.key}", rule, "GetMetricData")
    if missing := [key for key in keys if key not in medians.index]:
        return asked.unknown(f"no values of {', '.join(missing)} then")
    shown = {key: f"{known[key].title} {number(medians[key], known[key].unit)}" for key in keys}
    bad = [key for key in keys if known[key].status(medians[key]) != "ok"]
    if not bad or not len(slow):
        return asked.ok(", ".join(shown.values()), cause=f"{kind}-slow")
    follows = _NEXT.get(kind) or known[bad[0]].next
    said = "while answers were slow: " + ", ".join(shown[key] for key in bad)
    return asked.warn(said, cause=f"{kind}-slow", next=follows)


_NEXT = {"database": "databases/health", "cache": "caches/health", "provider": "logs/query"}


COLD, _FEW, _SHARE = "cold-start", 2, 0.5


def idle(service: Service, now: Any, slow: Any, bounds: Any) -> Finding:
    """Whether it is slow when it begins anew: in the period before, no task or no request.

    Then most of such periods are slow, and of the others at most half as large a share. `now`:
    `measures.read` of the window; `slow`: the times of its slow periods.
    """
    asked = Question(f"cold starts of {service.key}", "few slow periods after idle ones", "ELB")
    nothing = (now["healthy"].fillna(1.0) == 0) | (now["requests"] == 0)
    begun = nothing.shift(1, fill_value=False) & ~nothing
    is_slow = now.index.isin(slow)
    cold, many = int(is_slow[begun].sum()), int(begun.sum())
    said = f"{cold} of {count(many, 'period')} after an idle one slow, "
    said += f"{int(is_slow[~begun].sum())} of {len(now) - many} others"
    share, others = (is_slow[which].mean() if which.any() else 0.0 for which in (begun, ~begun))
    if cold < _FEW or share < _SHARE or others > share / 2:
        return asked.ok(said, cause=COLD)
    if bounds and bounds["MinCapacity"] == 0:
        said += ". Auto-scaling may stop its last task: keep one, as the lower bound"
    return asked.warn(said, cause=COLD, next="services/scale")
