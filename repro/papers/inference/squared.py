"""The photograph made square and resized to the one size that a network knows, as MATLAB resizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro.data.resample import imresize
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.strategy import Image, Scorer, Scores, first_map, scored


@dataclass(frozen=True)
class Squared:
    """Black right of the photograph or below makes it square; `imresize` to side × side, bilinear, without rounding.

    The scores are resized back, bicubically as `imresize` does where it is told nothing, and the black is cut off.
    Source: DecoupledNet_inference.m and preprocess_image.m of HyeonwooNoh/DecoupledNet (6413e07).
    """

    side: int

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        """Scores (H, W, classes) at the photograph's own size."""
        prepare.check(image)
        height, width = image.shape[:2]
        longer = max(height, width)
        square = np.zeros((longer, longer, 3))
        square[:height, :width] = image
        small = imresize(square, (self.side, self.side))
        found = first_map(scored(scorer, prepare.of_pixels(small)))
        # the script's maps are turned round, so that what it resizes first are our columns
        large = imresize(found.transpose(1, 0, 2), (longer, longer), "bicubic").transpose(1, 0, 2)
        return np.ascontiguousarray(large[:height, :width])
