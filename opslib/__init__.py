"""Runbooks that run: what the notebooks in this project stand on.

    from opslib import connect, queues
    ops = connect("lab/bluemoxon-staging")
    queues.check_dead_letters(ops)

Importing it starts no thread, opens no socket and reads no file.
"""

from opslib.core import NotAllowed, NotFound, OpsError, Refused, Unfinished, UsageError
from opslib.core.checks.checks import told
from opslib.core.checks.notes import note
from opslib.core.checks.plots import draw
from opslib.core.plans.applying import apply, decide
from opslib.core.plans.verdicts import conclude
from opslib.session import connect

__all__ = [
    "NotAllowed",
    "NotFound",
    "OpsError",
    "Refused",
    "Unfinished",
    "UsageError",
    "apply",
    "conclude",
    "connect",
    "decide",
    "draw",
    "note",
    "told",
]
