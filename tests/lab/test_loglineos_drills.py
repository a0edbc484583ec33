"""Each drill of loglineos changes its own target only,
and nothing of it is left when it is mended.
"""

from __future__ import annotations

from typing import Any

import pytest

from opslib import connect
from opslib import lab as practice
from opslib.core.connections.connection import Connection
from opslib.lab.estates.loglineos import ESTATE

TARGET = "loglineos-production"
_NAMES = [drill.name for drill in ESTATE.drills]


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{TARGET}")


@pytest.mark.slow
def test_all_drills_together_are_taken_out_in_any_order(lab: Any) -> None:
    state = lab.state(TARGET)
    # With either of these nobody else gets a connection to the database.
    names = [
        name for name in _NAMES if name not in ("database-unavailable", "connections-near-limit")
    ]
    try:
        for name in names:
            practice.break_drill(name, TARGET)
        for name in names[1::2] + names[::2]:
            practice.mend(name, TARGET)
    finally:
        practice.mend(target=TARGET)  # what is on when one fails: other tests use this target
    assert lab.state(TARGET) == state
