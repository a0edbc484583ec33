r"""What a log line says of itself, whatever runtime wrote it: a level, a text, and whether it is
trouble.

A level beats a word. A word counts where no level is understood, and not where it is negated, zero
or part of a name. A line that says neither is not understood: it is counted, and never called well.

Sources: Lambda's platform lines and its Telemetry API's schema, RFC 5424's severities,
OpenTelemetry's data model for logs, journald's fields; of loggers, what their own formatters write.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from opslib.core.reads import log_texts
from opslib.core.strict_yaml import beside
from opslib.core.tables import Json
from opslib.core.text import decoded

LONGEST = 20_000  # characters of a line that are read


def _names(listed: str) -> tuple[str, ...]:
    return tuple(listed.split("|"))


_ILL = _names(
    "EMERG|EMERGENCY|ALERT|CRIT|CRITICAL|FATAL|FATA|FTL|PANIC|PANI|DPANIC|SEVERE|ERR|ERROR|ERRO"
    "|EROR|FAIL|FAILURE"
)
_LEVELS = (
    *_ILL,
    *_names(
        "WARN|WARNING|WRN|TRACE|TRAC|TRC|TRCE|VERBOSE|VRB|DEBUG|DEBU|DBG|DBUG|FINE|FINER|FINEST|CONFIG"
        "|INFO|INF|INFORMATION|INFORMATIONAL|NOTICE|NOTE|LOG|HTTP|SILLY|DEFAULT|SUCCESS"
    ),
)
_LETTERS = {
    pair[0]: pair[2:]
    for pair in _names("E=ERROR|F=FATAL|C=CRITICAL|A=FATAL|W=WARN|I=INFO|D=DEBUG|V=DEBUG|T=TRACE")
}
# Words of prose too: a level only where brackets, or capitals, set them apart.
_PROSE = _names("ALERT|FAILURE|FINE|CONFIG|NOTICE|NOTE|LOG|HTTP|DEFAULT|SUCCESS")
_NAMES = "|".join(sorted(_LEVELS, key=len, reverse=True))

(
    _COLOUR,
    _PRIORITY,
    _CRI,
    _LETTER,
    _BESIDE,
    _WORD,
    _PADDED,
    _NO_LETTERS,
    _PLAIN,
    _DATE,
    _TIME,
    _NONE,
    _LEADING,
    PLATFORM,
    _PLATFORM_ILL,
    STATUS,
) = map(re.compile, beside(__file__, "log_levels").values())
_PAIR = re.compile(  # of logfmt; others of its pairs stand beside it
    rf"(?:^|\s)(?:log\.)?(?:level|lvl|sev|severity)=\"?({_NAMES}|\d+)\b(?=.*\s\w+=)"
    rf"|\b\w+=.*\s(?:log\.)?(?:level|lvl|sev|severity)=\"?({_NAMES}|\d+)\b"
    rf"|[\"'](?:level|severity|levelname)[\"']\s*:\s*[\"']?({_NAMES}|\d+)\b",
    re.I,
)
_CAPITALS = re.compile(rf"(?<![\w-])({_NAMES})(?![\w.%-]|\s+=)")
_SET_APART = re.compile(rf"(?:^|[\[(<|:])({_NAMES})(?:[\])>|]|:$)", re.I)
_AFTER_TIME = re.compile(rf"({_NAMES})", re.I)

TEXTS = _names(
    "message|msg|@message|error|errorMessage|event|exception|MESSAGE|@m|@mt|short_message|"
    "RenderedMessage|Message|body|Body|text|log"
)
_LEVEL_KEYS = _names(
    "level|levelname|loglevel|recordlevel|lvl|severity|severitytext|severitylabel|severityname|sev|@level|@l"
)
_STATES = _names("status|outcome|result|state|type")
_ERROR_KEYS = _names(
    "error|err|exception|errormessage|errortype|stack|stacktrace|exc|excinfo|traceback|panic|@x"
)
_FAILED = re.compile(  # also a history of Step Functions: ExecutionFailed
    "(?i:error|failed|failure|fatal|timeout|critical|aborted|crashed)|[A-Z]\\w+(Failed|TimedOut|Aborted)"
)


class Said(NamedTuple):
    """`level` in capitals, empty where none is understood. `trouble`: None, not understood."""

    level: str
    text: str
    trouble: bool | None


@lru_cache(maxsize=10_000)  # several checks of a report read the same lines
def read(message: str) -> Said:
    """What a line says. Of more lines in one event, what was raised, else the first."""
    message = message[:LONGEST].strip()
    if PLATFORM.match(message):
        ill = [hit.group() for hit in _PLATFORM_ILL.finditer(message)]
        told = " ".join([message.split()[0], *ill]) if ill else message.partition("\n")[0]
        return Said("", told, bool(ill))
    if document := structured(message):
        return _of_document(document)
    return _of_text(message)


def structured(message: str) -> Json | None:
    """The members of a line that is a JSON object; None for any other line."""
    found = decoded(message) if message.lstrip().startswith("{") else None
    return found if isinstance(found, dict) else None


def said(document: Json) -> str:
    """The text of a structured line.

    The type of an error goes before it, and the error after a message without it.
    """
    texts = (_shortest(document.get(key)) for key in TEXTS)
    text = next(filter(None, texts), "")
    error = _shortest(document.get("error") or document.get("err") or document.get("exception"))
    kind = str(document.get("errorType", document.get("error_type", "")))
    text = f"{kind}: {text}" if kind not in text else text
    return f"{text}: {error}" if error and error not in text else text


def _values(document: Json) -> str:
    """The values of a structured line without a text: `method=GET, path=/x, status=503`."""
    shown = (
        (key, value) for key, value in document.items() if isinstance(value, (str, int, float))
    )
    untold = (*_LEVEL_KEYS, "time", "timestamp", "ts", "@timestamp", "@t")
    return ", ".join(f"{key}={value}" for key, value in shown if key.lower() not in untold)


def _shortest(value: Any) -> str:
    """What is to be read of a value: of an error as an object, its type and message."""
    if isinstance(value, dict):
        keys = ("type", "name", "class", "message", "msg", "stringValue")
        return ": ".join(str(value[key]) for key in keys if isinstance(value.get(key), str))
    return str(value) if isinstance(value, (str, int, float)) and value is not True else ""


def _of_document(document: Json) -> Said:
    fields = dict(flat(document))
    if str(document.get("type", "")).startswith("platform."):
        return _of_platform(fields)
    text = said(document) or _values(document)
    level = next(filter(None, (_named(fields.get(key)) for key in _LEVEL_KEYS)), "")
    level = level or _numbered(fields)
    inner = Said(level, text, None) if level or not text else read(text)
    if "@t" in document and not inner.level and inner.trouble is None:
        inner = Said("INFO", text, None)  # Serilog leaves that level out
    answers = [_number(value) // 100 for key, value in fields.items() if STATUS.search(key)]
    # an error that is one: not null, empty, zero, or a word for that
    errors = (str(fields[key]) for key in _ERROR_KEYS if fields.get(key))
    told = fields.get("success") is False or not all(map(_NONE.fullmatch, errors))
    if inner.level:  # one that was answered as if all were well, and says an error, too
        return inner._replace(trouble=_is_ill(inner.level, 5 in answers or (told and 2 in answers)))
    states = (str(fields.get(key)) for key in _STATES)
    if 5 in answers or told or any(map(_FAILED.fullmatch, states)):
        return inner._replace(trouble=True)
    return inner if inner.trouble is not None or not any(answers) else inner._replace(trouble=False)


def _is_ill(level: str, answered: bool) -> bool:
    return level in _ILL or (answered and level not in ("DEBUG", "TRACE"))


def _of_platform(fields: Json) -> Said:
    status = str(fields.get("recordstatus") or "success")
    parts = (fields["type"], status, fields.get("recorderrortype"), fields.get("record"))
    ill = status != "success" or "recorderrortype" in fields
    ill = ill or fields["type"] in ("platform.fault", "platform.logsDropped")
    return Said("", " ".join(str(part) for part in parts if part), ill)


def flat(document: Json, before: str = "") -> Iterator[tuple[str, Any]]:
    """Members by their names in small letters alone, those of inner objects with the outer's."""
    for key, value in document.items():
        name = before + _NO_LETTERS.sub("", str(key).lower())
        yield name, value
        if isinstance(value, dict) and len(before) < 40:
            yield from flat(value, name)


def _number(value: Any) -> int:
    return int(value) if re.fullmatch(r"\d{1,9}(?:\.0+)?", str(value)) else -1


def _named(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("name")
    text = re.split(r"(?<=\w)[+-]", str(value).upper().rpartition(".")[2].strip())[0]  # slog's +2
    number = _number(text)
    if number < 0:
        return text if text in _LEVELS else _LETTERS.get(text, "")
    if number < 8:  # syslog's, as GELF has them
        return "ERROR" if number <= 3 else "INFO"
    ill = 400 if number >= 100 else 50  # Monolog's; pino's and bunyan's
    return "ERROR" if number >= ill else "INFO"


def _numbered(fields: Json) -> str:
    """The level of a number whose name says which scale it is of."""
    for key, ill in (("severitynumber", 17), ("levelno", 40), ("levelvalue", 40_000)):
        if (number := _number(fields.get(key))) > 0:
            return "ERROR" if number >= ill else "INFO"
    number = _number(fields.get("priority"))
    return _named(number) if 0 <= number <= 7 else ""


def _of_text(message: str) -> Said:
    plain = _CRI.sub("", _COLOUR.sub("", message), count=1)
    priority = _PRIORITY.match(plain)
    plain = plain[priority.end() :] if priority else plain
    if structured(plain):
        return read(plain)
    head, *rest = [line for line in plain.splitlines() if line.strip()] or [""]
    if rest and re.match(r"\w{3} \d\d?, \d{4} \d\d?:\d\d:\d\d [AP]M ", head):
        head, *rest = rest  # java.util.logging begins with a line of its own
    found = _level(_PADDED.sub(r"[\1]", head[:300]))
    level, text = found or ("", head)
    text = _LEADING.sub("", text, count=1).strip() or head
    if level and (inner := structured(text)):
        text = said(inner) or text
    elif not level and head.startswith("Traceback"):
        text = raised(plain)
    if not level and priority:
        level = _named(int(priority[1]) % 8)
    answered = log_texts.ANSWERED.search(plain[:2000]) is not None
    if level:
        none = re.search(r"\w", text) and _NONE.fullmatch(text)
        return Said(level, text or head, not none and _is_ill(level, answered))
    beside = _BESIDE.search(head)
    return Said("", text, answered or (log_texts.trouble(plain) if not beside else False))


def raised(message: str) -> str:
    """What was raised last: the last line of a traceback that is no frame."""
    lines = [line for line in message.splitlines() if line.strip()]
    ends = [line for line in lines[1:] if not line[0].isspace() and not line.startswith("During ")]
    return (ends or lines or [""])[-1].strip()


def _level(head: str) -> tuple[str, str] | None:
    """The level of a line of text by its place, and what comes after it."""
    if letter := _LETTER.match(head):
        name = next(filter(None, letter.groups()))
        return _LETTERS[name.upper()], head[letter.end() :].lstrip(" :")
    if pair := _PAIR.search(head):
        level = _named(next(filter(None, pair.groups())))
        text = re.search(r"\b(?:msg|message)=(?:\"((?:[^\"\\]|\\.)*)\"|(\S+))", head)
        error = re.search(r"\berr(?:or)?=(?:\"((?:[^\"\\]|\\.)*)\"|(\S+))", head)
        parts = [hit[1] or hit[2] or "" for hit in (text, error) if hit]
        return level, ": ".join(filter(None, parts)) or head
    words, timed = 0, False
    for token in islice(_WORD.finditer(head), 14):
        word = token.group()
        apart = _SET_APART.search(word)
        first = _AFTER_TIME.fullmatch(word) if timed and not words else None
        hit = apart or _CAPITALS.search(word) or first
        if hit and hit[1].upper() in _PROSE and not hit[1].isupper() and word[0] not in "[<|(":
            hit = None
        after = head[token.start() + hit.end() :] if hit else ""
        bare = hit is not None and hit.group() == word
        noun = not apart and log_texts.NOUN.match(after)
        if hit and not (bare and ((words and not timed) or noun)):
            return hit[1].upper(), after.lstrip(" \t:|)]>-.,")
        timed = timed or _TIME.search(word) is not None
        if _PLAIN.fullmatch(word) and not (word.isupper() or _DATE.fullmatch(word)):
            words += 1
        elif words and re.fullmatch(r"[\d,.]+", word):
            return None
        if words > 1:
            return None
    return None
