"""Several sizes of the photograph, their scores fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from repro.data.resample import imresize
from repro.errors import InputError
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resizing import resize_scores
from repro.papers.inference.strategy import Image, Scorer, Scores, Strategy


@dataclass(frozen=True)
class MultiScale:
    """The photograph at each of `scales`, scored by `each`; at its own size the scores' "max" or "mean".

    flip: with each scale also the mirrored photograph. long_side: scale 1 is the size at which the longer side has so
    many pixels, None: the photograph's own. Source: DeepLab v2 (Chen et al. 2017, section 4.1, max of three
    scales); PSPNet (mean of six, mirrored too).
    """

    each: Strategy
    scales: tuple[float, ...] = (1.0,)
    fusion: Literal["max", "mean"] = "max"
    flip: bool = False
    long_side: int | None = None

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise InputError(f"scales {self.scales}: one or more, each above 0, are expected")
        if self.fusion not in ("max", "mean"):
            raise InputError(f"fusion {self.fusion!r}: 'max' or 'mean' is expected")

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        """Scores (H, W, classes) at the photograph's own size."""
        size = (image.shape[0], image.shape[1])
        base = 1.0 if self.long_side is None else self.long_side / max(size)
        total: Scores | None = None
        count = 0
        for scale in self.scales:
            scaled = (max(1, round(size[0] * base * scale)), max(1, round(size[1] * base * scale)))
            picture = image if scaled == size else imresize(image, scaled, flavour="opencv")
            for mirrored in (False, True)[: 1 + self.flip]:
                seen = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
                found = self.each.scores(seen, prepare, scorer)
                found = resize_scores(np.ascontiguousarray(found[:, ::-1]) if mirrored else found, size)
                count += 1
                if total is None:
                    total = found
                else:
                    total = np.maximum(total, found) if self.fusion == "max" else total + found
        assert total is not None
        return total if self.fusion == "max" else total / np.float32(count)
