"""FCN-8s as the ensemble's other member: its input and its scores in the photograph's frame."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from repro.errors import InputError
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.scorer import Scorer


def fcn_input(image: NDArray[np.uint8], recipe: Recipe) -> torch.Tensor:
    """RGB (H, W, 3) uint8 -> (1, 3, S, S) float32 B, G, R: mean subtracted, then zeros right and below to `fcn_size`.

    With ``fcn_size=None`` nothing is padded. InputError where the photograph is larger than `fcn_size`.
    Source: util/preprocess_image.m.
    """
    height, width = image.shape[:2]
    side = recipe.fcn_size
    if side is not None and max(height, width) > side:
        raise InputError(
            f"a photograph of {width}×{height} does not fit FCN-8s' {side}×{side} input; fcn_size=None takes it whole"
        )
    batch = np.zeros((1, 3, side or height, side or width), np.float32)
    centred = image[:, :, ::-1].astype(np.float64) - np.array(recipe.mean_bgr)
    batch[0, :, :height, :width] = centred.transpose(2, 0, 1)
    return torch.from_numpy(batch)


def fcn_scores(image: NDArray[np.uint8], scorer: Scorer, recipe: Recipe) -> NDArray[np.float32]:
    """FCN-8s' raw scores (H, W, C) of a photograph: its top-left part of the network's output.

    scorer: (1, 3, S, S) -> (1, C, S, S), e.g. a `NetScorer`. InputError where the output is too small or has another
    number of classes. Source: cache_FCN8s_results.m.
    """
    height, width = image.shape[:2]
    output = scorer(fcn_input(image, recipe))
    array = output.detach().cpu().numpy() if isinstance(output, torch.Tensor) else np.asarray(output)
    least = (1, recipe.num_classes, height, width)
    if array.ndim != 4 or array.shape[:2] != least[:2] or array.shape[2] < height or array.shape[3] < width:
        raise InputError(f"FCN-8s returned scores of shape {array.shape}; at least {least} expected")
    return np.ascontiguousarray(array[0, :, :height, :width].transpose(1, 2, 0), dtype=np.float32)
