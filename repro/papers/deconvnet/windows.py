"""From object proposals to the windows that are scored: frames, enlargement, the size filter, the limit."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from repro.data.boxes import enlarge_boxes
from repro.data.proposals import release_offset
from repro.errors import InputError
from repro.papers.deconvnet.recipe import Recipe

BoxesFrame = Literal["image", "release"]
Windows = NDArray[np.int64]

# coordinates beyond this are a broken file, and their differences stay far from overflow
_COORDINATE_LIMIT = 1 << 24
# an OpenCV crop of this many pixels takes 800 MB; no object proposal of a photograph comes near
_PIXEL_LIMIT = 1 << 28


def select_windows(
    boxes: Any, image_size: tuple[int, int], recipe: Recipe, boxes_frame: BoxesFrame = "image"
) -> Windows:
    """Windows to score, in order: (n, 4) int64 x1, y1, x2, y2, 0-based, inclusive, in the image; may reach outside it.

    boxes: (N, 4) whole numbers, best first. ``boxes_frame="image"``: 0-based inclusive in the photograph.
    "release": 1-based inclusive in the script's padded frame, where the photograph of (height, width) lies `height`
    columns to the right and `width` rows down (the script swaps the two paddings).
    InputError for another shape, fractional, non-finite or inverted boxes, naming the row.
    Source: generate_EDeconvNet_CRF_results.m lines 57-101.
    """
    height, width = image_size
    windows = _checked(boxes)
    if boxes_frame not in get_args(BoxesFrame):
        raise InputError(f"boxes_frame={boxes_frame!r}; expected 'image' or 'release'")
    if boxes_frame == "release":
        windows = windows - release_offset(image_size)
    windows = grow(windows, recipe.enlarge, recipe.square)
    sides = windows[:, 2:] - windows[:, :2] + 1
    windows = windows[sides.min(axis=1) >= recipe.min_side] if len(windows) else windows
    if recipe.whole_image:
        windows = np.concatenate([np.array([[0, 0, width - 1, height - 1]]), windows])
    windows = windows[: recipe.max_proposals]
    _refuse_giants(windows)
    return windows


def grow(windows: Windows, enlarge: float, square: bool) -> Windows:
    """Windows enlarged around their centre, then made square by growing the shorter side; rounded to whole pixels.

    Source: paper, section 4.2 (boxes extended 1.2 times to include local context, then a tight square).
    """
    if enlarge == 1 and not square:
        return windows
    return enlarge_boxes(windows, enlarge, square=square)


def _checked(boxes: Any) -> Windows:
    try:
        array = np.asarray(boxes)
    except ValueError as error:
        raise InputError(f"boxes: expected an array (N, 4) of x1, y1, x2, y2 ({error})") from None
    if array.size == 0:
        return np.zeros((0, 4), np.int64)
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise InputError(
            f"boxes: expected numbers (N, 4): x1, y1, x2, y2; got shape {array.shape}, dtype {array.dtype}"
        )
    numbers = array.astype(np.float64)
    for bad, text in (
        (~np.isfinite(numbers).all(axis=1), "is not finite"),
        ((np.abs(numbers) > _COORDINATE_LIMIT).any(axis=1), f"has coordinates beyond ±{_COORDINATE_LIMIT}"),
        ((numbers != np.floor(numbers)).any(axis=1), "is not in whole pixels; round it first"),
        ((numbers[:, 2:] < numbers[:, :2]).any(axis=1), "is empty: x2 < x1 or y2 < y1 (inclusive corners expected)"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"boxes: row {row} {numbers[row].tolist()} {text}")
    return numbers.astype(np.int64)


def _refuse_giants(windows: Windows) -> None:
    sides = windows[:, 2:] - windows[:, :2] + 1
    giant = sides[:, 0] * sides[:, 1] > _PIXEL_LIMIT
    if giant.any():
        row = int(np.argmax(giant))
        width, height = sides[row]
        raise InputError(f"boxes: window {windows[row].tolist()} is {width}×{height}; at most {_PIXEL_LIMIT} pixels")
