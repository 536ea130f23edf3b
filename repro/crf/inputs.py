"""What a dense CRF accepts as unary and image, checked once and brought into one form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repro.crf.unary import unary_from_probabilities
from repro.errors import InputError
from repro.ops.lattice import require_kernels

LAYOUTS = ("auto", "hwc", "chw")


def read_unary(unary: Tensor | np.ndarray | None, probs: Tensor | np.ndarray | None = None) -> tuple[Tensor, bool]:
    """Unary, or probabilities in its place, C×H×W or B×C×H×W -> (unary B×C×H×W, whether it came without a batch).

    float32 or float64. +inf forbids a label; every pixel must keep one. InputError for NaN, -inf, other shapes or
    dtypes, nothing at all, and for both or neither.
    """
    if (unary is None) == (probs is None):
        raise InputError(f"expected a unary or probs, got {'neither' if unary is None else 'both'}")
    if probs is not None:
        unary = unary_from_probabilities(_tensor("probs", probs))
    assert unary is not None
    tensor = _tensor("unary", unary)
    if tensor.dtype not in (torch.float32, torch.float64):
        raise InputError(f"unary: expected float32 or float64, got {tensor.dtype}; convert it, e.g. with .float()")
    if tensor.dim() not in (3, 4):
        raise InputError(f"unary: expected C×H×W or B×C×H×W, got shape {tuple(tensor.shape)}")
    single = tensor.dim() == 3
    if single:
        tensor = tensor[None]
    if tensor.numel() == 0:
        raise InputError(f"unary: nothing in shape {tuple(tensor.shape)}")
    # One pass finds all that has no finite softmax: a NaN wins every minimum.
    lowest = tensor.detach().amin(dim=1)
    bad = (~torch.isfinite(lowest)).nonzero()
    if len(bad):
        image, y, x = bad[0].tolist()
        value = lowest[image, y, x].item()
        what = "+inf for every label" if value == float("inf") else "NaN" if value != value else "-inf"
        raise InputError(
            f"unary: {what} at image {image}, row {y}, column {x} (and {len(bad) - 1} more pixels); "
            "expected energies such as -log p, with at least one finite label per pixel"
        )
    return tensor, single


def read_image(image: Tensor | np.ndarray | None, batch: int, height: int, width: int, layout: str) -> Tensor | None:
    """Image H×W×K, K×H×W or a batch of them, any real dtype -> B×H×W×K, or None.

    The layout is told by the unary's height and width; where both readings fit, `layout` must say which ("hwc", "chw").
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    if image is None:
        return None
    tensor = _tensor("image", image)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise InputError(f"image: expected uint8 or another real dtype, got {tensor.dtype}")
    shape = tuple(tensor.shape)
    if tensor.dim() == 3:
        tensor = tensor[None]
    if tensor.dim() != 4:
        raise InputError(f"image: expected H×W×K, K×H×W or a batch of them, got shape {shape}")
    if tensor.shape[0] != batch:
        raise InputError(f"image: {tensor.shape[0]} images for a unary of {batch}")
    last, first = tuple(tensor.shape[1:3]) == (height, width), tuple(tensor.shape[2:]) == (height, width)
    if layout == "auto" and last and first:
        raise InputError(f"image: shape {shape} may be H×W×K or K×H×W; say layout='hwc' or layout='chw'")
    if (layout == "hwc" and not last) or (layout == "chw" and not first) or not (last or first):
        raise InputError(f"image: shape {shape} does not fit the unary's {height}×{width} pixels (layout={layout!r})")
    if not (last if layout == "auto" else layout == "hwc"):
        tensor = tensor.permute(0, 2, 3, 1)
    if tensor.shape[3] == 0:
        raise InputError(f"image: no channels in shape {shape}")
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise InputError("image: NaN or infinity among its values")
    return tensor


def _tensor(name: str, value: Tensor | np.ndarray) -> Tensor:
    if isinstance(value, np.ndarray):
        try:
            value = torch.from_numpy(np.ascontiguousarray(value))
        except TypeError as error:
            raise InputError(f"{name}: expected an array of numbers, got dtype {value.dtype}") from error
    if not isinstance(value, Tensor):
        raise InputError(f"{name}: expected a tensor or an array, got {type(value).__name__}")
    require_kernels(name, value)
    return value
