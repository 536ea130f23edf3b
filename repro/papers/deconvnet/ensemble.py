"""From the aggregated scores to the unary potentials: softmax, the ensemble with FCN-8s, and the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError
from repro.papers.deconvnet.recipe import Recipe

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Combined:
    """What the ensemble hands on: `score` and `unary` (H, W, C) float64, `labels` (H, W) uint8."""

    score: Scores
    unary: Scores
    labels: NDArray[np.uint8]


def combine(deconv_score: Scores, fcn_scores: Scores | None, recipe: Recipe) -> Combined:
    """Ensemble, softmax and -log as the recipe says; labels are the score's first maximum.

    Without FCN scores, or with ``ensemble="none"``, the ensemble has one member: `score` is that member itself, the
    aggregated scores under ``softmax="ensemble"`` and their softmax under "members"; the rest follows as usual.
    Unaries of classes with probability 0 are +inf. Source: generate_EDeconvNet_CRF_results.m lines 107-123; paper, 4.3.
    """
    members = [deconv_score]
    if fcn_scores is not None and recipe.ensemble != "none":
        members.append(np.maximum(fcn_scores, 0) if recipe.clip_fcn else fcn_scores)
    if recipe.softmax == "members":
        members = [softmax(member, recipe) for member in members]
    score = members[0]
    if len(members) == 2:
        score = score * members[1] if recipe.ensemble == "product" else (score + members[1]) / 2
    if recipe.softmax == "ensemble":
        probability = softmax(score, recipe)
    else:
        probability = _normalised(score)
    with np.errstate(divide="ignore"):
        unary = -np.log(probability.astype(_precision(recipe))).astype(np.float64)
    # -log 1 is -0
    return Combined(score, unary + 0.0, score.argmax(axis=2).astype(np.uint8))


def softmax(scores: Scores, recipe: Recipe) -> Scores:
    """Softmax over the last axis in the recipe's precision, as float64."""
    values = scores.astype(_precision(recipe))
    with np.errstate(under="ignore"):
        exponential = np.exp(values - values.max(axis=2, keepdims=True))
        return (exponential / exponential.sum(axis=2, keepdims=True)).astype(np.float64)


def checked_fcn_scores(fcn_scores: Any, image_size: tuple[int, int], num_classes: int) -> Scores:
    """FCN-8s scores as (H, W, C) float64; InputError for another shape, dtype or values that are not finite."""
    array = np.asarray(fcn_scores)
    expected = (*image_size, num_classes)
    if array.shape != expected or array.dtype.kind not in "iuf":
        raise InputError(f"fcn_scores: shape {array.shape}, dtype {array.dtype}; expected numbers of shape {expected}")
    scores = array.astype(np.float64)
    if not np.isfinite(scores).all():
        y, x, label = map(int, np.argwhere(~np.isfinite(scores))[0])
        raise InputError(f"fcn_scores: {scores[y, x, label]} at y={y} x={x} class={label}; finite scores are expected")
    return scores


def _precision(recipe: Recipe) -> type[np.floating[Any]]:
    return np.float32 if recipe.softmax_precision == "single" else np.float64


def _normalised(score: Scores) -> Scores:
    # a product of probabilities does not sum to 1; where it underflows to 0 everywhere, nothing is known: uniform
    total = score.sum(axis=2, keepdims=True)
    return np.where(total > 0, score / np.where(total > 0, total, 1), 1 / score.shape[2])
