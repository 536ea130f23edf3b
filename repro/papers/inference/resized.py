"""The photograph resized to the input of a network that knows one size."""

from __future__ import annotations

from dataclasses import dataclass

from repro.data.resample import imresize
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resizing import resize_scores
from repro.papers.inference.strategy import Image, Scorer, Scores, first_map, scored


@dataclass(frozen=True)
class Resized:
    """The photograph as OpenCV resizes it to (height, width) = size; its scores resized back."""

    size: tuple[int, int]

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        """Scores (H, W, classes) at the photograph's own size."""
        small = image if image.shape[:2] == self.size else imresize(image, self.size, flavour="opencv")
        return resize_scores(first_map(scored(scorer, prepare(small))), (image.shape[0], image.shape[1]))
