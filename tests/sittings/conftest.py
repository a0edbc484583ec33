"""A sitting that is open, with its kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from opslib.sittings import open_sitting
from tests.conftest import PracticeLab
from tests.sittings.desk import Desk

TARGET = "lab/bluemoxon-staging"
Open = Callable[..., Desk]


@pytest.fixture
def desk(lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a procedure and starts its kernel, which ends with the test."""
    # no JupyterLab of this machine is asked whether it serves them
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(records_folder.parent / "jupyter"))
    with ExitStack() as opened:

        def open_desk(name: str, /, *, on: str = TARGET, **parameters: str) -> Desk:
            made = Desk(open_sitting(name, on, parameters))
            opened.callback(made.close)
            return made

        yield open_desk
