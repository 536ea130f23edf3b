"""Scores of street scenes as SegNet's paper gives them: global and class accuracy, mean IoU, and the boundary score."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repro.evaluate.boundary import TOLERANCE, boundary_score
from repro.evaluate.comp6 import Comp6Score, score_image
from repro.report.palette import VOID

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class SceneScore:
    """counts: the pixels, rows truth, columns result. boundaries: BF of each picture that has an outline, 0 … 1."""

    counts: Comp6Score
    boundaries: tuple[float, ...]

    @property
    def summary(self) -> dict[str, float]:
        """Percent: global accuracy G, class accuracy C, mean IoU, BF. A class that does not occur counts as 0, as in
        `compute_test_results.m` of SegNet-Tutorial; NaN where nothing was scored."""
        bf = 100 * sum(self.boundaries) / len(self.boundaries) if self.boundaries else math.nan
        counts = self.counts
        if not counts.pixels:
            return {"G": math.nan, "C": math.nan, "mIoU": math.nan, "BF": bf}
        means = [float(np.nan_to_num(values).mean()) for values in (counts.class_accuracy, counts.iou)]
        return {"G": counts.global_accuracy, "C": means[0], "mIoU": means[1], "BF": bf}


def score_scenes(
    pairs: Iterable[tuple[Labels, Labels]],
    classes: int,
    void: int,
    *,
    tolerance: float = TOLERANCE,
    matching: str = "one_to_one",
) -> SceneScore:
    """Score (truth, result) label maps, (H, W) uint8 each; truth may hold `void`, which counts nowhere.

    tolerance, matching: of `boundary_score`. DataError for sizes that differ or labels that are no class.
    """
    total = Comp6Score(np.zeros((classes, classes), np.int64), 0)
    boundaries: list[float] = []
    for truth, result in pairs:
        total += score_image(np.where(truth == void, np.uint8(VOID), truth), result, classes)
        one = boundary_score(truth, result, classes, tolerance=tolerance, matching=matching)
        if one is not None:
            boundaries.append(one)
    return SceneScore(total, tuple(boundaries))
