"""Score maps of windows, resized back and folded into one map of the whole image."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from repro.data.resample import Flavour, Taps, apply_taps, axis_order, bilinear_taps
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.windows import Windows

Maps = NDArray[np.float32]

# channels resized at a time: their lines stay in the processor's cache, and small buffers are not paged in anew
_CHANNELS = 3


def aggregate_max_(canvas: torch.Tensor, maps: torch.Tensor, boxes: Windows, resampling: Flavour = "matlab") -> None:
    """Resize each map to its box and take the elementwise maximum with what the canvas holds, in place.

    canvas: (C, H, W) float32; maps: (n, C, h, w) float32, both on the CPU; boxes: (n, 4) x1, y1, x2, y2, 0-based,
    inclusive, in the canvas, which they may leave on any side. Computed in float32, product by product in the order of
    the taps, without fused multiply-add, first the axis that `resample.axis_order` names: the same bits for any number
    of threads (torch's is used).
    """
    _fold(canvas, maps, boxes, resampling, _keep_larger)


def aggregate_sum_(canvas: torch.Tensor, maps: torch.Tensor, boxes: Windows, resampling: Flavour = "matlab") -> None:
    """As `aggregate_max_`, but adds (the paper's Eq. 2), map after map."""
    _fold(canvas, maps, boxes, resampling, _add)


def _keep_larger(part: Maps, resized: Maps) -> None:
    np.maximum(part, resized, out=part)


def _add(part: Maps, resized: Maps) -> None:
    part += resized


def _fold(
    canvas: torch.Tensor,
    maps: torch.Tensor,
    boxes: Windows,
    resampling: Flavour,
    fold: Callable[[Maps, Maps], None],
) -> None:
    target, scores = canvas.numpy(), maps.numpy()

    def channels_from(first: int) -> None:
        group = slice(first, first + _CHANNELS)
        for score, (x1, y1, x2, y2) in zip(scores, boxes.tolist(), strict=True):
            top, bottom = max(y1, 0), min(y2 + 1, target.shape[1])
            left, right = max(x1, 0), min(x2 + 1, target.shape[2])
            if top < bottom and left < right:
                window = ((top - y1, bottom - y1), (left - x1, right - x1))
                resized = resize_map(score[group], (y2 - y1 + 1, x2 - x1 + 1), window, resampling)
                fold(target[group, top:bottom, left:right], resized)

    # whole channels to a thread: torch's own threads would meet after every small step, which is slow where the
    # processor's cores have other work too
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for done in [pool.submit(channels_from, first) for first in range(0, len(target), _CHANNELS)]:
            done.result()


def resize_map(
    score: Maps,
    size: tuple[int, int],
    window: tuple[tuple[int, int], tuple[int, int]],
    resampling: Flavour = "matlab",
) -> Maps:
    """Resize (C, h, w) float32 to `size` (height, width); only rows and columns of `window` ((from, to), (from, to)).

    Equals `resample.imresize` of the (h, w, C) array in the same flavour, bit for bit ("opencv": its coordinates in
    floating point).
    """
    result = score
    for axis in axis_order((score.shape[1], score.shape[2]), size, resampling):
        first, last = window[axis]
        # the axis in work lies first, so that each tap gathers whole lines
        lines = np.moveaxis(result, axis + 1, 0)
        if len(lines) == size[axis]:
            lines = lines[first:last]
        else:
            taps = bilinear_taps(len(lines), size[axis], True, resampling)
            part = Taps(taps.index[first:last], taps.weight[first:last])
            lines = apply_taps(lines, part, 0)
        result = np.moveaxis(lines, 0, axis + 1)
    return result


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
