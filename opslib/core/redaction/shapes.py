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
        r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}",
        r"xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}|(?<=hooks\.slack\.com/services/)[\w/]{10,}",
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
    | \brequirepass\s+ | \blogin\s+\S+\s+password\s+
    | \becho\s+(?:-n\s+)?(?=[^\n|]*\|[^\n|]*(?:-stdin\b|\bchpasswd\b))
)((?:\\{0,8}[\"'])?)(?![\[$-]|file:|\d+:\d+\b)[^\s\"'\\]+"""
_RANDOM = (
    r"(?-i:[0-9a-f-]{32,}|(?=[\w+/.~-]*[A-Z])(?=[\w+/.~-]*[a-z])(?=[\w+/.~-]*\d)[\w+/.~=-]{16,})"
)
_LOOKS = (
    (
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        "[private key]",
    ),
    (r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])", "[AWS access key]"),
    (rf"(?<![A-Z0-9_-])(?:{_TOKENS})", "[token]"),
    (
        r"(?i)(\bauthorization\b\W{1,8}(?:bearer|basic|token|digest) +)(?!\[)[^\s\"'\\]+",
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
    (r"(://)[0-9a-f]{32}(?=@)", r"\1[key]"),
    (
        r"(X-Amz-(?:Signature|Credential|Security-Token)=|, ?Signature="
        r"|discord(?:app)?\.com/api/webhooks/\d+/|/bot\d{6,}:"
        r"|(?i:[?&](?:sig|signature|token|secret|auth)=)(?!\[))[^&\s\"']{6,}",
        r"\1[signature]",
    ),
    (_COMMAND, r"\1\2[secret]"),
    (
        rf"(?i)((?<![\w-])(?:token|secret|pass|otp)(?:{_Q})?\s*[:=]\s*(?:{_Q})?){_RANDOM}",
        r"\1[secret]",
    ),
    # "password": "a b\"c", also inside JSON inside JSON
    (
        rf"(?i)((?:{SURE})\d*(?:{_Q})?\s*(?:[:=]|=>)\s*(?P<q>{_Q}))(?!\[|\()"
        r"(?:(?!(?P=q)).|(?<=\\)(?P=q)){1,4000}?(?<!\\)(?=(?P=q))",
        r"\1[secret]",
    ),
    (
        rf"(?i)((?:{SURE})\d*\\?[\"']?\s*[:=]\s*\\?[\"']?)(?![\[(/])[^\s\"',;}}\\\[(&<]{{6,}}",
        r"\1[secret]",
    ),
    (
        rf"(?i)((?:--|configure set )[\w-]*(?:{SURE}|token|secret)(?:[ =]|(?:{_Q})?,\s*)"
        rf"(?:{_Q})?+)(?![\[-])[^\s\"',\\\]]+",
        r"\1[secret]",
    ),
    (
        r"(?i)(\b(?:password(?:\s+(?:is|was))?|identified\s+(?:with\s+\S+\s+)?by"
        r"|set\s+password\b[^\n;=]*=(?:\s*password\()?)\s*')(?!\[)"
        r"(?:[^']|''){1,500}(?=')",
        r"\1[secret]",
    ),
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
        rf"(?i)(<(?:{SURE})>|<\w+ (?:key|name)={_Q}[^\"\\]*(?:{SURE}){_Q}>)"
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
_GZIP = b"\x1f\x8b"
_UNPACKED = 1_000_000


# One of these is in every name of a secret, and in what stands before one.
_WORDS = (
    "secret pass pwd token key cred dsn cookie jwt bearer conn salt pepper -pat _pat url uri auth "
    "identified :// x-amz sig= signature= mysql mariadb redis-cli sqlcmd put-param literal oracle "
    "login otp"
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
            if content.startswith(_GZIP):
                content = zlib.decompressobj(31).decompress(content, _UNPACKED)
            inside = content.decode()
        except (ValueError, zlib.error):
            return hit[0]
        return hit[0] if mask(inside) == inside else "[base64 of a text with secrets]"

    return _BASE64.sub(looked_into, text)
