"""What every way of scoring a photograph has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError

if TYPE_CHECKING:
    from repro.net import Net
    from repro.papers.inference.preprocess import Preprocess

Image = NDArray[np.uint8]
Batch = NDArray[np.float32]
"""(N, C, H, W), as networks take and give it."""
Scores = NDArray[np.float32]
"""(H, W, classes)"""
Scorer = Callable[[Batch], Batch]
"""(N, C, H, W) prepared pictures -> (N, classes, h, w) scores."""


class Strategy(Protocol):
    """In which pieces, at which sizes, a photograph goes through a network.

    `scores` gives the scores of the photograph (H, W, 3) uint8 RGB at its own size: (H, W, classes) float32.
    """

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores: ...


class Scoring(Protocol):
    """How a network scores prepared pictures where one pass does not: the scorer made of a network."""

    def scorer(self, net: Net, input_blob: str, output: str) -> Scorer: ...


def scored(scorer: Scorer, batch: Batch) -> Batch:
    """What the scorer gives, checked: (N, classes, h, w) float32, finite; InputError otherwise."""
    found: Any = scorer(np.ascontiguousarray(batch))
    if not isinstance(found, np.ndarray) or found.ndim != 4 or found.shape[0] != batch.shape[0]:
        shape = found.shape if isinstance(found, np.ndarray) else type(found).__name__
        raise InputError(f"the network gave {shape} for pictures {batch.shape}; scores (N, classes, h, w) are expected")
    if not np.isfinite(found).all():
        raise InputError("the network gave scores that are not finite; its weights or its input are damaged")
    return found.astype(np.float32, copy=False)


def first_map(batch: Batch) -> Scores:
    """The scores of the batch's first picture as (h, w, classes)."""
    return np.ascontiguousarray(batch[0].transpose(1, 2, 0))
