"""Numbers as one reads them in a sentence."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """1 line, 1,204 lines, 2 dependencies."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith(("cy", "ry")) else f"{number:,} {noun}s"


def number(value: float, unit: str = "") -> str:
    """12,400 ms, 0.8 %, 3. A `count` needs no unit."""
    text = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.3g}"
    return f"{text} {unit}" if unit and unit != "count" else text
