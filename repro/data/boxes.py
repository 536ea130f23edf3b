"""Boxes: x1, y1, x2, y2 in pixels, 0-based, both corners inside (inclusive); they may lie outside the image."""

from __future__ import annotations

import numpy as np

from repro.errors import InputError
from repro.report.palette import describe

# cv::resize keeps its coordinate tables in 16 bits; a window larger than this is a broken index file, not a crop
MAX_SIDE = 32767


def as_boxes(boxes: object, what: str = "boxes") -> np.ndarray:
    """Boxes as (N, 4) float64; InputError for another shape, for what is not finite, and for x2 < x1 or y2 < y1."""
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: not an array of numbers: {error}") from None
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(f"{what}: (N, 4) with x1, y1, x2, y2 expected, got {describe(array)}")
    wrong = ~np.isfinite(array).all(1) | (array[:, 2] < array[:, 0]) | (array[:, 3] < array[:, 1])
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(f"{what}: row {first} is {array[first].tolist()}, not a box x1 ≤ x2, y1 ≤ y2")
    return array


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of each box of a (N, 4) with each of b (M, 4): (N, M) float64."""
    a, b = as_boxes(a), as_boxes(b)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low + 1, 0, None).prod(2)
    areas = [(x[:, 2:] - x[:, :2] + 1).prod(1) for x in (a, b)]
    return np.asarray(inter / (areas[0][:, None] + areas[1][None, :] - inter))


def enlarge_boxes(boxes: np.ndarray, factor: float, *, square: bool = False) -> np.ndarray:
    """Boxes grown about their centres by `factor`, then, with square, to squares of the longer side: (N, 4) int64.

    Not clipped: the result may lie outside the image. Side lengths are rounded to the nearest pixel.
    (The paper's section 4.2: enlarged 1.2 times to take in context, then the tight square around that.)
    """
    if not np.isfinite(factor) or factor <= 0:
        raise InputError(f"boxes cannot be enlarged by {factor}; a positive factor was expected")
    array = as_boxes(boxes)
    sides = np.maximum(1, np.floor((array[:, 2:] - array[:, :2] + 1) * factor + 0.5))
    if square:
        sides = np.repeat(sides.max(1, keepdims=True), 2, axis=1)
    centres = (array[:, :2] + array[:, 2:]) / 2
    if sides.size and sides.max() > MAX_SIDE:
        longest = f"{sides.max():.0f} pixels"
        raise InputError(f"boxes enlarged by {factor:g} have sides of up to {longest}; at most {MAX_SIDE} are possible")
    low = np.floor(centres - (sides - 1) / 2 + 0.5)
    return np.concatenate([low, low + sides - 1], axis=1).astype(np.int64)


def crop_padded(array: np.ndarray, box: np.ndarray, fill: int) -> np.ndarray:
    """array (H, W) or (H, W, C) within a box that may lie outside it; outside there is `fill`."""
    x1, y1, x2, y2 = (int(v) for v in box)
    height, width = array.shape[:2]
    out = np.full((y2 - y1 + 1, x2 - x1 + 1, *array.shape[2:]), fill, array.dtype)
    top, left, bottom, right = max(y1, 0), max(x1, 0), min(y2 + 1, height), min(x2 + 1, width)
    if top < bottom and left < right:
        out[top - y1 : bottom - y1, left - x1 : right - x1] = array[top:bottom, left:right]
    return out
