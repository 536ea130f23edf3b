"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from repro.errors import InputError
from repro.report.lettering import draw_line, line_height, text_width
from repro.report.palette import VOC_CLASSES, describe

_CELL = 34
_GAP = 6
# white to a dark blue; a cell of no share at all stays white
_DARK = np.array([8, 48, 107], np.float64)


def confusion_picture(confusion: np.ndarray, names: Sequence[str] = VOC_CLASSES, title: str = "") -> np.ndarray:
    """Rows truth, columns result, each cell the share of its row in percent: (H, W, 3) uint8 RGB.

    confusion: (K, K) counts. Rows without a pixel stay grey. Shares under half a percent have no figure.
    """
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or len(counts) != len(names):
        raise InputError(f"a confusion matrix of {len(names)} classes expected, got {describe(confusion)}")
    size = len(counts)
    left = max(text_width(name) for name in names) + 2 * _GAP
    top = 2 * line_height() + left
    picture = np.full((top + size * _CELL + _GAP, left + size * _CELL + _GAP, 3), 255, np.uint8)
    draw_line(
        picture, title or "truth (down) and result (across), percent of the truth's pixels", _GAP, len(picture[0])
    )
    for column, name in enumerate(names):
        _upright(picture, name, left + column * _CELL, top, left)
    for row, name in enumerate(names):
        y = top + row * _CELL
        draw_line(picture[y : y + _CELL], name, _GAP, left, top=(_CELL - line_height()) // 2)
        total = counts[row].sum()
        for column in range(size):
            cell = picture[y + 1 : y + _CELL, left + column * _CELL + 1 : left + (column + 1) * _CELL]
            if not total:
                cell[:] = 235
                continue
            share = counts[row, column] / total
            cell[:] = np.rint(255 + (_DARK - 255) * share).astype(np.uint8)
            if share >= 0.005:
                _figure(cell, f"{100 * share:.0f}", dark=share > 0.5)
    return picture


def _upright(picture: np.ndarray, text: str, x: int, bottom: int, length: int) -> None:
    """Write a column's name from below upwards."""
    line = np.full((line_height(), length, 3), 255, np.uint8)
    draw_line(line, text, _GAP, length)
    turned = np.rot90(line)
    at = x + (_CELL - line_height()) // 2
    picture[bottom - length : bottom, at : at + line_height()] = turned


def _figure(cell: np.ndarray, text: str, *, dark: bool) -> None:
    part = np.array(Image.fromarray(cell))
    if dark:
        # ink is dark: on a dark ground the figure is drawn on its negative
        part = 255 - part
    draw_line(part, text, 0, part.shape[1], top=(len(part) - line_height()) // 2, centred=True)
    cell[:] = 255 - part if dark else part
