"""Credentials that are known by their shape or by the name beside them, and what is encoded."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from itertools import groupby

from opslib.core.redaction.names import SURE, holds_a_secret

_Q = r"\\{0,8}[\"']"
_TOKENS = "|".join(
    (
        r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*(?:\.[\w-]*){0,2}",  # JWT, JWE
        r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|gl(?:pat|dt|rt|cbt|ptt|soat)-[\w-]{16,}",
        # of many vendors: a few letters, then something random
        r"(?:hf|do[opr]_v1|shp(?:at|ca|pa|ss)|glsa|glc|sbp|ntn|figd|lin_api|sntry[su]|nfp|r8|gsk)"
        r"_(?=\w*\d)[\w=-]{20,}|(?:pul|key|NRAK|PMAK)-(?=\w*\d)[0-9A-Za-z]{24,}[\w-]*",
        r"GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,}|1//0[\w-]{30,}|(?<=\dQ~)[\w~.-]{30,}",
        r"(?<=\.atlasv1\.)[\w-]{40,}|dp\.[a-z]{2,5}\.\w{30,}|dapi[0-9a-f]{32}|SK[0-9a-f]{32}",
        r"[0-9a-f]{32}-us\d\d?|AGE-SECRET-KEY-1\w{40,}",
        r"(?:FwoGZXIvYXdz|IQoJb3JpZ2lu)[\w/+=]{40,}|(?<=/IncomingWebhook/)[\w/-]{20,}",
        r"xox[a-z](?:\.xox[a-z])?-[\w-]{10,}|xapp-[\w-]{10,}",
        r"(?<=hooks\.slack\.com/services/)[\w/]{10,}",
        r"(?:sk|rk)_(?:live|test)_\w{10,}|whsec_\w{10,}|sk-[\w-]{20,}|AIza[\w-]{30,}",
        r"SG\.[\w-]{16,}\.[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}|hv[sb]\.[\w-]{20,}",
    )
)
_COMMAND = r"""(?x)(
    # of tools whose option has no name: what stands after it, quoted or not
    \b(?:mysql|mariadb)\w*\b[^\n|;&]{0,200}?\s-p | \b(?:redis|valkey)-cli\b[^\n|;&]{0,200}?\s-a\s+
    | \b(?:sshpass|(?:docker|podman|registry)\ login)\b[^\n|;&]{0,200}?\s-p\s*
    | \bsqlcmd\b[^\n|;&]{0,200}?\s-P\s+ | \bput-parameter\b[^\n|;&]{0,300}?\s--value[ =]\s*
    | --from-literal[ =][\"']?[\w.-]+= | \bvault\ kv\ put\ \S+\ [\w.-]+=
    | \bsecret\ set\ \S+\ --body[ =]
    | \bldap\w+\b[^\n|;&]{0,200}?\s-w\s+ | \bsmbclient\b[^\n|;&]{0,200}?%
    | \bmongo(?:sh|dump|restore|export)?\b[^\n|;&]{0,200}?\s-p\s+
    | \bopenssl\b[^\n|;&]{0,200}?\s(?:-k\s+|-pass(?:in|out)?[ =]pass:) | \bAUTH\ (?:default\ )
    | \b(?:zip\b[^\n|;&]{0,200}?\s-P\s+|7z\w?\b[^\n|;&]{0,200}?\s-p) | \bvault\ login\s+
    | \bcurl\b[^\n|;&]{0,300}?\s(?:-b|--cookie)[ =][\"']?[\w.-]+=
    | (?<![\w-])pass(?:\\{0,8}[\"'])?\ *[:=]\ *(?=\\{0,8}[\"']?[^\s\"',;\\]{0,40}\d)
      (?=\\{0,8}[\"']?[^\s\"',;\\]{0,40}[a-z])(?=\\{0,8}[\"']?[^\s\"',;\\]{8})
    | \bpassword\ (?:is|was)\ (?=[^\s\"',;]*\d)(?=[^\s\"',;]*[a-z])(?=[^\s\"',;]{8})
    | \brequirepass\s+ | \blogin\s+\S+\s+password\s+
    | \becho\s+(?:-n\s+)?(?=[^\n|]*\|[^\n|]*(?:-stdin\b|\bchpasswd\b))
)((?:\\{0,8}[\"'])?)(?![\[$-]|file:|\d+:\d+\b)[^\s\"'\\]+"""
_RANDOM = (
    r"(?-i:[0-9a-f-]{32,}|(?=[\w+/.~-]*[A-Z])(?=[\w+/.~-]*[a-z])(?=[\w+/.~-]*\d)[\w+/.~=-]{16,})"
)
_WORD = r"(?:required|missing|invalid|optional|(?:un)?changed|expired|(?:dis|en)abled)\b|\{\w+:"
_LOOKS = (
    (
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        "[private key]",
    ),
    (r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])", "[AWS access key]"),
    (rf"(?<![A-Z0-9_-])(?:{_TOKENS})", "[token]"),
    (
        r"(?i)(\bauthorization\b(?:\W{1,8}(?:bearer|basic|token|digest) +"
        r"|\\*[\"']?\s*[:=]\s*\\*[\"']?(?=[^\s\"'\\]*\d)(?=[^\s\"'\\]{8})))(?!\[)[^\s\"'\\]+",
        r"\1[token]",
    ),
    (r"(?i)(\bbearer +)(?=[^\s\"']*\d)[\w+/=.~-]{16,}", r"\1[token]"),
    (
        r"(?i)(\b(?:set-)?cookie\\*[\"']?\s*[:=]\s*\[?\\*[\"']?[^\s\"'=;]+=)[^\n\"']+",
        r"\1[cookie]",
    ),
    (
        # Its user may be missing; a slash or an @ in the password is not always escaped.
        r"(://[^\s:/?#@\"'<>]*:|jdbc:oracle:\w+:[^\s/@]+/)(?!\d{1,5}(?:[/?#]|$))(?:(?!://)[^\s\"'<>]){1,500}"
        r"(?=@[\w.\[-])",
        r"\1[password]",
    ),
    (rf"(://){_RANDOM}(?=@)", r"\1[key]"),
    (
        r"(X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)=|, ?Signature="
        r"|discord(?:app)?\.com/api/webhooks/\d+/|/bot\d{6,}:"
        r"|(?i:[?&](?:sig|signature|token|secret|auth)=)(?!\[))[^&\s\"']{6,}",
        r"\1[signature]",
    ),
    (_COMMAND, r"\1\2[secret]"),
    (
        rf"(?i)((?<![\w-])(?:token|secret|pass|otp|_?auth)(?:{_Q})?\s*[:=]\s*(?:{_Q})?){_RANDOM}",
        r"\1[secret]",
    ),
    # "password": "a b\"c", also inside JSON inside JSON
    (
        rf"(?i)((?:{SURE})\d*(?:{_Q})?\s*(?:[:=]|=>)\s*[bru]?(?P<q>{_Q}))(?!\[|\()"
        r"(?:(?!(?P=q)).|(?<=\\)(?P=q)){1,4000}?(?<!\\)(?=(?P=q))",
        r"\1[secret]",
    ),
    (
        rf"(?i)((?:{SURE})\d*\\?[\"']?\s*[:=]\s*(?:[|>][+-]?(?:\s|\\n)+)?\\?[\"']?)(?![\[(/]|{_WORD})[^\s\"',;}}\\\[(&<]{{6,}}",
        r"\1[secret]",
    ),
    (
        rf"(?i)((?:--|configure set )[\w-]*(?:{SURE}|token|secret)(?:[ =]|(?:{_Q})?,\s*)"
        rf"(?:{_Q})?+)(?![\[-])[^\s\"',\\\]]+",
        r"\1[secret]",
    ),
    (
        r"(?i)(\b(?:password(?:\s+(?:is|was))?|identified\s+(?:with\s+\S+\s+)?by"
        r"|set\s+password\b[^\n;=]*=(?:\s*password\()?|crypt\(|pgp_sym_\w+\([^()']*,)"
        r"\s*(?:E?'|\$\w*\$))(?!\[)(?:[^'$]|''|\$(?!\w*\$)){1,500}(?=['$])",
        r"\1[secret]",
    ),
    (
        r"((?::(?:54\d\d|6432)|(?<![\w:])\*:\*):[\w*-]+:[\w*.-]+:)(?!\[)[^\s:\"'\\]{4,}",
        r"\1[password]",
    ),  # .pgpass
    # curl -u somebody:…; docker's -u 1000:1000 is none
    (
        r"(\s(?:-u|--user)[ =]\\?[\"']?[^\s:\"']+:)(?!\[|\d+\b)[^\s\"'\\]+",
        r"\1[password]",
    ),
    (  # an access key's other half, a few words on; no hash
        r"(\[AWS access key\][^\n]{0,60}?(?<![\w/+=]))(?![0-9a-f]{40})[\w/+]{40}(?![\w/+=])",
        r"\1[secret]",
    ),
    (
        rf"(?i)(<(?:\w+:)?(?:{SURE})(?: [^<>]*)?>|<key>[^<>]*(?:{SURE})</key>\s*<string>"
        rf"|<\w+ (?:key|name)={_Q}[^\"\\]*(?:{SURE}){_Q}>)"
        r"(?!\[)[^<>]{1,500}(?=</)",
        r"\1[secret]",
    ),
)
_SHAPES = [(re.compile(look), masked) for look, masked in _LOOKS]

_QUICK = 3  # of these need no name, and are found quickly

_TEXT = r"(?:(?!(?P={q})).|(?<=\\)(?P={q})){{{least},4000}}?(?<!\\)(?=(?P={q}))"
_NAMED = rf"(?P<n>{_Q})(?P<name>[\w.:/-]{{2,120}})(?P=n)"
_VALUED = rf"(?P<v>{_Q})(?P<value>{_TEXT.format(q='v', least=1)})(?P=v)"
_OF_A_NAME = rf"\b\w*(?:name|key|variable|field)(?:{_Q})?\s*[:=]\s*{_NAMED}"
_OF_A_VALUE = rf"\b\w*(?:value|val)(?:{_Q})?\s*[:=]\s*{_VALUED}"
_PAIRS = (  # {"name": "DB_PASSWORD", "value": "…"}, in either order, in one object
    re.compile(rf"(?i){_OF_A_NAME}[^{{}}]{{0,200}}?{_OF_A_VALUE}"),
    re.compile(rf"(?i){_OF_A_VALUE}[^{{}}]{{0,200}}?{_OF_A_NAME}"),
    # DB_DSN=…, "STRIPE_TOKEN": "…"
    re.compile(r"\b(?P<name>[A-Z][A-Z0-9_]{2,80})=(?![\"'])(?P<value>[^\s\"'\\,;&<>]{6,})"),
    re.compile(
        rf"(?P<name>\b[A-Z][A-Z0-9_]{{2,80}})(?:{_Q})?\s*[:=]\s*(?P<v>{_Q})"
        rf"(?P<value>{_TEXT.format(q='v', least=4)})"
    ),
)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/]{4}){6,}[A-Za-z0-9+/]{0,3}={0,2}")
_PACKED = b"\x1f\x8b", b"\x78"  # gzip, zlib
_UNPACKED = 1_000_000


# One of these is in every name of a secret, and in what stands before one.
_WORDS = (
    "secret pass pwd token key cred dsn cookie jwt bearer conn salt pepper contrase kennwort pw "
    "-pat _pat url uri auth identified :// x-amz sig= signature= mysql mariadb redis-cli sqlcmd "
    "put-param literal oracle login otp auth curl crypt openssl zip 7z ldap smbclient mongo "
    ":54 :6432: *:*:"
)
_HINTS = (*_WORDS.split(), " -u", " --user")
_LONG = 20_000  # characters: of a longer text only lines near a hint are looked at closely
_NEAR = 5  # lines


def mask_shapes(text: str) -> str:
    """The text without what looks like a credential."""
    for shape, replacement in _SHAPES[:_QUICK]:
        text = shape.sub(replacement, text)
    if len(text) <= _LONG:
        return _closely(text)
    lines = text.split("\n")
    hinted = {at for at, line in enumerate(lines) if _hints(line)}
    near = {at + by for at in hinted for by in range(-_NEAR, _NEAR + 1)}
    blocks = groupby(range(len(lines)), near.__contains__)
    parts = ((hot, "\n".join(lines[at] for at in block)) for hot, block in blocks)
    return "\n".join(_closely(part) if hot else part for hot, part in parts)


def _hints(text: str) -> bool:
    lower = text.lower()
    return any(hint in lower for hint in _HINTS)


def _closely(text: str) -> str:
    if not _hints(text):
        return text
    for shape, replacement in _SHAPES[_QUICK:]:
        text = shape.sub(replacement, text)
    for pair in _PAIRS:
        text = pair.sub(_pair, text)
    return text


def _pair(hit: re.Match[str]) -> str:
    whole, value = hit[0], hit["value"]
    if value.startswith("[") or not holds_a_secret(hit["name"], value):
        return whole
    start, end = hit.start("value") - hit.start(), hit.end("value") - hit.start()
    return f"{whole[:start]}[secret {hit['name']}]{whole[end:]}"


def mask_encoded(text: str, mask: Callable[[str], str]) -> str:
    """The text without base64 of texts that `mask` would change: scripts of instances, logins."""

    def looked_into(hit: re.Match[str]) -> str:
        try:
            content = base64.b64decode(hit[0] + "=" * (-len(hit[0]) % 4))
            if content.startswith(_PACKED):
                content = zlib.decompressobj(47).decompress(content, _UNPACKED)
            inside = content.decode()
        except (ValueError, zlib.error):
            return hit[0]
        return hit[0] if mask(inside) == inside else "[base64 of a text with secrets]"

    return _BASE64.sub(looked_into, text)
