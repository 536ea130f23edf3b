"""Generated cells, the weights of their borders, and both deformed, as U-Net trains."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.papers.unet import border_weights, deform, elastic_field, separate
from repro.report.figures import heat
from repro.report.overlay import montage, save_png
from repro.report.palette import voc_colormap

SIDE, CELLS = 260, 22


def cells(seed: int) -> NDArray[np.int32]:
    """Ellipses that touch but do not overlap: (SIDE, SIDE), 0 = background, a number per cell."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((SIDE, SIDE), np.int32)
    for number in range(1, CELLS + 1):
        centre, axes = rng.integers(10, SIDE - 10, 2), rng.integers(16, 34, 2)
        shape = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(shape, tuple(map(int, centre)), tuple(map(int, axes)), float(rng.integers(180)), 0, 360, 1, -1)
        plane[(shape == 1) & (plane == 0)] = number
    return plane


def draw(path: Path) -> None:
    """The figure as PNG."""
    whole = cells(3)
    field = elastic_field(whole.shape, np.random.default_rng(5))
    moved = np.asarray(deform(whole, field, labels=True))
    colours = voc_colormap()
    rows = [
        [colours[plane % 256], colours[separate(plane) % 256], heat(border_weights(separate(plane), balance=False))]
        for plane in (whole, moved)
    ]
    save_png(path, montage(rows, ("cells", "separated", "weights, 1 to 11"), ("as drawn", "deformed"), cell=(260, 260)))
