"""A picture of several panels, cut into them: each with its own words, as wide as there is room."""

import base64
import io
from typing import Any, NamedTuple

from opslib.core.checks.plots import CELL


class Shown(NamedTuple):
    """A picture as a page has it: its address, its words, and whether opslib drew it."""

    address: str
    words: str
    own: bool


def panels(data: dict[str, Any], said: Any) -> list[Shown]:
    """The parts of a PNG, or all of it as one where nothing is said of its parts."""
    text = str(data["image/png"]).replace("\n", "")
    words = str(data.get("text/plain", ""))
    if not isinstance(said, dict):
        return [Shown(_address(text), "" if words.startswith("<") else words, False)]
    told = [str(each) for each in said.get("panels") or ()]
    return _cut(text, told) if len(told) > 1 else [Shown(_address(text), words, True)]


def _cut(text: str, told: list[str]) -> list[Shown]:
    from PIL import Image

    try:
        whole = Image.open(io.BytesIO(base64.b64decode(text)))
        whole.load()
    except (OSError, ValueError):  # no picture of ours
        return [Shown(_address(text), "; ".join(told), True)]
    width, height = CELL
    made = []
    for number, words in enumerate(told):
        left, top = number % 2 * width, number // 2 * height
        part = io.BytesIO()
        whole.crop((left, top, left + width, top + height)).save(part, format="png")
        made.append(Shown(_address(base64.b64encode(part.getvalue()).decode()), words, True))
    return made


def _address(text: str) -> str:
    return f"data:image/png;base64,{text}"
