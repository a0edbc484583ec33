"""What a kernel of ./run lab begins with (PYTHONSTARTUP): before any cell, so before `connect`."""

import sys

if "ipykernel" in sys.modules:  # a terminal's Python begins with it, too, and may lack opslib
    from opslib.core import defects, redaction

    if (shell := redaction.kernel_shell()) is not None:
        shell.set_custom_exc((NameError,), defects.shown)
    del defects, redaction, shell
del sys
