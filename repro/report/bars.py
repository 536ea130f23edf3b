"""Bar charts of scores in percent, as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from repro.errors import InputError
from repro.report.lettering import draw_line, line_height, text_width

MEASURED = (31, 119, 180)
PUBLISHED = (176, 176, 176)
_GRID = (225, 225, 225)
_INK = (30, 30, 30)
_GAP = 6
_BAR = 14
_SCALE_WIDTH = 480


@dataclass(frozen=True)
class Bar:
    """value: percent, NaN for none (the bar is left out and a dash written); colour: RGB."""

    value: float
    colour: tuple[int, int, int] = MEASURED


@dataclass(frozen=True)
class Group:
    """Bars below each other under one name."""

    name: str
    bars: tuple[Bar, ...]


def bar_chart(title: str, groups: Sequence[Group], legend: Sequence[tuple[str, tuple[int, int, int]]]) -> np.ndarray:
    """Horizontal bars from 0 to 100 percent: (H, W, 3) uint8 RGB. legend: (text, colour) each."""
    if not groups or not all(group.bars for group in groups):
        raise InputError("a bar chart needs at least one bar in each group")
    names = max(text_width(group.name) for group in groups) + 2 * _GAP
    width = names + _SCALE_WIDTH + text_width("100.00") + 3 * _GAP
    heights = [max(len(group.bars) * _BAR, line_height()) + _GAP for group in groups]
    top = 3 * line_height()
    picture = np.full((top + sum(heights) + _GAP, width, 3), 255, np.uint8)
    draw_line(picture, title, _GAP, width - _GAP)
    _legend(picture, legend, width)
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for percent in range(0, 101, 10):
        x = names + percent * _SCALE_WIDTH // 100
        draw.line((x, top, x, picture.shape[0] - _GAP), fill=_GRID)
    y = top
    for group, height in zip(groups, heights, strict=True):
        for index, bar in enumerate(group.bars):
            first = y + index * _BAR + 1
            if not math.isnan(bar.value):
                end = names + round(min(max(bar.value, 0), 100) * _SCALE_WIDTH / 100)
                draw.rectangle((names, first, max(end, names), first + _BAR - 3), fill=bar.colour)
        y += height
    picture = np.array(canvas)
    _write(picture, groups, heights, names, top)
    return picture


def _write(picture: np.ndarray, groups: Sequence[Group], heights: Sequence[int], names: int, top: int) -> None:
    y = top
    for group, height in zip(groups, heights, strict=True):
        middle = y + len(group.bars) * _BAR // 2
        _text(picture, group.name, _GAP, names, middle)
        for index, bar in enumerate(group.bars):
            # the figures stand in one column, so that a chart of many bars can be read down
            figure = "-" if math.isnan(bar.value) else f"{bar.value:.1f}"
            _text(picture, figure, names + _SCALE_WIDTH + _GAP, picture.shape[1], y + index * _BAR + _BAR // 2)
        y += height


def _text(picture: np.ndarray, text: str, left: int, right: int, middle: int) -> None:
    half = line_height() // 2
    part = picture[max(middle - half, 0) : middle - half + line_height()]
    draw_line(part, text, left, right)


def _legend(picture: np.ndarray, legend: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> None:
    x, top = _GAP, line_height()
    for text, colour in legend:
        picture[top + 6 : top + 6 + _BAR - 2, x : x + _BAR] = colour
        draw_line(picture, text, x + _BAR + _GAP, width, top=top)
        x += _BAR + text_width(text) + 4 * _GAP
