"""Where the project's folders are. Nothing is read or made when this module is imported."""

import os
from pathlib import Path


def project_root() -> Path:
    """The folder that holds notebooks/ and parameters/.

    `$OPSLIB_HOME`, else the checkout opslib is in.
    """
    home = os.environ.get("OPSLIB_HOME")
    return Path(home).expanduser().resolve() if home else Path(__file__).resolve().parents[2]


def notebooks() -> Path:
    return project_root() / "notebooks"


def parameters() -> Path:
    return project_root() / "parameters"


def records() -> Path:
    """`$OPSLIB_RECORDS`, else records/ in the project.

    There, too, records are made that are kept in s3://.
    """
    given = os.environ.get("OPSLIB_RECORDS", "")
    local = given and not given.startswith("s3://")
    return Path(given).expanduser() if local else project_root() / "records"


def lab() -> Path:
    """`$OPSLIB_LAB_DIR`, else .lab/ in the project."""
    given = os.environ.get("OPSLIB_LAB_DIR")
    return Path(given).expanduser() if given else project_root() / ".lab"


def typed(path: str) -> Path:
    """A path as the operator's shell means it: a kernel runs in the notebook's folder."""
    here = Path(path).expanduser()
    beside = Path(os.environ.get("PWD", "")) / here
    return beside if not here.exists() and beside.exists() else here.absolute()
