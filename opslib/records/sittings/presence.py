"""Whether somebody is there who can press something. Light: every kernel asks."""

import os

SWITCH = "OPSLIB_WIDGETS"  # 0 or 1 overrules
MINE = "OPSLIB_DESK"  # the process that somebody works in: what it starts is headless


def is_live(kept: bool) -> bool:
    """Jupyter's server started this kernel for a notebook, and no engine keeps the run (`kept`)."""
    if (said := os.environ.get(SWITCH, "")) in ("0", "1"):
        return said == "1"
    if kept or not os.environ.get("JPY_SESSION_NAME"):
        return False
    return os.environ.setdefault(MINE, str(os.getpid())) == str(os.getpid())
