"""No secret in an output.

Values read as secrets are masked wherever they turn up, in whatever form; known shapes too.
"""

import functools
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opslib.core.redaction.forms import SHORTEST, Span, encoded, forms, layers, parts, placed
from opslib.core.redaction.names import holds_a_secret, is_sure
from opslib.core.redaction.names import names_a_secret as names_a_secret
from opslib.core.redaction.shapes import mask_encoded, mask_shapes

_ORDINARY = re.compile(  # it would mask these words, each day and what is in a region
    r"(?i)true|false|localhost|127\.0\.0\.1|postgres|postgresql|staging|production|development"
    r"|password|secret|default|enabled|disabled|example|unknown|string|required|optional|none|null"
    r"|\d{4}-\d\d-\d\d(?:[T ][\d:.+Z-]*)?|[a-z]{2}(?:-[a-z]+){1,2}-\d"
)
_IMAGE = re.compile(r"image/(?!svg\+xml$)")
# The same in HTML.
_PICTURE = re.compile(r"(data:image/(?:png|jpeg|gif|webp);base64,[\w+/=]{1000,})")
# What stands where a text was cut, perhaps after half of an escape.
_CUT = re.compile(
    r"(?:\ufffd|(?:(?<=%)|%)[0-9a-fA-F]?|(?:(?<=&)|&)[#\w]{0,8}"
    r"|\\*[ux][0-9a-fA-F]{0,3}){0,3}"
    r"(?:…|\.\.+|\\u2026|&hellip;| ?[\[(<](?:\.\.+|…|trunc|cut)[^\])>\n]{0,40}[\])>]?)"
)
_MASKED = re.compile(r"\[secret [^\]\n]*\]")
_ANY_MASK = re.compile(
    r"\[(?:secret(?: [^\]\n]*)?|password|token|key|cookie|signature|private key|AWS access key"
    r"|base64 of a text with secrets)\]"
)

_SHORT, _KEPT = 2_000, 8_192  # characters of a text whose mask is kept, and how many are


class Redactor:
    """Values to mask and what to call each of them. Safe to use from several threads."""

    def __init__(self) -> None:
        # Told each (value, label) that is registered: the engine masks the same values.
        self.on_register: Callable[[str, str], None] | None = None
        self._known: set[str] = set()
        self._labels: dict[str, str] = {}  # of each form
        self._heads: dict[str, list[str]] = {}  # forms by how they begin, the longest first
        self._alphabets: tuple[set[str], ...] = tuple(set() for _ in range(SHORTEST))
        self._finder: re.Pattern[str] | None = None
        self._short: list[tuple[re.Pattern[str], str]] = []  # short values, and their labels
        self._lock = threading.RLock()
        # A record says many short things often. Nothing is known of a text from before the last
        # value was registered.
        self._registered = 0
        self._often = functools.lru_cache(_KEPT)(lambda text, registered: self._masked(text))

    def register(self, value: Any, label: str) -> None:
        """Mask this value from now on; of a mapping or list, each value in it."""
        if isinstance(value, Mapping):
            for key, part in value.items():
                self.register(part, f"{label}:{key}")
        elif isinstance(value, (list, tuple, set)):
            for part in value:
                self.register(part, label)
        elif isinstance(value, (bytes, bytearray)):
            value = bytes(value)
            try:
                self._register(value.decode(), label)
            except UnicodeDecodeError:
                self.register({repr(value)[2:-1], *encoded(value)}, label)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            self._register(str(value), label)

    def _register(self, value: str, label: str) -> None:
        if not value.strip() or _ORDINARY.fullmatch(value):
            return
        with self._lock:
            if value in self._known:
                return
            self._known.add(value)
            if len(value.strip()) < SHORTEST:
                self._add_short(value.strip(), label)
            else:
                for form in forms(value):
                    self._add(form, label)
            self._registered += 1
        for part, name in parts(value, label):
            self.register(part, name)
        if self.on_register:
            self.on_register(value, label)

    def _add(self, form: str, label: str) -> None:
        if form in self._labels:
            return
        self._labels[form] = label
        beginning = self._heads.setdefault(form[:SHORTEST], [])
        beginning.append(form)
        beginning.sort(key=len, reverse=True)
        for alphabet, character in zip(self._alphabets, form, strict=False):
            alphabet.add(character)
        self._finder = None

    def _add_short(self, value: str, label: str) -> None:
        """As a word when it is no ordinary one, else beside its name only."""
        word = rf"(?<![\w.-]){re.escape(value)}(?![\w-])"
        plain = len(value) < 4 or value.isdigit() or value.isalpha()
        name = re.escape(re.split(r"[:/ ]", label)[-1])
        beside = rf"((?i:(?<!\w){name}\\?[\"']?\s*[:=]\s*\\?[\"']?)){word}"
        found = re.compile(beside if plain else f"(){word}")
        self._short.append((found, r"\1[secret " + label.replace("\\", "/") + "]"))

    def mask(self, text: str) -> str:
        """The text with every known value and every known shape of a credential masked."""
        if len(text) > _SHORT:
            around = enumerate(_PICTURE.split(text))
            return "".join(part if at % 2 else self._masked(part) for at, part in around)
        return self._often(text, self._registered) if text else text

    def _masked(self, text: str) -> str:
        text = self._once(text)
        return mask_encoded(text, self._once)

    def _once(self, text: str) -> str:
        text = _replaced(text, self._spans(text)) if self._labels else text
        for pattern, masked in self._short:
            text = pattern.sub(masked, text)
        return mask_shapes(text)

    def _spans(self, text: str) -> list[Span]:
        """Where known values are: whole, cut, escaped, or broken over lines."""
        above, below = layers(text)
        found = [*self._found(below)]
        for each in reversed(above if found else ()):
            found = [*placed(each, found)]
        return [*self._found(text), *found] if above else found

    def _found(self, text: str) -> Iterator[Span]:
        with self._lock:
            if self._finder is None:
                sets = ("".join(map(re.escape, sorted(each))) for each in self._alphabets)
                self._finder = re.compile("(?=(" + "".join(f"[{each}]" for each in sets) + "))")
        end = 0
        for hit in self._finder.finditer(text):
            at = hit.start()
            if at >= end and (candidates := self._heads.get(hit[1])):
                label = self._at(text, at, candidates)
                if label:
                    end = label[1]
                    yield label

    def _at(self, text: str, at: int, candidates: list[str]) -> Span | None:
        for form in candidates:
            end = at + len(form)
            around = text[at - 1 : at].isdigit() or text[end : end + 1].isdigit()
            if text.startswith(form, at) and not (form.isdigit() and around):
                return at, end, self._labels[form]
        for form in candidates:
            there = zip(form, text[at : at + len(form)], strict=False)
            end = at + next((n for n, (a, b) in enumerate(there) if a != b), len(form))
            if cut := _CUT.match(text, end):  # of its end may be told, too
                sizes = range(len(form), -1, -1)
                told = next(n for n in sizes if text.startswith(form[len(form) - n :], cut.end()))
                return at, cut.end() + told if told else end, self._labels[form]
        return None

    def mask_tree(self, obj: Any) -> Any:
        """A copy of nested dicts and lists with every string in it masked; keys too.

        Images are left alone, but for those that are text.
        """
        if isinstance(obj, str):
            # Half a character, of a text that was cut, can be neither sent nor kept.
            return self.mask(obj).encode(errors="backslashreplace").decode()
        if isinstance(obj, Mapping):
            secret = secret_keys(obj)
            return {
                self.mask_tree(k): v
                if _IMAGE.match(str(k))
                else f"[secret {secret[k]}]"
                if k in secret
                else self.mask_tree(v)
                for k, v in obj.items()
            }
        if isinstance(obj, (list, tuple)):
            return [self.mask_tree(part) for part in obj]
        label = self._labels.get(str(obj)) if type(obj) in (int, float) else None
        return f"[secret {label}]" if label else obj


def secret_keys(obj: Mapping[Any, Any]) -> dict[Any, str]:
    """Keys of an object under which a secret stands, and what it is called."""
    texts = {k: v for k, v in obj.items() if isinstance(v, str) and v and not v.startswith("[")}
    found = {k: str(k) for k in texts if is_sure(str(k)) and holds_a_secret(str(k), texts[k])}
    # Jupyter says an error's type beside what it says, and a KeyError names no secret.
    named = [k for k in texts if str(k).lower().endswith(("name", "key")) and k != "ename"]
    for key in (k for k in texts if str(k).lower().endswith("value")):
        for name in (texts[k] for k in named):
            if holds_a_secret(name, texts[key]):
                found[key] = name
    return found


def _replaced(text: str, spans: list[Span]) -> str:
    if not spans:
        return text
    already = [hit.span() for hit in _MASKED.finditer(text)]
    made, at = [], 0
    for start, end, label in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start < at:  # it overlaps the one before
            at = max(at, end)
        elif not any(a <= start and end <= b for a, b in already):
            made += [text[at:start], f"[secret {label}]"]
            at = end
    return "".join([*made, text[at:]])


redactor = Redactor()
register = redactor.register
mask = redactor.mask
mask_tree = redactor.mask_tree


def register_typed(parameters: Mapping[str, Any]) -> None:
    """Mask what was typed into a parameter that a secret's name names, or that stands beside it."""
    for name in typed_secrets(parameters):
        register(parameters[name], f"parameter {name}")


def typed_secrets(parameters: Mapping[str, Any]) -> list[str]:
    """The parameters that a secret's name names, or that stand beside one."""
    return sorted({*secret_keys(parameters), *filter(is_sure, parameters)})


def is_masked(text: str) -> bool:
    """Whether something in a text was masked, so that it cannot be used again."""
    return _ANY_MASK.search(text) is not None


def kernel_shell() -> Any:
    """The shell of the kernel that this is in; None elsewhere."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return None if getattr(shell, "kernel", None) is None else shell


def guard_kernel() -> None:
    """Mask every message that leaves this process's Jupyter kernel: outputs, errors, replies.

    Idempotent.
    """
    session = getattr(getattr(kernel_shell(), "kernel", None), "session", None)
    if session is None or getattr(session.pack, "masks", False):
        return
    pack = session.pack

    def masked(content: Any) -> bytes:
        packed: bytes = pack(mask_tree(content))
        return packed

    masked.masks = True  # type: ignore[attr-defined]
    session.pack = masked
