"""Real JPEGs: small ones of book covers, and big ones as a good camera makes them."""

import io
import struct
from functools import cache
from random import Random

from PIL import Image, ImageDraw, ImageFilter

_CLOTH = (
    (74, 96, 68),
    (52, 62, 94),
    (120, 44, 40),
    (92, 70, 48),
    (88, 54, 92),
    (60, 88, 92),
    (132, 110, 76),
    (54, 54, 58),
)


def drawn(text: str, size: str) -> bytes:
    """Another one for each text, which is its JPEG comment.

    small: a cover of 480 × 360, 10 to 12 kB
    large: a photograph of 2400 × 1800 with all its grain, about 1 MB; of 800 × 600 it has 135 kB
    """
    comment = text.encode()
    jpeg = _cover(sum(comment) % len(_CLOTH)) if size == "small" else _photograph()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:]


@cache
def _cover(index: int) -> bytes:
    cover = Image.new("RGB", (480, 360), (232, 226, 214))
    draw = ImageDraw.Draw(cover)
    draw.rectangle((130, 24, 350, 336), fill=_CLOTH[index])
    draw.rectangle((130, 24, 146, 336), fill=tuple(int(part * 0.8) for part in _CLOTH[index]))
    for inset in (12, 16, 30):
        draw.rectangle((158 + inset, 24 + inset, 350 - inset, 336 - inset), outline=(196, 164, 92))
    rng = Random(index)
    for _ in range(90):
        x, y = rng.randrange(150, 345), rng.randrange(30, 330)
        draw.line((x, y, x + rng.randrange(-6, 7), y + rng.randrange(-6, 7)), fill=(196, 164, 92))
    return _jpeg(cover.filter(ImageFilter.GaussianBlur(0.6)), 80)


@cache
def _photograph() -> bytes:
    noise = Image.frombytes("L", (600, 450), Random(1859).randbytes(600 * 450)).resize(
        (2400, 1800), Image.Resampling.BICUBIC
    )
    cover = Image.open(io.BytesIO(_cover(2))).resize((2400, 1800), Image.Resampling.BICUBIC)
    return _jpeg(Image.blend(cover, Image.merge("RGB", (noise, noise, noise)), 0.22), 93)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
