"""A table as a picture, with the rules of printed tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from repro.errors import InputError
from repro.report.lettering import draw_line, line_height, text_width

_INK = 30
_THIN = 120


def table_picture(rows: Sequence[Sequence[str]], *, text: int = 28, blocks: int = 1, total: bool = False) -> np.ndarray:
    """Head and rows: (H, W, 3) uint8 RGB; the first column to the left, the others centred.

    text: height of the letters in pixels. blocks: the rows are set side by side in so many columns, as long tables
    are. total: the last row is a sum, below all of them, with a rule above it. InputError for ragged rows.
    """
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:
        raise InputError("a table needs a head and rows of its length")
    head, body = rows[0], [list(row) for row in rows[1:]]
    last = body.pop() if total else None
    blocks = max(1, min(blocks, len(body)))
    height, gap = line_height(text), text
    widths = [max(text_width(row[c], text) for row in rows) + gap for c in range(len(head))]
    per_block = -(-len(body) // blocks)
    block_width = sum(widths) + gap
    lines = per_block + 1 + (last is not None)
    picture = np.full((lines * height + 2 * gap, blocks * block_width + (blocks - 1) * gap, 3), 255, np.uint8)
    bottom = gap // 2 + (per_block + 1) * height + gap // 2
    for block in range(blocks):
        left = block * (block_width + gap)
        place = slice(left, left + block_width)
        _row(picture, head, widths, left, gap // 2, text)
        for number, row in enumerate(body[block * per_block : (block + 1) * per_block]):
            _row(picture, row, widths, left, gap // 2 + (number + 1) * height + gap // 4, text)
        for y, ink, thick in ((gap // 2, _INK, 3), (gap // 2 + height, _THIN, 2), (bottom, _INK, 3)):
            picture[y - thick : y, place] = ink
    if last is not None:
        _row(picture, last, widths, (blocks - 1) * (block_width + gap), bottom, text)
    return picture


def _row(picture: np.ndarray, row: Sequence[str], widths: Sequence[int], left: int, top: int, text: int) -> None:
    x = left + text // 2
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        draw_line(picture, cell, x, x + width, top=top, centred=column > 0, size=text)
        x += width
