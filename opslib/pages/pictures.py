"""A picture of several panels, cut into them: each with its own words, as wide as there is room."""

import base64
import io
from typing import Any, NamedTuple

from opslib.core import Json, escaped
from opslib.core.checks.plots import CELL
from opslib.core.findings import MIME


class Shown(NamedTuple):
    """A picture as a page has it: its address, its words, and whether opslib drew it."""

    address: str
    words: str
    own: bool


def is_ours(data: Json) -> bool:
    """Whether an output is a picture that opslib drew."""
    return "image/png" in data and "picture" in (data.get(MIME) or {})


def with_words(data: Json) -> Json:
    """The same for JupyterLab, which says no word of a PNG to who does not see it: as HTML."""
    words, source = escaped(data["text/plain"]), _address(data["image/png"].replace("\n", ""))
    image = f'<img class="jp-needs-light-background" alt="{words}" src="{source}">'
    return {**data, "text/html": image}


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
