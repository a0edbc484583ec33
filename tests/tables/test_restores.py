"""A table restored into another: what may be its name."""

from __future__ import annotations

import pytest

from opslib import UsageError, tables
from opslib.core.connections.connection import Connection

TARGET = "lab/image-caption-prod"


@pytest.mark.parametrize("name", ["x", "bad name!", "ü" * 5, "a" * 256])
def test_what_dynamodb_takes_for_no_name_is_refused_before_anything_is_made(
    ops: Connection, name: str
) -> None:
    with pytest.raises(UsageError, match="is no name of a table: 3 to 255"):
        tables.plan_restore(ops, "captions", to=name)
    assert tables.plan_restore(ops, "captions", to="captions-2.old").steps
