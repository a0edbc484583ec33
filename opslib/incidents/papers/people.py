"""People in what is handed on: hidden on request, each always by the same name."""

import re
from collections.abc import Iterable

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LEAST = 3  # letters of a name that is looked for in any case of letters


class Hidden:
    """Replaces names and mail addresses by person-1, person-2 …, the same for the same."""

    def __init__(self, names: Iterable[str]) -> None:
        self._of: dict[str, str] = {}
        known = {name.strip() for name in names} - {""}
        known |= {part for name in known if len(part := name.partition("@")[0]) >= _LEAST}
        for name in sorted(known):
            self._name(name)
        longest = sorted(known, key=len, reverse=True)
        words = "|".join(map(re.escape, longest)) or "(?!)"  # which is nowhere
        # `:root` of a style sheet is nobody; AROAEXAMPLE:ana, and the group of ana:ana, are
        self._names = re.compile(rf"(?<![\w-])(?<!(?<!\w):)(?:{words})(?![\w-])", re.I)

    def _name(self, person: str) -> str:
        known = person.partition("@")[0].lower()
        return self._of.setdefault(known, f"person-{len(self._of) + 1}")

    def hide(self, text: str) -> str:
        """The text without them."""
        text = _MAIL.sub(lambda hit: self._name(hit[0]), text)
        return self._names.sub(lambda hit: self._name(hit[0]), text)
