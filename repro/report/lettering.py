"""Text in pictures, in the font that comes with PIL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from repro.report.palette import VOID, voc_colormap

_SIZE = 14
_PAD = 5
_INK = (30, 30, 30)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size=_SIZE)
    except ImportError:  # a PIL built without FreeType has one small bitmap font
        return ImageFont.load_default()


def line_height() -> int:
    """Height of one line of text with its margins, in pixels."""
    return _SIZE + 2 * _PAD


def text_width(text: str) -> int:
    """Width of a text in pixels."""
    return int(np.ceil(_font().getlength(text)))


def draw_line(picture: np.ndarray, text: str, left: int, right: int, *, top: int = 0, centred: bool = False) -> None:
    """Write one line between two columns of picture (H, W, 3) uint8, in place; what is too long ends in an ellipsis."""
    text = _shorten(text, right - left)
    x = left + (right - left - text_width(text)) / 2 if centred else left
    canvas = Image.fromarray(picture)
    ImageDraw.Draw(canvas).text((x, top + line_height() / 2), text, fill=_INK, font=_font(), anchor=_anchor())
    picture[:] = np.asarray(canvas)


def draw_legend(labels: Sequence[int], names: Sequence[str], width: int) -> np.ndarray:
    """Colour patches and class names, wrapped to a width: (h, width, 3) uint8; one empty line for no labels."""
    shown = [(label, _name(label, names)) for label in labels]
    patch = _SIZE
    rows: list[list[tuple[int, int, str]]] = [[]]
    x = _PAD
    for label, name in shown:
        needed = patch + _PAD + text_width(name) + 2 * _PAD
        if rows[-1] and x + needed > width:
            rows.append([])
            x = _PAD
        rows[-1].append((x, label, name))
        x += needed
    canvas = Image.new("RGB", (width, len(rows) * line_height()), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    colours = voc_colormap()
    for index, row in enumerate(rows):
        middle = index * line_height() + line_height() // 2
        for x, label, name in row:
            box = (x, middle - patch // 2, x + patch, middle + patch // 2)
            draw.rectangle(box, fill=tuple(colours[label].tolist()), outline=(120, 120, 120))
            text = _shorten(name, width - x - patch - _PAD)
            draw.text((x + patch + _PAD, middle), text, fill=_INK, font=_font(), anchor=_anchor())
    return np.array(canvas)


def _name(label: int, names: Sequence[str]) -> str:
    if label == VOID:
        return "void"
    return names[label] if label < len(names) else f"class {label}"


def _shorten(text: str, width: int) -> str:
    if text_width(text) <= width:
        return text
    while text and text_width(text + "…") > width:
        text = text[:-1]
    return text + "…" if text else ""


def _anchor() -> str | None:
    # the bitmap font knows no anchors
    return "lm" if isinstance(_font(), ImageFont.FreeTypeFont) else None
