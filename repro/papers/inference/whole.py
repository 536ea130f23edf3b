"""The photograph in one piece, at its own size or padded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro.errors import InputError
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resizing import Grid, resize_scores
from repro.papers.inference.strategy import Batch, Image, Scorer, Scores, first_map, scored


@dataclass(frozen=True)
class Whole:
    """The prepared photograph, with zeros (the mean) right and below up to the input size; scores cut back.

    size: the input's (height, width), as DeepLab's 513 × 513; None: the least height and width of the form
    multiple·k + extra. enlarge: how scores that are smaller than the input become as large; None: they are an error.
    """

    size: tuple[int, int] | None = None
    multiple: int = 1
    extra: int = 0
    enlarge: Grid | None = None

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.extra < 0:
            raise InputError(f"sides of {self.multiple}·k + {self.extra}: at least 1 and at least 0 are expected")

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        """InputError where the photograph is larger than `size`, or the scores do not cover the photograph."""
        return self.scores_of(prepare(image), scorer)

    def scores_of(self, prepared: Batch, scorer: Scorer) -> Scores:
        """The same of one prepared picture (1, C, H, W)."""
        height, width = prepared.shape[2:]
        padded = self._padded(height, width)
        batch = np.zeros((*prepared.shape[:2], *padded), np.float32)
        batch[:, :, :height, :width] = prepared
        found = first_map(scored(scorer, batch))
        if self.enlarge is not None:
            found = resize_scores(found, padded, self.enlarge)
        if found.shape[0] < height or found.shape[1] < width:
            raise InputError(f"the network gave {found.shape[1]}×{found.shape[0]} scores for {width}×{height} pixels")
        return np.ascontiguousarray(found[:height, :width])

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        if self.size is None:
            return self._rounded(height), self._rounded(width)
        if height > self.size[0] or width > self.size[1]:
            raise InputError(f"a photograph of {width}×{height} does not fit the network's "
                             f"{self.size[1]}×{self.size[0]} input; make it smaller")  # fmt: skip
        return self.size

    def _rounded(self, side: int) -> int:
        return max(0, -(-(side - self.extra) // self.multiple)) * self.multiple + self.extra
