"""How many annotated objects the proposals of their photograph cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from repro.data.boxes import box_iou
from repro.errors import InputError

THRESHOLDS = (0.5, 0.7)
BUDGETS = (10, 50, 100, 500, 1000, 2000)


@dataclass
class Recall:
    """The best overlap of every object with the first N proposals of its photograph, for each N of `budgets`."""

    budgets: tuple[int, ...] = BUDGETS
    images: int = 0
    proposals: int = 0
    best: list[NDArray[np.float64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.budgets or min(self.budgets) < 1 or list(self.budgets) != sorted(set(self.budgets)):
            raise InputError(f"numbers of proposals {self.budgets}: growing numbers from 1 on are expected")

    def add(self, boxes: NDArray[np.int64], objects: NDArray[np.int64]) -> None:
        """One photograph: proposals (N, 4), best first, and its objects' boxes (M, 4), both inclusive."""
        self.images += 1
        self.proposals += len(boxes)
        if not len(objects):
            return
        best = np.zeros((len(self.budgets), len(objects)))
        if len(boxes):
            so_far = np.maximum.accumulate(box_iou(boxes, objects), axis=0)
            best = so_far[np.minimum(self.budgets, len(boxes)) - 1]
        self.best.append(best)

    @property
    def objects(self) -> int:
        """Number of objects seen."""
        return sum(best.shape[1] for best in self.best)

    def share(self, threshold: float) -> NDArray[np.float64]:
        """Share of the objects with an overlap of at least `threshold`, per number of proposals; NaN without any."""
        if not self.best:
            return np.full(len(self.budgets), np.nan)
        return np.asarray((np.concatenate(self.best, axis=1) >= threshold).mean(axis=1))

    def rows(self, thresholds: Sequence[float] = THRESHOLDS) -> list[list[str]]:
        """A table: head, then one row per number of proposals, in percent."""
        shares = [self.share(threshold) for threshold in thresholds]
        head = ["proposals", *(f"IoU {threshold:g}" for threshold in thresholds)]
        return [head, *([f"{n:,}", *(f"{100 * s[i]:.1f}" for s in shares)] for i, n in enumerate(self.budgets))]
