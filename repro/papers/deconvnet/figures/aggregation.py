"""Fig. 6: the labels of a photograph as its proposals come in, the largest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError
from repro.papers.deconvnet.aggregate import ScoreCanvas
from repro.papers.deconvnet.crops import crop_batch
from repro.papers.deconvnet.ensemble import combine
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.windows import Windows
from repro.papers.scorer import Scorer, score_batch


@dataclass(frozen=True)
class Aggregated:
    """windows (n, 4): the n largest, largest first; labels (H, W) uint8 from their scores."""

    windows: Windows
    labels: NDArray[np.uint8]


def aggregation(
    image: NDArray[np.uint8],
    windows: Windows,
    scorer: Scorer,
    recipe: Recipe,
    counts: Sequence[int],
    on_windows: Callable[[int], None] = lambda count: None,
) -> list[Aggregated]:
    """Labels after the first counts[0], counts[1], … windows in order of decreasing area; equal areas stay in order.

    windows: (N, 4) as `select_windows` gives them. counts: growing, from 1 on; those beyond N are one step with all.
    Neither ensemble nor CRF. InputError for other counts, or without windows.
    """
    if not counts or min(counts) < 1 or list(counts) != sorted(set(counts)):
        raise InputError(f"numbers of windows {list(counts)}: growing numbers from 1 on are expected")
    if not len(windows):
        raise InputError("no window to aggregate: the photograph has no proposal that the recipe keeps")
    areas = (windows[:, 2] - windows[:, 0] + 1) * (windows[:, 3] - windows[:, 1] + 1)
    ordered = windows[np.argsort(-areas, kind="stable")]
    steps = [n for n in counts if n < len(ordered)]
    steps.append(min(max(counts), len(ordered)))
    canvas = ScoreCanvas((image.shape[0], image.shape[1]), recipe)
    found, done = [], 0
    for end in dict.fromkeys(steps):
        for start in range(done, end, recipe.batch_size):
            batch = ordered[start : min(end, start + recipe.batch_size)]
            canvas.fold(score_batch(scorer, crop_batch(image, batch, recipe), recipe.num_classes), batch)
            on_windows(len(batch))
        done = end
        found.append(Aggregated(ordered[:end], combine(canvas.scores(), None, recipe).labels))
    return found
