"""Overlapping windows over a photograph that is larger than the input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from repro.errors import InputError
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.strategy import Batch, Image, Scorer, Scores, first_map, scored


@dataclass(frozen=True)
class SlidingWindows:
    """Windows of (height, width) = size every ⌈stride · size⌉ pixels, the last ones flush with the border.

    A photograph smaller than a window is padded with zeros (the mean) right and below. The scores of a pixel are the
    mean over its windows. Source: PSPNet's evaluation code (scale_process.m, stride 2/3).
    """

    size: tuple[int, int]
    stride: float = 2 / 3

    def __post_init__(self) -> None:
        if min(self.size) < 1 or not 0 < self.stride <= 1:
            raise InputError(
                f"windows of {self.size} every {self.stride}: sides of at least 1 and a stride above 0, at most 1, are "
                "expected, or pixels would have no window"
            )

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        """Scores (H, W, classes) at the photograph's own size."""
        return self.scores_of(prepare(image), scorer)

    def scores_of(self, prepared: Batch, scorer: Scorer) -> Scores:
        """The same of one prepared picture (1, C, H, W)."""
        height, width = prepared.shape[2:]
        padded = (max(height, self.size[0]), max(width, self.size[1]))
        batch = np.zeros((*prepared.shape[:2], *padded), np.float32)
        batch[:, :, :height, :width] = prepared
        total: Scores | None = None
        count = np.zeros((*padded, 1), np.float32)
        for y in self._starts(padded[0], self.size[0]):
            for x in self._starts(padded[1], self.size[1]):
                place = np.s_[y : y + self.size[0], x : x + self.size[1]]
                found = first_map(scored(scorer, batch[:, :, place[0], place[1]]))
                if total is None:
                    total = np.zeros((*padded, found.shape[2]), np.float32)
                total[place] += found
                count[place] += 1
        assert total is not None
        return np.ascontiguousarray((total / count)[:height, :width])

    def _starts(self, side: int, window: int) -> list[int]:
        step = max(1, math.ceil(window * self.stride))
        count = math.ceil((side - window) / step) + 1
        return [min(i * step, side - window) for i in range(count)]
