"""Tables with declared columns."""

import importlib
import re
from pathlib import Path

import pandas as pd
import pytest

import opslib
from opslib.core import UTC_TIME, dtypes, frame
from opslib.core.tables import html_frame

ROOT = Path(opslib.__file__).parent
DECLARED = [
    (".".join(path.relative_to(ROOT.parent).with_suffix("").parts), name)
    for path in sorted(ROOT.rglob("*.py"))
    for name in re.findall(r"^(\w+) = dtypes\(", path.read_text(encoding="utf-8"), re.MULTILINE)
]


def test_columns_are_declared_a_line_each() -> None:
    """A name and its dtype; `utc` is a time in UTC."""
    assert dtypes("\n  at utc\n  what  str\n") == {"at": UTC_TIME, "what": "str"}


@pytest.mark.parametrize(("module", "name"), DECLARED, ids=".".join)
def test_each_declared_table_can_be_made_empty(module: str, name: str) -> None:
    """No dtype in it is misspelt."""
    columns = getattr(importlib.import_module(module), name)
    made = frame((), columns)
    assert {key: str(kind) for key, kind in made.dtypes.items()} == columns


def test_a_number_that_is_nearly_whole_has_no_dot_at_its_end() -> None:
    shown = html_frame(pd.DataFrame({"gigabytes": [63.9999, 64.14, 0.00107]}))
    assert re.findall(r">([\d.]+)</td>", shown) == ["64", "64.14", "0.00107"]
