"""The canvas of a whole image, into which the score maps of its windows are folded."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from repro import ops
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.windows import Windows


class ScoreCanvas:
    """The aggregated score map while windows are folded in, a batch at a time; memory does not grow with windows."""

    def __init__(self, image_size: tuple[int, int], recipe: Recipe) -> None:
        self._recipe = recipe
        height, width = image_size
        self._canvas = torch.zeros(recipe.num_classes, height, width)
        self._count = 0
        # a sum starts at 0, and so does a maximum with that floor; any other must know what covers a pixel
        self._starts_at_zero = recipe.aggregate == "sum" or recipe.floor == "zero"
        self._cover = np.zeros((height, width), np.int64)
        if not self._starts_at_zero:
            self._canvas.fill_(-torch.inf)

    def fold(self, maps: torch.Tensor, windows: Windows) -> None:
        """Fold maps (n, C, h, w) float32 of windows (n, 4), 0-based inclusive in the image."""
        recipe = self._recipe
        boxes = windows + recipe.score_shift
        fold = ops.aggregate_max_ if recipe.aggregate == "max" else ops.aggregate_sum_
        fold(self._canvas, maps, boxes, recipe.resampling)
        if not self._starts_at_zero:
            self._cover += ops.cover(boxes, self._cover.shape).numpy()
            self._count += len(boxes)

    def scores(self) -> NDArray[np.float64]:
        """(H, W, C) float64 holding single-precision values; 0 where no window covers."""
        canvas = self._canvas.permute(1, 2, 0).numpy()
        if not self._starts_at_zero:
            if self._recipe.floor == "padding":
                partly = self._cover < max(self._count, 1)
                canvas = np.where(partly[:, :, None], np.maximum(canvas, 0), canvas)
            else:
                canvas = np.where((self._cover == 0)[:, :, None], 0, canvas)
        return canvas.astype(np.float64, order="C")
