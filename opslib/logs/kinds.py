"""Kinds of trouble in log lines, by what they say; and what follows from each: kinds.yaml.

The order decides: a line is of the first kind whose pattern is in it. "Connection timed out" is
about the connection, since more time would not help; "statement timeout" is about time; "Invalid
connection string" is about the connection again. What fits nothing is `other`: an exception of the
code, more often than not.
"""

import re

from opslib.core import beside, sign_of
from opslib.core.checks.signs import signs
from opslib.core.reads.log_levels import LONGEST, STATUS, flat, read, structured

VALIDATION, OTHER = "validation", "other"
START, CRASH, ANSWERS = "start", "crash", "answers 5xx"
BY_VERSIONS = (OTHER, VALIDATION, START, CRASH)  # what a new version may have brought
_SETTING = re.compile(
    r"(?<![\w.])(?![\w.-]*(?:status|code|errno|error)\b)[a-z_][\w.-]*[\"']?\s*[=:]\s*[\"']?"
    r"(?:\d[\d.]*[a-z]{0,2}|true|false|null)\b(?![\w:./-])"
    r"|\b(?:KeyError|attribute|reading|method|property)\W{1,3}\w+['\"`]"
    # a logger's name; what nginx says beside an upstream that does not answer
    r"|[a-z_][\w.]*\.\w+(?::\w+:\d+)? - |\(110: Connection timed out\)(?= while reading)",
    re.I,
)


def kind_of(message: str) -> str:
    """The name of the kind that a line is of, by what it says was wrong."""
    return sign_of(KINDS, _essence(message)).name


def _essence(message: str) -> str:
    """What a line says was wrong, without settings and other numbers by name.

    To be looked through for words: `"timeout_ms": 3000` is no time-out.
    """
    message = message[:LONGEST].strip()
    if document := structured(message):
        fields = dict(flat(document))
        answers = [f"status {value}" for key, value in fields.items() if STATUS.search(key)]
        kinds = [str(value) for key, value in fields.items() if key.endswith("errortype")]
        said = read(message)
        return " ".join([said.level, _SETTING.sub(" ", said.text), *kinds, *answers])
    return _SETTING.sub(" ", message)


KINDS = signs(beside(__file__, "kinds"))
