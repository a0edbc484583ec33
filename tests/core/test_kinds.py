"""A step's kind is known wherever a record of it is undone."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

from opslib.core import actions


def test_every_kind_of_action_is_known_to_a_kernel_that_only_undoes() -> None:
    """`changes/undo` imports no chapter that made the steps."""
    every = {each.name for each in pkgutil.iter_modules(actions.__path__)}
    asked = (
        "import sys, opslib.changes\n"
        "print(*(n.rpartition('.')[2] for n in sys.modules if '.core.actions.' in n))"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert every <= {*told.stdout.split()}
