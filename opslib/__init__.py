"""Runbooks that run: what the notebooks in this project stand on.

    from opslib import connect, queues
    ops = connect("lab/bluemoxon-staging")
    queues.check_dead_letters(ops)

Importing it starts no thread, opens no socket and reads no file.
"""

from opslib.connections import connect
from opslib.errors import NotAllowed, NotFound, OpsError, Refused, Unfinished, UsageError
from opslib.plans import apply
from opslib.verdicts import conclude

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
]
