"""Score maps at another size."""

from __future__ import annotations

from typing import Literal

import numpy as np

from repro.data.resample import Taps, apply_taps, imresize
from repro.papers.inference.strategy import Scores

Grid = Literal["pixels", "corners"]
"""Which points of two maps lie on each other: "pixels", their borders (OpenCV's resize); "corners", the centres of
their corner pixels (Caffe's Interp layer)."""


def resize_scores(scores: Scores, size: tuple[int, int], grid: Grid = "pixels") -> Scores:
    """(h, w, classes) float32 -> (height, width, classes), bilinear, not antialiased."""
    if scores.shape[:2] == size:
        return scores
    if grid == "pixels":
        return np.ascontiguousarray(imresize(scores, size, flavour="opencv"), dtype=np.float32)
    for axis in (0, 1):
        scores = apply_taps(scores, _corner_taps(scores.shape[axis], size[axis]), axis)
    return np.ascontiguousarray(scores, dtype=np.float32)


def _corner_taps(n_in: int, n_out: int) -> Taps:
    place = np.arange(n_out) * ((n_in - 1) / (n_out - 1) if n_out > 1 else 0.0)
    low = np.minimum(place.astype(np.int64), n_in - 1)
    share = place - low
    return Taps(np.stack([low, np.minimum(low + 1, n_in - 1)], axis=1), np.stack([1 - share, share], axis=1))
