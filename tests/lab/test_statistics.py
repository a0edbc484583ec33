"""CloudWatch's statistics of trimmed, winsorized and counted samples."""

from __future__ import annotations

import pytest

from opslib.lab.corrections.cloudwatch.statistics import extended, is_extended

HUNDRED = [(float(value), 1.0) for value in range(1, 101)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p50", 50.0),
        ("p100", 100.0),
        ("tm90", 45.5),
        ("TM(10%:90%)", 50.5),
        ("TM(:50)", 25.5),
        ("IQM", 50.5),
        ("tc90", 90.0),
        ("TC(10:20)", 10.0),
        ("ts10", 55.0),
        ("TS(90:)", 955.0),
        ("PR(:30)", 30.0),
        ("PR(90:)", 10.0),
        ("wm50", 37.75),
        ("TM(200:300)", None),
    ],
)
def test_a_statistic_is_as_the_user_guide_defines_it(name: str, value: float | None) -> None:
    assert is_extended(name)
    found = extended(name, HUNDRED)
    assert found is None if value is None else found == pytest.approx(value)


def test_a_sample_at_a_border_counts_with_its_share() -> None:
    assert extended("IQM", [(1.0, 2.0), (3.0, 2.0)]) == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["p101", "tm", "IQM90", "PR(10%:90%)", "TM(:)", "median", ""])
def test_others_are_none(name: str) -> None:
    assert not is_extended(name)
