"""The last step of the pipeline: labels from unaries by the recipe's dense CRF."""

from __future__ import annotations

import inspect

import numpy as np
import torch
from numpy.typing import NDArray

from repro.crf import DenseCRF, presets
from repro.errors import InputError, UnsupportedError
from repro.papers.deconvnet.ensemble import Scores
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.dense_crf import map_labels


def crf_labels(
    unary: Scores, image: NDArray[np.uint8], recipe: Recipe, device: str | torch.device = "cpu"
) -> NDArray[np.uint8]:
    """Labels (H, W) uint8 of the recipe's CRF on unaries (H, W, classes) and the photograph (H, W, 3) uint8 RGB.

    device: where the CRF runs. InputError where the recipe has none, UnsupportedError where its preset does not exist.
    """
    # the script too hands single precision to the CRF
    return map_labels(make_crf(recipe), unary, image, device)


def make_crf(recipe: Recipe) -> DenseCRF:
    """The recipe's CRF: its preset, with the recipe's own normalisation and number of updates where it has them."""
    if recipe.crf is None:
        raise InputError("recipe: crf=None, so there is no CRF to run")
    if recipe.crf not in _preset_names():
        raise UnsupportedError(
            f"recipe: crf='{recipe.crf}' is no preset of repro.crf.presets ({', '.join(_preset_names())}); "
            "crf=None leaves the CRF out"
        )
    crf: DenseCRF = getattr(presets, recipe.crf)()
    normalization = crf.normalization if recipe.crf_normalization == "preset" else recipe.crf_normalization
    iterations = crf.iterations if recipe.crf_iterations is None else recipe.crf_iterations
    return DenseCRF(crf.kernels, normalization=normalization, iterations=iterations)


def _preset_names() -> list[str]:
    return [n for n, f in inspect.getmembers(presets, inspect.isfunction) if f.__module__ == presets.__name__]
