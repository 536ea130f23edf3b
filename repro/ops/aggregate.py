"""Score maps of many windows, resized to their boxes and folded into one canvas, in one call.

No map is resized as a whole: on a CPU a part of the canvas that fits the cache takes all maps before the next begins;
on a GPU each canvas element is one thread, in one launch. The resampling is `repro.data.resample`'s, to the bit.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from repro.errors import InputError, UnsupportedError
from repro.ops import _arguments as arguments
from repro.ops._library import call

Resampling = Literal["matlab", "octave", "opencv"]
Boxes = torch.Tensor | NDArray[np.integer[Any]]

_CODES = {"matlab": 0, "octave": 1, "opencv": 2}  # enum class Flavour of csrc/aggregate/taps.h
_ops = torch.ops.repro


def aggregate_max_(
    canvas: torch.Tensor, maps: torch.Tensor, boxes: Boxes, resampling: Resampling = "matlab"
) -> torch.Tensor:
    """Resize each map to its box and take the elementwise maximum with what the canvas holds, in place.

    canvas: (C, H, W) float32, float64, float16 or bfloat16, dense along W (any order of C and H) or channels last.
    maps: (n, C, h, w), the canvas's dtype and device, NCHW or channels_last (copied if of the other kind).
    boxes: (n, 4) whole numbers x1, y1, x2, y2, 0-based, inclusive, in the canvas, which they may leave on any side;
    sides of at most 2**24. resampling: a flavour of `repro.data.resample`, with antialiasing where it has one.

    Map after map in their order, so the bits do not depend on threads, device, layout or on how the maps are split over
    calls. Half-precision maps are resized in float32 and rounded as each is folded. NaN in a map stays. No gradient:
    UnsupportedError where one is asked for. Returns the canvas. InputError for other shapes, dtypes and boxes.
    Source: Noh, Hong, Han, ICCV 2015, Eq. 1; generate_EDeconvNet_CRF_results.m of HyeonwooNoh/DeconvNet.
    """
    return _fold("aggregate_max_", canvas, maps, boxes, resampling)


def aggregate_sum_(
    canvas: torch.Tensor, maps: torch.Tensor, boxes: Boxes, resampling: Resampling = "matlab"
) -> torch.Tensor:
    """As `aggregate_max_`, but adds (Eq. 2), map after map, rounding to the canvas's dtype after each."""
    return _fold("aggregate_sum_", canvas, maps, boxes, resampling)


def aggregate_mean(
    maps: torch.Tensor, boxes: Boxes, size: tuple[int, int], resampling: Resampling = "matlab"
) -> torch.Tensor:
    """The mean over the boxes that cover a pixel, 0 where none does: (C, H, W) for `size` = (H, W).

    Arguments as in `aggregate_max_`; the sum is `aggregate_sum_`'s, divided once, in the maps' dtype.
    """
    name = "aggregate_mean"
    if not isinstance(maps, torch.Tensor) or maps.dim() != 4:
        raise InputError(f"{name}: maps are {_found(maps)}; expected (n, C, h, w)")
    height, width = arguments.pair(name, "size", size, 0)
    total = aggregate_sum_(maps.new_zeros((maps.shape[1], height, width)), maps, boxes, resampling)
    return total / cover(boxes, (height, width)).clamp(min=1).to(total.device, total.dtype)


def cover(boxes: Boxes, size: tuple[int, int]) -> torch.Tensor:
    """How many boxes cover each pixel: int64 (H, W), on the CPU. Boxes as in `aggregate_max_`."""
    height, width = arguments.pair("cover", "size", size, 0)
    corners = _boxes("cover", boxes)
    x1, y1, x2, y2 = (
        corners[:, k].add(k // 2).clamp(0, limit) for k, limit in enumerate((width, height, width, height))
    )
    # each box as four steps of the double running sum
    steps = torch.zeros(height + 1, width + 1, dtype=torch.int64)
    for rows, columns, step in ((y1, x1, 1), (y1, x2, -1), (y2, x1, -1), (y2, x2, 1)):
        steps.index_put_((rows, columns), torch.tensor(step), accumulate=True)
    return steps.cumsum(0).cumsum(1)[:height, :width]


def _fold(name: str, canvas: torch.Tensor, maps: torch.Tensor, boxes: Boxes, resampling: str) -> torch.Tensor:
    for what, tensor, dims, shape in (("canvas", canvas, 3, "(C, H, W)"), ("maps", maps, 4, "(n, C, h, w)")):
        if not isinstance(tensor, torch.Tensor) or tensor.dim() != dims or tensor.dtype not in arguments.FLOATING:
            raise InputError(f"{name}: {what}: {_found(tensor)}; expected a floating tensor {shape}")
        arguments.on_a_device(name, what, tensor)
    if canvas.dtype != maps.dtype or canvas.device != maps.device:
        found = f"canvas is {canvas.dtype} on {canvas.device} and maps {maps.dtype} on {maps.device}"
        raise InputError(f"{name}: {found}; expected one dtype and one device")
    if resampling not in _CODES:
        raise InputError(f"{name}: resampling is {resampling!r}; expected one of {', '.join(_CODES)}")
    if torch.is_grad_enabled() and (canvas.requires_grad or maps.requires_grad):
        raise UnsupportedError(f"{name} has no gradient; call it under torch.no_grad() or on detached tensors")
    call(getattr(_ops, name).default, canvas, maps, _boxes(name, boxes), _CODES[resampling])
    return canvas


def _boxes(name: str, boxes: Any) -> torch.Tensor:
    given = torch.as_tensor(boxes) if isinstance(boxes, np.ndarray) else boxes
    if not isinstance(given, torch.Tensor) or given.dim() != 2 or given.shape[1] != 4:
        raise InputError(f"{name}: boxes are {_found(given)}; expected (n, 4) whole numbers x1, y1, x2, y2")
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise InputError(f"{name}: boxes are {given.dtype}; expected whole numbers of an integer dtype")
    return given.to("cpu", torch.int64)


def _found(value: object) -> str:
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__


@torch.library.register_fake("repro::aggregate_max_")
def _(canvas: torch.Tensor, maps: torch.Tensor, boxes: torch.Tensor, flavour: int) -> None:
    return None


@torch.library.register_fake("repro::aggregate_sum_")
def _(canvas: torch.Tensor, maps: torch.Tensor, boxes: torch.Tensor, flavour: int) -> None:
    return None
