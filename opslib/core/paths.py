"""Where the project's folders are. Nothing is read or made when this module is imported."""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """The folder that holds notebooks/ and parameters/.

    `$OPSLIB_HOME`, else the checkout opslib is in.
    """
    home = os.environ.get("OPSLIB_HOME")
    return Path(home).resolve() if home else Path(__file__).resolve().parents[2]


def notebooks() -> Path:
    return project_root() / "notebooks"


def parameters() -> Path:
    return project_root() / "parameters"


def records() -> Path:
    """`$OPSLIB_RECORDS`, else records/ in the project.

    There, too, records are made that are kept in s3://.
    """
    given = os.environ.get("OPSLIB_RECORDS", "")
    return project_root() / "records" if not given or given.startswith("s3://") else Path(given)


def lab() -> Path:
    """`$OPSLIB_LAB_DIR`, else .lab/ in the project."""
    return Path(os.environ.get("OPSLIB_LAB_DIR") or project_root() / ".lab")
