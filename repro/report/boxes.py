"""Boxes drawn into a photograph, the first ones on top."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError
from repro.report.lettering import draw_line, line_height
from repro.report.overlay import enlarged
from repro.report.palette import describe

TRUTH = (255, 255, 255)


def rank_colours(count: int) -> NDArray[np.uint8]:
    """Colours from the first to the last rank: (count, 3) uint8 RGB, yellow over green to dark blue (viridis)."""
    ramp = np.linspace(255, 0, max(count, 1)).astype(np.uint8).reshape(-1, 1)
    return np.asarray(cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)[:count, 0, ::-1], np.uint8)


def draw_boxes(
    image: NDArray[np.uint8],
    boxes: NDArray[np.int64],
    *,
    colours: NDArray[np.uint8] | None = None,
    truth: NDArray[np.int64] | None = None,
    caption: str = "",
    side: int = 1000,
) -> NDArray[np.uint8]:
    """The photograph with its boxes: (h, w, 3) uint8 RGB, enlarged to a longer side of about `side` pixels.

    image: (H, W, 3) uint8 RGB; boxes and truth: (N, 4) x1, y1, x2, y2, 0-based, inclusive; what lies outside the
    photograph is cut off. colours: (N, 3) RGB, default `rank_colours`. truth is drawn white, on top. caption: a line
    below.
    """
    boxes = _boxes(boxes)
    colours = rank_colours(len(boxes)) if colours is None else colours
    shown = enlarged(image, side)
    scale = shown.shape[1] / image.shape[1], shown.shape[0] / image.shape[0]
    width = max(1, round(max(shown.shape) / 500))
    for box, colour in reversed(list(zip(boxes, colours, strict=True))):
        _outline(shown, box, scale, tuple(colour.tolist()), width)
    for box in _boxes(truth) if truth is not None else ():
        _outline(shown, box, scale, (0, 0, 0), width + 4)
        _outline(shown, box, scale, TRUTH, width + 1)
    if not caption:
        return shown
    line = np.full((line_height(), shown.shape[1], 3), 255, np.uint8)
    draw_line(line, caption, 4, shown.shape[1] - 4)
    return np.concatenate([shown, line])


def _outline(
    picture: NDArray[np.uint8], box: NDArray[np.int64], scale: tuple[float, float], colour: tuple[int, ...], width: int
) -> None:
    # the box's outer edges, half a pixel outside its inclusive corners
    x1, x2 = (round(float(v) * scale[0]) for v in (box[0], box[2] + 1))
    y1, y2 = (round(float(v) * scale[1]) for v in (box[1], box[3] + 1))
    cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), colour, width, cv2.LINE_AA)


def _boxes(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all() or (np.abs(boxes) > 1 << 20).any():
        raise InputError(f"boxes to draw must be (N, 4) x1, y1, x2, y2 near the photograph, got {describe(boxes)}")
    return boxes
