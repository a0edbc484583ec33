"""Where sittings are worked in, and whether this kernel is for one. Light: every kernel asks."""

import os
from pathlib import Path

from opslib.core import paths

FOLDER = "sittings"  # in the records folder
MINE = "OPSLIB_SITTING"  # the process that keeps one, so that what it starts does not


def folder() -> Path:
    return paths.records() / FOLDER


def named() -> str:
    """This kernel's notebook, by its folder and name: Jupyter's server says which one it is."""
    session = Path(os.environ.get("JPY_SESSION_NAME") or "notebook")
    return "/".join(session.with_suffix("").parts[-2:])


def here() -> Path | None:
    """The notebook of the sitting that this kernel is for; None for any other kernel."""
    named = Path(os.environ.get("JPY_SESSION_NAME") or "-")
    mine = os.environ.get(MINE, str(os.getpid())) == str(os.getpid())
    if not mine or named.suffix != ".ipynb" or not named.is_file():
        return None
    return named if named.resolve().parent == folder().resolve() else None
