"""Numbers as one reads them in a sentence."""

from __future__ import annotations

import math


def count(number: int, noun: str) -> str:
    """1 line, 1,204 lines, 2 dependencies."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith(("cy", "ry")) else f"{number:,} {noun}s"


def number(value: float, unit: str = "") -> str:
    """12,400 ms, 0.8 %, 3; bytes as 64 GB, less than a second as 1.07 ms. A `count` needs no unit."""
    if unit == "bytes" and abs(value) >= 1000:
        power = min(4, int(math.log10(abs(value)) // 3))
        return number(float(f"{value / 1000**power:.3g}"), " kMGT"[power] + "B")
    if unit == "s" and 0 < abs(value) < 1:
        return number(float(f"{value * 1000:.3g}"), "ms")
    text = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.3g}"
    return f"{text} {unit}" if unit and unit != "count" else text


def tick(value: float, unit: str = "") -> str:
    """A number beside an axis that names the unit already: with it only where it is scaled."""
    return number(value, unit) if unit in ("bytes", "s") and value else number(value)
