"""No secret in an output.

Values read as secrets are masked wherever they turn up, known shapes too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

_SHORTEST = 6  # a shorter value would mask ordinary words
_PUBLIC = {"true", "false", "localhost", "127.0.0.1", "postgres", "staging", "production"}

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
        ),
        "[private key]",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "[AWS access key]"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), "[token]"),
    (re.compile(r"(?i)(\bauthorization\b\W{1,5}(?:bearer|basic) +)[^\s\"'\\]+"), r"\1[token]"),
    (re.compile(r"(://[^\s:/@\"']+:)[^\s@/\"']+(?=@)"), r"\1[password]"),
    (re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+"), r"\1[signature]"),
    (
        re.compile(
            r"(?i)(\b[\w-]*(?:password|passwd|api_?key|client_secret|secret_access_key|session_token)"
            r"\\?[\"']?\s*[:=]\s*\\?[\"']?)(?!\[)[^\s\"',;}\\\[(]{6,}"
        ),
        r"\1[secret]",
    ),
)


_SECRET_NAME = re.compile(
    r"secret|password|passwd|token|key|credential|database_url|dsn|cookie"
    r"|(?:^|[-_])auth(?:entication|orization)?$",
    re.IGNORECASE,
)


def names_a_secret(name: str, value: str = "") -> bool:
    """Whether a variable, a header or a setting looks like a secret by its name.

    Such a value is hidden in tables and masked in every output. An ARN names a secret, and is none.
    """
    return _SECRET_NAME.search(name) is not None and not value.startswith("arn:")


_IMAGE = re.compile(r"image/(?!svg\+xml$)")


class Redactor:
    """Values to mask and what to call each of them."""

    def __init__(self) -> None:
        # Told each (value, label) that is registered: the engine masks the same values.
        self.on_register: Callable[[str, str], None] | None = None
        self._labels: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._compiled = 0  # how many labels the pattern knows: a plan of Terraform's has thousands

    def register(self, value: Any, label: str) -> None:
        """Mask this value from now on; of a mapping or list, each value in it."""
        if isinstance(value, Mapping):
            for key, part in value.items():
                self.register(part, f"{label}:{key}")
        elif isinstance(value, (list, tuple)):
            for part in value:
                self.register(part, label)
        elif isinstance(value, str) and len(value) >= _SHORTEST and value.lower() not in _PUBLIC:
            if value in self._labels:
                return
            forms = (value, quote(value, safe=""), json.dumps(value)[1:-1])
            self._labels |= dict.fromkeys(forms, label)
            if self.on_register:
                self.on_register(value, label)

    def mask(self, text: str) -> str:
        """The text with every known value and every known shape of a credential masked."""
        if len(self._labels) != self._compiled:
            longest_first = sorted(self._labels, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            self._compiled = len(longest_first)
        if self._pattern:
            text = self._pattern.sub(lambda hit: f"[secret {self._labels[hit.group()]}]", text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def mask_tree(self, obj: Any) -> Any:
        """A copy of nested dicts and lists with every string in it masked; keys too.

        Images are left alone, but for those that are text.
        """
        if isinstance(obj, str):
            return self.mask(obj)
        if isinstance(obj, Mapping):
            return {
                self.mask_tree(k): v if _IMAGE.match(str(k)) else self.mask_tree(v)
                for k, v in obj.items()
            }
        if isinstance(obj, (list, tuple)):
            return [self.mask_tree(part) for part in obj]
        return obj


redactor = Redactor()
register = redactor.register
mask = redactor.mask
mask_tree = redactor.mask_tree


def guard_kernel() -> None:
    """Mask every message that leaves this process's Jupyter kernel: outputs, errors, replies.

    Idempotent.
    """
    import sys

    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython and ipython.get_ipython(), "kernel", None)
    session = getattr(kernel, "session", None)
    if session is None or getattr(session.pack, "masks", False):
        return
    pack = session.pack

    def masked(content: Any) -> bytes:
        packed: bytes = pack(mask_tree(content))
        return packed

    masked.masks = True  # type: ignore[attr-defined]
    session.pack = masked
