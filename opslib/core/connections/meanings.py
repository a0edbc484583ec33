"""What the errors of AWS, PostgreSQL, a cache, an API, a search domain mean: meanings.yaml."""

import re
from typing import Any

from opslib.core import errors
from opslib.core.strict_yaml import beside


def entry(name: str) -> Any:
    """A table of them, or a text or pattern that several know."""
    return beside(__file__, "meanings")[name]


def translated(table: str, shown: str, **about: Any) -> errors.OpsError:
    """The error that what is shown means: the first that fits, with what it is about."""
    found = next(each for each in entry(table) if re.search(each["shown"], shown))
    kind: type[errors.OpsError] = getattr(errors, found["error"])
    said = found["says"].format(**about)
    return kind(said if "..." in said else re.sub(r"\.\.+", ".", said))
