"""Text in pictures, in the font that comes with PIL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from repro.report.palette import VOID, colour_table

SIZE = 14
"""Height of letters in pixels where nothing else is asked for."""

_PAD = 5
_INK = (30, 30, 30)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size=size)
    except ImportError:  # a PIL built without FreeType has one small bitmap font
        return ImageFont.load_default()


def line_height(size: int = SIZE) -> int:
    """Height of one line of text with its margins, in pixels."""
    return size + 2 * _pad(size)


def text_width(text: str, size: int = SIZE) -> int:
    """Width of a text in pixels."""
    return int(np.ceil(_font(size).getlength(_drawable(text))))


# PIL's own font has few signs outside of Latin; a box in their place helps nobody
_INSTEAD = {"×": "x", "–": "-", "−": "-", "…": "...", "≥": ">=", "≤": "<="}


def _drawable(text: str) -> str:
    return "".join(_INSTEAD.get(sign, sign) if sign in _missing() else sign for sign in text)


@cache
def _missing() -> frozenset[str]:
    """The signs of _INSTEAD that the font draws as it draws one that no font has."""
    none = bytes(_font(SIZE).getmask("\uffff"))
    return frozenset(sign for sign in _INSTEAD if bytes(_font(SIZE).getmask(sign)) == none)


def _pad(size: int) -> int:
    return max(1, round(size * _PAD / SIZE))


def draw_line(
    picture: np.ndarray,
    text: str,
    left: int,
    right: int,
    *,
    top: int = 0,
    centred: bool = False,
    size: int = SIZE,
) -> None:
    """Write one line between two columns of picture (H, W, 3) uint8, in place; what is too long ends in an ellipsis."""
    text = _shorten(text, right - left, size)
    x = left + (right - left - text_width(text, size)) / 2 if centred else left
    canvas = Image.fromarray(picture)
    middle = top + line_height(size) / 2
    ImageDraw.Draw(canvas).text((x, middle), _drawable(text), fill=_INK, font=_font(size), anchor=_anchor())
    picture[:] = np.asarray(canvas)


def draw_legend(
    labels: Sequence[int],
    names: Sequence[str],
    width: int,
    size: int = SIZE,
    colours: Sequence[tuple[int, int, int]] = (),
) -> np.ndarray:
    """Colour patches and class names, wrapped to a width: (h, width, 3) uint8; one empty line for no labels.

    colours: as in `palette.colour_table`.
    """
    shown = [(label, _name(label, names)) for label in labels]
    patch, pad = size, _pad(size)
    rows: list[list[tuple[int, int, str]]] = [[]]
    x = pad
    for label, name in shown:
        needed = patch + pad + text_width(name, size) + 2 * pad
        if rows[-1] and x + needed > width:
            rows.append([])
            x = pad
        rows[-1].append((x, label, name))
        x += needed
    canvas = Image.new("RGB", (width, len(rows) * line_height(size)), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    table = colour_table(colours)
    for index, row in enumerate(rows):
        middle = index * line_height(size) + line_height(size) // 2
        for x, label, name in row:
            box = (x, middle - patch // 2, x + patch, middle + patch // 2)
            draw.rectangle(box, fill=tuple(table[label].tolist()), outline=(120, 120, 120))
            text = _shorten(name, width - x - patch - pad, size)
            draw.text((x + patch + pad, middle), _drawable(text), fill=_INK, font=_font(size), anchor=_anchor())
    return np.array(canvas)


def _name(label: int, names: Sequence[str]) -> str:
    if label == VOID:
        return "void"
    return names[label] if label < len(names) else f"class {label}"


def _shorten(text: str, width: int, size: int) -> str:
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text + "…" if text else ""


def _anchor() -> str | None:
    # the bitmap font knows no anchors
    return "lm" if isinstance(_font(SIZE), ImageFont.FreeTypeFont) else None
