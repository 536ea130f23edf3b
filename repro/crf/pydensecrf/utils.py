"""pydensecrf.utils: unary energies and features, with its names, argument orders and results."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

from repro.errors import InputError

Array: TypeAlias = "np.ndarray | Tensor"


def unary_from_labels(labels: Array, n_labels: int, gt_prob: float, zero_unsure: bool = True) -> np.ndarray:
    """Energies n_labels×N float32 of a label map whose label is right with probability gt_prob, in (0, 1).

    zero_unsure: 0 means "any", is not counted in n_labels, and class 1 is row 0. Without it, labels are rows.
    """
    if not 0 < gt_prob < 1:
        raise InputError(f"gt_prob {gt_prob!r}: expected a probability between 0 and 1, both excluded")
    if n_labels < 2:
        raise InputError(f"n_labels {n_labels!r}: at least two are needed")
    flat = _array(labels).reshape(-1)
    if flat.dtype.kind not in "iub":
        raise InputError(f"labels: expected whole numbers, got {flat.dtype}")
    flat = flat.astype(np.int64)
    row = flat - 1 if zero_unsure else flat
    known = flat != 0 if zero_unsure else np.ones(flat.shape, bool)
    if flat.size and (row[known].min(initial=0) < 0 or row[known].max(initial=0) >= n_labels):
        first = int(zero_unsure)
        raise InputError(
            f"labels: found {flat.min()} to {flat.max()}; with zero_unsure={zero_unsure} and n_labels={n_labels} "
            f"classes are {first} to {n_labels - 1 + first}"
        )
    energy = np.full((n_labels, flat.size), -np.log((1.0 - gt_prob) / (n_labels - 1)), np.float32)
    pixels = np.flatnonzero(known)
    energy[row[pixels], pixels] = -np.log(gt_prob)
    energy[:, ~known] = -np.log(1.0 / n_labels)
    return energy


def compute_unary(labels: Array, M: int, GT_PROB: float = 0.5) -> np.ndarray:
    """The old name of unary_from_labels."""
    warnings.warn("compute_unary is the old name of unary_from_labels", DeprecationWarning, stacklevel=2)
    return unary_from_labels(labels, M, GT_PROB)


def unary_from_softmax(sm: Array, scale: float | None = None, clip: float | None = 1e-5) -> np.ndarray:
    """-log of probabilities n_labels×… -> energies n_labels×N, float32.

    scale, in (0, 1]: mixes with the uniform distribution, scale·p + (1 - scale)/n. clip: smaller probabilities become
    it; None lets a zero become +inf.
    """
    probabilities = _array(sm)
    labels = probabilities.shape[0] if probabilities.ndim else 0
    if labels == 0:
        raise InputError(f"sm: expected labels in the first dimension, got shape {probabilities.shape}")
    if scale is not None:
        if not 0 < scale <= 1:
            raise InputError(f"scale {scale!r}: expected a number in (0, 1]")
        probabilities = scale * probabilities + (1 - scale) * (np.ones(probabilities.shape) / labels)
    if clip is not None:
        probabilities = np.clip(probabilities, clip, 1.0)
    with np.errstate(divide="ignore"):
        energy = -np.log(probabilities)
    return energy.reshape(labels, -1).astype(np.float32)


def softmax_to_unary(sm: Array, GT_PROB: float = 1) -> np.ndarray:
    """The old name of unary_from_softmax, without clipping."""
    warnings.warn("softmax_to_unary is the old name of unary_from_softmax", DeprecationWarning, stacklevel=2)
    return unary_from_softmax(sm, None if GT_PROB == 1 else GT_PROB, clip=None)


def create_pairwise_gaussian(sdims: Sequence[float], shape: Sequence[int]) -> np.ndarray:
    """Features of positions: index over standard deviation per dimension of `shape` -> len(shape)×N float32.

    In the order of `shape`, so (y, x) for a picture, where DenseCRF2D's own methods use (x, y).
    """
    return _positions(sdims, tuple(shape)).reshape(len(shape), -1)


def create_pairwise_bilateral(
    sdims: Sequence[float], schan: float | Sequence[float], img: Array, chdim: int = -1
) -> np.ndarray:
    """Features of positions and channels -> (dimensions + channels)×N float32.

    sdims: standard deviations per dimension; schan: per channel, or one for all; chdim: the dimension of `img` that
    holds its channels, -1 where it has none.
    """
    image = _array(img)
    if chdim != -1 and not 0 <= chdim < image.ndim:
        raise InputError(f"chdim {chdim}: the image has dimensions 0 to {image.ndim - 1}; -1 stands for no channels")
    channels = (image[None] if chdim == -1 else np.moveaxis(image, chdim, 0)).astype(np.float32)
    deviations = np.asarray(schan, np.float32).reshape(-1)
    if deviations.size not in (1, len(channels)) or (np.ndim(schan) == 0 and deviations.size != 1):
        raise InputError(f"schan: expected one number or {len(channels)}, got {deviations.size}")
    _check_deviations("schan", deviations)
    channels /= deviations.reshape(-1, *[1] * (channels.ndim - 1))
    positions = _positions(sdims, channels.shape[1:])
    return np.concatenate([positions, channels]).reshape(len(positions) + len(channels), -1)


def _positions(sdims: Sequence[float], shape: tuple[int, ...]) -> np.ndarray:
    deviations = np.asarray(sdims, np.float32).reshape(-1)
    if deviations.size != len(shape):
        raise InputError(f"sdims: expected {len(shape)} numbers for the shape {shape}, got {deviations.size}")
    _check_deviations("sdims", deviations)
    mesh = np.indices(shape, dtype=np.float32)
    mesh /= deviations.reshape(-1, *[1] * len(shape))
    return mesh


def _check_deviations(name: str, deviations: np.ndarray) -> None:
    if not (np.isfinite(deviations).all() and (deviations > 0).all()):
        raise InputError(f"{name}: standard deviations must be positive and finite, got {deviations.tolist()}")


def _array(value: Array) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"expected an array of numbers, got dtype {array.dtype}")
    return array
