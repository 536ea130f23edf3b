"""The photograph inside a mirrored margin, for a network of unpadded convolutions that labels every so many pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro.errors import InputError
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resizing import resize_scores
from repro.papers.inference.strategy import Image, Scorer, Scores, first_map, scored


@dataclass(frozen=True)
class Mirrored:
    """The photograph `margin` pixels from the top left corner of an input of (height, width) = size, mirrored around.

    The border pixel is not repeated. Position (i, j) of the scores is pixel (stride·i, stride·j) of the photograph;
    between positions the scores are bilinear. Source: predict.py of fyu/dilation.
    """

    size: tuple[int, int]
    margin: int
    stride: int

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        """Scores (H, W, classes) at the photograph's own size; InputError for a photograph that does not fit."""
        sides = image.shape[:2]
        room = [side - 2 * self.margin for side in self.size]
        if sides[0] > room[0] or sides[1] > room[1]:
            raise InputError(f"a photograph of {sides[1]}×{sides[0]} does not fit the network's input, which has room "
                             f"for {room[1]}×{room[0]}; make it smaller")  # fmt: skip
        pads = [(self.margin, whole - side - self.margin) for side, whole in zip(sides, self.size, strict=True)]
        found = first_map(scored(scorer, np.pad(prepare(image), [(0, 0), (0, 0), *pads], mode="reflect")))
        fine = resize_scores(found, self._fine(found.shape[0], found.shape[1]), "corners")
        if fine.shape[0] < sides[0] or fine.shape[1] < sides[1]:
            raise InputError(f"the network gave {found.shape[1]}×{found.shape[0]} scores for {sides[1]}×{sides[0]} "
                             f"pixels; one for every {self.stride} pixels is expected")  # fmt: skip
        return np.ascontiguousarray(fine[: sides[0], : sides[1]])

    def _fine(self, height: int, width: int) -> tuple[int, int]:
        return (height - 1) * self.stride + 1, (width - 1) * self.stride + 1
