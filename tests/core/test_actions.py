"""Every action of a record can be made anew: its kind is known to whoever has imported core."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

from opslib.core import actions
from opslib.core.actions.actions import Action


def test_whoever_undoes_a_change_knows_every_kind_of_action() -> None:
    for module in pkgutil.iter_modules(actions.__path__):
        __import__(f"{actions.__name__}.{module.name}")
    code = "from opslib.core import Action; print(*Action.kinds, sep='\\n')"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {kind for kind, made in Action.kinds.items() if made.do.__module__.startswith("opslib.")}
    assert ours - set(known.stdout.splitlines()) == set()
