"""The command's door, beside the library: Ctrl-C ends it in a word while the rest is imported.

The library is large and takes half a second; a KeyboardInterrupt in the middle of its imports would
be a traceback, or be lost in what another module does about errors.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def main() -> None:
    """`opslib`; ends the process with its exit status."""
    heard = signal.signal(signal.SIGINT, _end)
    if heard is signal.SIG_IGN:  # a job of the background, of which Ctrl-C is not meant
        signal.signal(signal.SIGINT, heard)
    from opslib.cli import commands

    signal.signal(signal.SIGINT, heard)
    commands.main()


def _end(*_: object) -> None:
    with suppress(OSError):  # nobody is there to be told
        os.write(2, b"opslib: interrupted\n")
    os._exit(130)  # nothing was begun that is to be ended


if __name__ == "__main__":
    main()
