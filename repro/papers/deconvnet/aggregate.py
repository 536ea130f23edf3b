"""Score maps of windows, resized back and folded into one map of the whole image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from repro.data.resample import Flavour, axis_order, bilinear_taps
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.windows import Windows

# channels resized at a time: their lines stay in the processor's cache, and small buffers are not paged in anew
_CHANNELS = 3


def aggregate_max_(canvas: torch.Tensor, maps: torch.Tensor, boxes: Windows, resampling: Flavour = "matlab") -> None:
    """Resize each map to its box and take the elementwise maximum with what the canvas holds, in place.

    canvas: (C, H, W) float32; maps: (n, C, h, w) float32; boxes: (n, 4) x1, y1, x2, y2, 0-based, inclusive, in the
    canvas, which they may leave on any side. Computed in float32, product by product in the order of the taps, without
    fused multiply-add, first the axis that `resample.axis_order` names: the same bits for any number of threads.
    """
    for part, resized in _placed(canvas, maps, boxes, resampling):
        torch.maximum(part, resized, out=part)


def aggregate_sum_(canvas: torch.Tensor, maps: torch.Tensor, boxes: Windows, resampling: Flavour = "matlab") -> None:
    """As `aggregate_max_`, but adds (the paper's Eq. 2), map after map."""
    for part, resized in _placed(canvas, maps, boxes, resampling):
        part += resized


def _placed(
    canvas: torch.Tensor, maps: torch.Tensor, boxes: Windows, resampling: Flavour
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of a part of the canvas and what is to be folded into it."""
    for score, box in zip(maps, boxes, strict=True):
        x1, y1, x2, y2 = map(int, box)
        top, bottom = max(y1, 0), min(y2 + 1, canvas.shape[1])
        left, right = max(x1, 0), min(x2 + 1, canvas.shape[2])
        if top >= bottom or left >= right:
            continue
        size, window = (y2 - y1 + 1, x2 - x1 + 1), ((top - y1, bottom - y1), (left - x1, right - x1))
        for first in range(0, len(score), _CHANNELS):
            group = slice(first, first + _CHANNELS)
            yield canvas[group, top:bottom, left:right], resize_map(score[group], size, window, resampling)


def resize_map(
    score: torch.Tensor,
    size: tuple[int, int],
    window: tuple[tuple[int, int], tuple[int, int]],
    resampling: Flavour = "matlab",
) -> torch.Tensor:
    """Resize (C, h, w) float32 to `size` (height, width); only rows and columns of `window` ((from, to), (from, to)).

    Equals `resample.imresize` of the (h, w, C) array in the same flavour, bit for bit ("opencv": its coordinates in
    floating point).
    """
    # the axis in work lies first, so that each tap gathers whole lines
    lines = score
    for axis in axis_order((score.shape[1], score.shape[2]), size, resampling):
        lines = lines.movedim(axis + 1, 0)
        if score.shape[axis + 1] == size[axis]:
            lines = lines[window[axis][0] : window[axis][1]]
        else:
            lines = _resample_lines(lines.contiguous(), size[axis], window[axis], resampling)
        lines = lines.movedim(0, axis + 1)
    return lines


def _resample_lines(lines: torch.Tensor, n_out: int, part: tuple[int, int], resampling: Flavour) -> torch.Tensor:
    taps = bilinear_taps(lines.shape[0], n_out, True, resampling)
    index = torch.from_numpy(np.array(taps.index[part[0] : part[1]].T, order="C")).to(lines.device)
    weight = torch.from_numpy(np.array(taps.weight[part[0] : part[1]].T, order="C")).to(lines)
    total = lines.index_select(0, index[0]).mul_(weight[0, :, None, None])
    for tap in range(1, len(index)):
        # kept apart from the addition: one rounding more than a fused multiply-add, as the original has
        total += lines.index_select(0, index[tap]).mul_(weight[tap, :, None, None])
    return total


class ScoreCanvas:
    """The aggregated score map while windows are folded in, a batch at a time; memory does not grow with windows."""

    def __init__(self, image_size: tuple[int, int], recipe: Recipe) -> None:
        self._recipe = recipe
        height, width = image_size
        # memory order H, C, W: the resized maps come in it, so folding reads and writes whole lines
        self._canvas = torch.zeros(height, recipe.num_classes, width).permute(1, 0, 2)
        self._count = 0
        self._cover = np.zeros((height, width), np.int32)
        if recipe.aggregate == "max" and recipe.floor != "zero":
            self._canvas.fill_(-torch.inf)

    def fold(self, maps: torch.Tensor, windows: Windows) -> None:
        """Fold maps (n, C, h, w) float32 of windows (n, 4), 0-based inclusive in the image."""
        recipe = self._recipe
        boxes = windows + recipe.score_shift
        fold = aggregate_max_ if recipe.aggregate == "max" else aggregate_sum_
        fold(self._canvas, maps, boxes, recipe.resampling)
        for x1, y1, x2, y2 in boxes:
            self._cover[max(y1, 0) : max(y2 + 1, 0), max(x1, 0) : max(x2 + 1, 0)] += 1
        self._count += len(boxes)

    def scores(self) -> NDArray[np.float64]:
        """(H, W, C) float64 holding single-precision values; 0 where no window covers."""
        canvas = self._canvas.permute(1, 2, 0).numpy()
        if self._recipe.aggregate == "max" and self._recipe.floor != "zero":
            if self._recipe.floor == "padding":
                partly = self._cover < max(self._count, 1)
                canvas = np.where(partly[:, :, None], np.maximum(canvas, 0), canvas)
            else:
                canvas = np.where((self._cover == 0)[:, :, None], 0, canvas)
        return canvas.astype(np.float64, order="C")
