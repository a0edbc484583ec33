"""CloudWatch's statistics beside the five: p99, tm99, TM(10%:90%), IQM, wm, tc, ts, PR(:300).

Source: "CloudWatch statistics definitions" in the user guide.
"""

import re
from collections.abc import Sequence

_SHORT = re.compile(r"(p|tm|wm|tc|ts)(\d{1,2}(?:\.\d{1,10})?|100)", re.IGNORECASE)
_BOUND = r"(\d+(?:\.\d+)?)?"
_LONG = re.compile(rf"(TM|WM|TC|TS|PR)\({_BOUND}(%)?:{_BOUND}(%)?\)", re.IGNORECASE)

Pairs = Sequence[tuple[float, float]]  # a value, and how often it is there; in order


def is_extended(name: str) -> bool:
    """Whether it is one that AWS takes."""
    if name.upper() == "IQM" or _SHORT.fullmatch(name):
        return True
    told = _LONG.fullmatch(name)
    return bool(told and (told[2] or told[4]) and not (told[1].upper() == "PR" and "%" in name))


def extended(name: str, pairs: Pairs) -> float | None:
    """Of the samples; None when none of them is in its bounds."""
    if short := _SHORT.fullmatch(name):
        kind, low, high, percent = short[1].upper(), 0.0, float(short[2]), True
        if kind == "P":
            return _percentile(pairs, high)
    elif name.upper() == "IQM":
        kind, low, high, percent = "TM", 25.0, 75.0, True
    else:
        told = _LONG.fullmatch(name)
        assert told
        kind, percent = told[1].upper(), "%" in name
        low, high = float(told[2] or 0), float(told[4] or (100 if percent else "inf"))
    if percent:
        kept = _between(pairs, low, high)
    else:
        kept = [(value, count) for value, count in pairs if low < value <= high]
    return _of(kind, pairs, kept)


def _of(kind: str, pairs: Pairs, kept: Pairs) -> float | None:
    samples = sum(count for _, count in kept)
    total = sum(value * count for value, count in kept)
    if kind == "TC":
        return samples
    if kind == "TS":
        return total
    if kind == "PR":
        return 100 * samples / sum(count for _, count in pairs)
    if not samples:
        return None
    if kind == "TM":
        return total / samples
    # winsorized: what is outside counts as the nearest that is inside
    low, high = kept[0][0], kept[-1][0]
    held = [(min(max(value, low), high), count) for value, count in pairs]
    return sum(value * count for value, count in held) / sum(count for _, count in held)


def _percentile(pairs: Pairs, percent: float) -> float:
    rank = sum(count for _, count in pairs) * percent / 100
    for value, count in pairs:
        rank -= count
        if rank <= 1e-9:
            return value
    return pairs[-1][0]


def _between(pairs: Pairs, low: float, high: float) -> Pairs:
    """The samples of ranks between two percentages; of one at a border, the share that is in."""
    total, before, kept = sum(count for _, count in pairs), 0.0, list[tuple[float, float]]()
    for value, count in pairs:
        inside = min(before + count, total * high / 100) - max(before, total * low / 100)
        if inside > 1e-9:
            kept.append((value, inside))
        before += count
    return kept
