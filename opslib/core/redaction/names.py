"""Names that tell of a secret: of variables, headers, settings and attributes. One list."""

import re
from functools import lru_cache

_NAME = re.compile(
    r"secret|passw(?:or)?d|passphrase|passcode|pwd|token|key|credential|creds?(?:$|[-_])|dsn"
    r"|cookie|jwt|bearer|conn(?:ection)?[-_]?str(?:ing)?|(?:^|[-_.])pass(?:$|[-_.])|(?<=[a-z])Pass$"
    r"|(?:^|[-_])(?:pat|salt|pepper)$|webhook[-_]?url"
    r"|(?:database|db|redis|broker|amqp|rabbitmq|mongo(?:db)?|postgres(?:ql)?|mysql|celery\w*"
    r"|jdbc|cache|sqlalchemy\w*)[-_]?(?:ur[il]|dsn)"
    r"|(?:^|[-_])auth(?:entication|orization)?$|signed[-_]?url|origin[-_]verify",
    re.IGNORECASE,
)
# A value beside one of these is a secret, also in prose and in others' data.
SURE = (
    r"(?:passw(?:or)?[dt]s?|passphrase|passcode|(?<![a-z])pwd?|mot[- ]de[- ]passe|kennwort"
    r"|contrase\S{1,6}as?|(?:db|ssh|become|smtp|sudo|user|admin|root|ftp|proxy|login)[-_]?pass(?![a-z])"
    r"|(?:api|account|private|signing|encryption"
    r"|shared|secret|master|license|hmac|fernet)[-_.]?key(?:[-_]?base)?|(?:secret|shared)[-_]?access[-_]?key"
    r"|(?:client|signing|webhook|consumer|jwt|oauth|token)[-_]?secret"
    r"|(?:session|access|auth|refresh|id|bearer|security|api|bot|github|gitlab|slack|vault|private"
    r"|gh|npm|deploy)[-_]?token"
    r"|signed[-_]?url|secret[-_]?string|auth[-_]?string|connection[-_]?string|(?<![a-z])dsn)"
    r"(?:[-_](?:prod|production|dev|development|staging|test|live|old|new|current|previous))?"
)
_SURE_KEY = re.compile(rf"(?i)(?:.*?(?:{SURE})|(?:token|secret[-_]?value))[-_]?\d*")
# NAME=value, NAME: value
ENTRY = re.compile(
    r"(?:export\s+)?(?P<name>[A-Za-z_][\w.-]*)\s*[:=]\s*(?P<q>[\"']?)(?P<value>.+?)(?P=q)"
)
# Beside a secret's name it says something about the secret, or is a place of the shell's.
_ABOUT = re.compile(
    r"(?i)(?:name|arn|path|file|ttl|expir\w*|length|size|type|enabled|header|prefix|algorithm"
    r"|version|seconds|minutes|hours|days|rotation|policy|region|id|route[-_]?key)s?$"
)
_COUNTED = re.compile(r"(?i).*(?:tokens|count|used|usage|limit)\w*=[\d.,_]{1,12}")
_TRUTHS = re.compile("(?i)true|false|yes|no|on|off|null|none|")


def names_a_secret(name: str, value: object = "") -> bool:
    """Whether a variable, a header or a setting looks like a secret by its name.

    Such a value is hidden in tables and masked in every output. An ARN names a secret, and is none;
    nor is the shell's PWD, a folder, nor how many tokens a model may use.
    """
    if str(value).startswith("arn:") or (name.upper() == "PWD" and str(value).startswith("/")):
        return False
    return not _COUNTED.fullmatch(f"{name}={value}") and _NAME.search(name) is not None


def holds_a_secret(name: str, value: object) -> bool:
    """The same for names in others' texts: what is only about a secret, and truths, are shown."""
    said = _TRUTHS.fullmatch(str(value).strip())
    about = _ABOUT.search(name) and not re.search(r"(?i)key[-_]?id$", name)
    return names_a_secret(name, value) and not about and not said


@lru_cache(4_096)  # the keys of what AWS answers and of records: the same few, often
def is_sure(name: str) -> bool:
    """Whether what stands under this key of an object is a secret, whatever the object is."""
    return _SURE_KEY.fullmatch(name) is not None
