"""The paper's inference on one photograph: proposals, scores, aggregation, ensemble, CRF, labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.errors import InputError
from repro.papers.deconvnet.aggregate import ScoreCanvas
from repro.papers.deconvnet.crops import crop_batch
from repro.papers.deconvnet.ensemble import Scores, checked_fcn_scores, combine
from repro.papers.deconvnet.recipe import Recipe, resolve_recipe
from repro.papers.deconvnet.refine import crf_labels
from repro.papers.deconvnet.windows import BoxesFrame, Windows, select_windows
from repro.papers.scorer import Scorer, score_batch


def infer_image(
    image: NDArray[np.uint8],
    boxes: Any,
    scorer: Scorer,
    recipe: str | Recipe = "release",
    fcn_scores: Any = None,
    boxes_frame: BoxesFrame = "image",
    *,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    on_windows: Callable[[int], None] | None = None,
) -> dict[str, NDArray[Any]]:
    """Label one photograph as DeconvNet does.

    image: (H, W, 3) uint8 RGB. boxes: (N, 4) whole numbers x1, y1, x2, y2, inclusive, best first; ``boxes_frame`` is
    "image" (0-based in the photograph) or "release" (1-based in the release's padded frame, as in its cached .mat).
    scorer: callable, float32 tensor (n, 3, S, S), B, G, R minus mean -> (n, classes, S, S) scores, tensor or ndarray.
    recipe: "release", "release_matlab", "paper" or a `Recipe`; batch_size replaces the recipe's. fcn_scores:
    (H, W, classes) FCN-8s scores, None: no ensemble. device: where the CRF runs.
    on_windows: called with the number of windows after each batch.

    Returns ``deconv_score`` (aggregated scores), ``ens_score`` (ensemble; without FCN scores the member itself, see
    `ensemble.combine`), ``unary`` (-log probability, may be +inf), each (H, W, classes) float64; ``ens_labels``
    (H, W) uint8, argmax of ens_score; ``labels`` (H, W) uint8, after the CRF where the recipe has one, else equal to
    ens_labels; ``windows`` (n, 4) int64, the windows scored, 0-based inclusive in the photograph. Without any window
    the scores are 0 and every pixel is background.

    The recipe applies to the boxes as given: boxes that are already extended (the release's cached ones) go with
    ``enlarge=1, square=False``. Raises InputError.
    Source: generate_EDeconvNet_CRF_results.m of HyeonwooNoh/DeconvNet; Noh, Hong, Han, ICCV 2015, sections 4-6.
    """
    chosen = resolve_recipe(recipe)
    if batch_size is not None:
        chosen = dataclasses.replace(chosen, batch_size=batch_size)
    size = _image_size(image)
    fcn = None if fcn_scores is None else checked_fcn_scores(fcn_scores, size, chosen.num_classes)
    windows = select_windows(boxes, size, chosen, boxes_frame)
    deconv_score = aggregate_windows(image, windows, scorer, chosen, on_windows)
    combined = combine(deconv_score, fcn, chosen)
    labels = combined.labels.copy() if chosen.crf is None else crf_labels(combined.unary, image, chosen, device)
    return {
        "deconv_score": deconv_score,
        "ens_score": combined.score,
        "unary": combined.unary,
        "ens_labels": combined.labels,
        "labels": labels,
        "windows": windows,
    }


def aggregate_windows(
    image: NDArray[np.uint8],
    windows: Windows,
    scorer: Scorer,
    recipe: Recipe,
    on_windows: Callable[[int], None] | None = None,
) -> Scores:
    """Score the windows batch by batch and fold the maps: (H, W, classes) float64. At most one batch is held."""
    canvas = ScoreCanvas((image.shape[0], image.shape[1]), recipe)
    for start in range(0, len(windows), recipe.batch_size):
        batch = windows[start : start + recipe.batch_size]
        canvas.fold(score_batch(scorer, crop_batch(image, batch, recipe), recipe.num_classes), batch)
        if on_windows is not None:
            on_windows(len(batch))
    return canvas.scores()


def _image_size(image: Any) -> tuple[int, int]:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"shape {image.shape}, dtype {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected (H, W, 3) uint8 RGB, got {found}")
    if image.size == 0:
        raise InputError(f"image: empty, shape {image.shape}")
    return image.shape[0], image.shape[1]
