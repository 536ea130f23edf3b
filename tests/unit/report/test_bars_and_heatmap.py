"""Charts of scores: each value where it belongs, and nothing drawn for what is no number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from repro.errors import InputError
from repro.report.bars import MEASURED, PUBLISHED, Bar, Group, bar_chart
from repro.report.heatmap import confusion_picture

LEGEND = (("measured", MEASURED),)


def lengths(value: float) -> int:
    """Pixels of the bar's colour in the chart of one bar, the legend's patch left out."""
    with_bar = bar_chart("t", [Group("a", (Bar(value),))], LEGEND)
    without = bar_chart("t", [Group("a", (Bar(math.nan),))], LEGEND)
    return int((with_bar == MEASURED).all(axis=2).sum() - (without == MEASURED).all(axis=2).sum())


def test_bars_are_as_long_as_their_values() -> None:
    full = lengths(100)
    assert lengths(50) == pytest.approx(full / 2, rel=0.02)
    assert lengths(250) == full
    assert lengths(-3) <= full / 100
    assert full > 400


def test_groups_take_room_for_their_bars() -> None:
    one = bar_chart("t", [Group("a", (Bar(1),) * 2)], LEGEND)
    five = bar_chart("t", [Group("a", (Bar(1), Bar(2, PUBLISHED))) for _ in range(5)], LEGEND)
    assert one.shape[1] == five.shape[1]
    assert five.shape[0] > one.shape[0]
    assert bar_chart("a very long title " * 20, [Group("name " * 9, (Bar(1),))], ()).shape[2] == 3
    for empty in ([], [Group("a", ())]):
        with pytest.raises(InputError):
            bar_chart("t", empty, LEGEND)


def test_a_confusion_matrix_is_dark_where_pixels_are() -> None:
    counts = np.array([[9, 1, 0], [0, 0, 0], [0, 10, 0]])
    names = ("background", "cat", "dog")
    picture = confusion_picture(counts, names)
    dark = (picture == [8, 48, 107]).all(axis=2)
    rows, columns = np.nonzero(dark)
    # one full cell: truth dog, result cat
    assert rows.max() - rows.min() < 40
    assert columns.max() - columns.min() < 40
    grey = (picture == 235).all(axis=2)
    assert grey.sum() == pytest.approx(3 * 33 * 33, rel=0.01)
    for wrong in (counts[:2], counts[0], np.zeros((4, 4), int)):
        with pytest.raises(InputError):
            confusion_picture(wrong, names)
