"""What is read in a hurry.

Numbers with the unit that suits them, tables without exponents, headlines that end.
"""

from __future__ import annotations

import re

import pandas as pd
import pytest

from opslib.core.plans import verdicts
from opslib.core.tables import html_frame, html_table
from opslib.core.text import number, tick


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (63_999_766_892, "bytes", "64 GB"),
        (123_456_789, "bytes", "123 MB"),
        (0, "bytes", "0 bytes"),
        (0.00107, "s", "1.07 ms"),
        (1.5, "s", "1.5 s"),
        (12_400, "ms", "12,400 ms"),
        (3, "count", "3"),
    ],
)
def test_a_number_has_the_unit_that_one_reads(value: float, unit: str, expected: str) -> None:
    assert number(value, unit) == expected


def test_beside_an_axis_only_scaled_numbers_have_their_unit() -> None:
    assert [tick(2e10, "bytes"), tick(0, "bytes"), tick(1500, "ms")] == ["20 GB", "0", "1,500"]


def test_a_table_has_no_exponents_and_times_to_the_second() -> None:
    times = pd.to_datetime(["2026-11-22T17:22:36.139Z", None], utc=True)
    shown = html_frame(
        pd.DataFrame({"at": times, "big": [6.4e10, float("nan")], "small": [0.00107, 23.0]})
    )
    for said in ("2026-11-22 17:22:36 UTC<", "64,000,000,000<", "0.00107<", ">23<"):
        assert said in shown
    assert "e+" not in shown
    assert "NaT" not in shown


def test_a_notebook_makes_no_formula_of_a_statement() -> None:
    statement = "WHERE owner_id = $1 LIMIT $2"
    for shown in (
        html_frame(pd.DataFrame({"statement": [statement]})),
        html_table(["statement"], [[statement]], ""),
    ):
        assert "$1" not in shown
        assert "<span>$</span>1 LIMIT <span>$</span>2" in shown


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("short", "short"),
        ("A sentence. " + "another one " * 20, "A sentence"),
        ("word " * 60, "word " * 39 + "word …"),
    ],
)
def test_a_headline_ends_at_a_sentence_or_a_word(seen: str, expected: str) -> None:
    assert verdicts._brief(seen) == expected


def test_a_long_word_of_a_table_is_broken_and_a_short_one_is_not() -> None:
    """Else what is beside it is pushed off the screen, or stands one letter below the other."""
    table = html_frame(pd.DataFrame({"arn": ["arn:aws:iam::1:role/" + "x" * 90], "state": ["ok"]}))
    [arn, state] = re.findall(r"<td[^>]*>", table)
    assert "overflow-wrap:anywhere" in arn
    assert "overflow-wrap" not in state
