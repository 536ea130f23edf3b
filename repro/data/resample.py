"""Resampling, to the rounding, as MATLAB's, GNU Octave's and OpenCV's `resize` functions do it.

Bilinear in every flavour, bicubic (Keys, a = -1/2) in MATLAB's.

Resampling along one axis is a table: for every output position the input positions it reads and their weights
(`Taps`). `imresize` applies two tables; whoever folds many maps (the proposal pipeline) applies them itself.

The flavours:

- ``matlab``: MATLAB's imresize.m. Shrinking widens the triangle by the scale (antialias), weights are normalised to
  sum 1, indices mirror at the borders, the axis with the smaller scale goes first (rows where equal), and integer
  images are rounded after each axis.
- ``octave``: imresize.m of GNU Octave's image package 2.14. The same triangle and mirroring, but the weights of a
  shrinking axis are **not** normalised: their sum ripples around 1 where the ratio is not a whole number. Columns go
  first, integer images are computed in single precision and rounded once.
- ``opencv``: coordinates of cv::resize INTER_LINEAR: never antialiased, columns first, border replicated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError

Flavour = Literal["matlab", "octave", "opencv"]
FLAVOURS: tuple[str, ...] = get_args(Flavour)

_INTEGERS = (np.uint8, np.uint16, np.int16)
_FLOATS = (np.float32, np.float64)
# OpenCV 5 takes an array of more for one without channels, and ADE20K has 150 classes
_MOST_CHANNELS = 128


@dataclass(frozen=True)
class Taps:
    """Resampling along one axis: output i = sum over t of weight[i, t] * input[index[i, t]], added in that order.

    index: (n_out, T) int64 inside the input; weight: (n_out, T) float64. Both are read-only.
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float64]


@lru_cache(maxsize=512)
def bilinear_taps(n_in: int, n_out: int, antialias: bool = True, flavour: Flavour = "matlab") -> Taps:
    """The table that resamples an axis of n_in samples to n_out."""
    if flavour == "matlab":
        return _matlab_taps(n_in, n_out, antialias, _triangle, 2.0)
    scale = n_out / n_in
    widen = scale if antialias and scale < 1 and flavour != "opencv" else 1.0
    centre = 0.5 + 1 / scale / 2 + np.arange(n_out) / scale
    reach = math.ceil(2.0 / widen / 2)
    base = np.floor(centre)
    offset = np.arange(1 - reach, reach + 1)
    position = base[:, None] + offset
    weight = widen * _triangle(widen * (offset - (centre - base)[:, None]))
    return _mirrored(n_in, position, weight)


@lru_cache(maxsize=512)
def cubic_taps(n_in: int, n_out: int, antialias: bool = True) -> Taps:
    """The table that resamples an axis of n_in samples to n_out as MATLAB's imresize does by default, bicubically."""
    return _matlab_taps(n_in, n_out, antialias, _cubic, 4.0)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    # Keys, Cubic convolution interpolation for digital image processing, 1981, equation 15
    near = np.abs(x)
    inner = (1.5 * near - 2.5) * near**2 + 1
    outer = ((-0.5 * near + 2.5) * near - 4) * near + 2
    return np.where(near <= 1, inner, np.where(near <= 2, outer, 0.0))


def _matlab_taps(
    n_in: int, n_out: int, antialias: bool, kernel: Callable[[NDArray[np.float64]], NDArray[np.float64]], support: float
) -> Taps:
    scale = n_out / n_in
    widen = scale if antialias and scale < 1 else 1.0
    width = support / widen
    centre = np.arange(1, n_out + 1) / scale + 0.5 * (1 - 1 / scale)
    first = np.floor(centre - width / 2)
    position = first[:, None] + np.arange(math.ceil(width) + 2)
    weight = widen * kernel(widen * (centre[:, None] - position))
    # one after the other, not by numpy's pairwise sum: csrc/aggregate/taps.h adds in this order too
    weight /= reduce(np.add, weight.T)[:, None]
    return _mirrored(n_in, position, weight)


def _mirrored(n_in: int, position: NDArray[Any], weight: NDArray[np.float64]) -> Taps:
    # 1-based positions outside 1..n_in mirror with the border sample repeated
    mirror = np.concatenate([np.arange(n_in), np.arange(n_in)[::-1]])
    index = mirror[np.mod(position.astype(np.int64) - 1, 2 * n_in)]
    used = (weight != 0).any(axis=0)
    taps = Taps(np.ascontiguousarray(index[:, used]), np.ascontiguousarray(weight[:, used]))
    taps.index.flags.writeable = False
    taps.weight.flags.writeable = False
    return taps


def axis_order(in_size: tuple[int, int], out_size: tuple[int, int], flavour: Flavour = "matlab") -> tuple[int, int]:
    """Which of rows (0) and columns (1) is resampled first; it matters to the rounding only."""
    if flavour != "matlab":
        return (1, 0)
    return (0, 1) if out_size[0] / in_size[0] <= out_size[1] / in_size[1] else (1, 0)


def _by_opencv(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels <= _MOST_CHANNELS:
        return np.asarray(cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_LINEAR))
    parts = np.split(array, range(_MOST_CHANNELS, channels, _MOST_CHANNELS), axis=2)
    return np.concatenate([_by_opencv(part, size).reshape(size[1], size[0], -1) for part in parts], axis=2)


def imresize(
    array: NDArray[Any],
    size: tuple[int, int],
    method: str = "bilinear",
    antialias: bool = True,
    flavour: Flavour = "matlab",
) -> NDArray[Any]:
    """Resize (H, W) or (H, W, C) to ``size`` = (height, width); the dtype stays.

    uint8, uint16, int16, float32, float64. Floating-point images are computed in their own precision, with the weights
    rounded to it; integers are rounded half away from zero and saturate, when the module's text says.
    method: "bilinear", or with flavour "matlab" also "bicubic". ``flavour="opencv"`` is cv2.resize itself
    (INTER_LINEAR; its fixed-point arithmetic for uint8).
    InputError for other dtypes, ranks, methods, or empty sizes. Source: imresize.m of MATLAB's image toolbox.
    """
    height, width = _check(array, size, method, flavour)
    if flavour == "opencv":
        return _by_opencv(array, (width, height)).reshape(height, width, *array.shape[2:])
    integer = array.dtype.type in _INTEGERS
    working = array.astype(np.float64 if flavour == "matlab" else np.float32) if integer else array
    for axis in axis_order((array.shape[0], array.shape[1]), (height, width), flavour):
        n_in, n_out = array.shape[axis], (height, width)[axis]
        if n_in == n_out:
            continue
        cubic = method == "bicubic"
        taps = cubic_taps(n_in, n_out, antialias) if cubic else bilinear_taps(n_in, n_out, antialias, flavour)
        working = apply_taps(working, taps, axis)
        if integer and flavour == "matlab":
            working = _to_integer(working, array.dtype).astype(np.float64)
    if integer:
        return _to_integer(working, array.dtype)
    return working.copy() if working is array else working


def apply_taps(array: NDArray[Any], taps: Taps, axis: int) -> NDArray[Any]:
    """Resample a floating-point array along one axis, tap by tap, in the array's own precision."""
    # gathering along the first axis copies whole rows, several times faster than picking single elements
    source = np.ascontiguousarray(np.moveaxis(array, axis, 0))
    weight = taps.weight.astype(source.dtype).reshape(*taps.weight.shape, *(1,) * (source.ndim - 1))
    total = np.take(source, taps.index[:, 0], axis=0)
    total *= weight[:, 0]
    for tap in range(1, taps.index.shape[1]):
        term = np.take(source, taps.index[:, tap], axis=0)
        term *= weight[:, tap]
        total += term
    return np.moveaxis(total, 0, axis)


def _to_integer(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    return np.clip(np.trunc(values + np.copysign(0.5, values)), limits.min, limits.max).astype(dtype)


def _check(array: NDArray[Any], size: tuple[int, int], method: str, flavour: str) -> tuple[int, int]:
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3) or array.size == 0:
        found = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"imresize: expected a non-empty array (H, W) or (H, W, C), got {found}")
    if array.dtype.type not in (*_INTEGERS, *_FLOATS):
        raise InputError(f"imresize: dtype {array.dtype}; uint8, uint16, int16, float32 and float64 are possible")
    if flavour not in FLAVOURS:
        raise InputError(f"imresize: flavour '{flavour}' is not one of {', '.join(FLAVOURS)}")
    methods = ("bilinear", "bicubic") if flavour == "matlab" else ("bilinear",)
    if method not in methods:
        raise InputError(f"imresize: method '{method}' is not available in flavour '{flavour}', {methods} are")
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError):
        raise InputError(f"imresize: size must be (height, width), got {size!r}") from None
    if height < 1 or width < 1:
        raise InputError(f"imresize: size {height}×{width}; both sides must be at least 1")
    return height, width
