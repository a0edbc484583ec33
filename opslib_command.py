"""Where the command begins: Ctrl-C while all of it is still imported ends it, without a traceback.

Not in opslib: whoever imports a part of that imports its face before, which takes half a second.
"""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """The command; ends the process with its exit status."""
    usual = signal.getsignal(signal.SIGINT)
    if callable(usual):  # not where nothing is to be heard (nohup)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from opslib.cli import commands

    signal.signal(signal.SIGINT, usual)
    commands.main()
