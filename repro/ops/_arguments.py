"""Checks of what the ops' faces are given; a wrong argument is an ``InputError`` before any kernel runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from repro.errors import DeviceError, InputError
from repro.ops import _library

Pair = tuple[int, int]
PairLike = int | Sequence[int]

FLOATING = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
LARGEST_UINT8_WINDOW = 255
LARGEST_WINDOW = 32767


def pair(op: str, name: str, value: PairLike, least: int) -> Pair:
    """``value`` or ``(h, w)`` as two integers of at least ``least``."""
    if type(value) is int and value >= least:
        return value, value
    both = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(_is_int(v) for v in both):
        raise InputError(f"{op}: {name} is {value!r}; expected an integer or two (h, w)")
    h, w = (v if isinstance(v, torch.SymInt) else int(v) for v in both)
    if h < least or w < least:
        raise InputError(f"{op}: {name} is {value!r}; expected {least} or more")
    return h, w


def window(op: str, kernel: PairLike, stride: PairLike, pad: PairLike) -> tuple[Pair, Pair, Pair]:
    """A pooling window's kernel, stride and pad as pairs, each within its range."""
    k, s, p = pair(op, "kernel", kernel, 1), pair(op, "stride", stride, 1), pair(op, "pad", pad, 0)
    if max(*k, *s) > 2**31 - 1:
        raise InputError(f"{op}: kernel {kernel!r} or stride {stride!r} is above 2147483647")
    if p[0] >= k[0] or p[1] >= k[1]:
        raise InputError(
            f"{op}: pad {p} must be smaller than the kernel {k}, or a window would see nothing but padding"
        )
    if k[0] * k[1] > LARGEST_WINDOW:
        raise InputError(
            f"{op}: a window of {k[0]}x{k[1]} has more than the {LARGEST_WINDOW} positions a switch can name"
        )
    return k, s, p


def switch_dtype(kernel: Pair) -> torch.dtype:
    """uint8 for windows of up to 255 elements, else int16."""
    return torch.uint8 if kernel[0] * kernel[1] <= LARGEST_UINT8_WINDOW else torch.int16


def values(op: str, name: str, x: torch.Tensor) -> None:
    """A floating (N, C, H, W) tensor on a device that has kernels."""
    planes(op, name, x)
    if x.dtype not in FLOATING:
        raise InputError(f"{op}: {name} is {x.dtype}; expected float32, float64, float16 or bfloat16")


def planes(op: str, name: str, x: torch.Tensor) -> None:
    """Any (N, C, H, W) tensor on a device that has kernels."""
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{op}: {name} is a {type(x).__name__}; expected a torch.Tensor")
    if x.dim() != 4:
        raise InputError(f"{op}: {name} has shape {tuple(x.shape)}; expected (N, C, H, W)")
    on_a_device(op, name, x)


def on_a_device(op: str, name: str, x: torch.Tensor) -> None:
    """A tensor on a device that has kernels."""
    if x.is_cuda and not _library.cuda_loaded():
        raise DeviceError(f"{op}: {name} is on {x.device}, but the CUDA kernels are {_library.cuda_route().why}")


def switches_of(op: str, switches: torch.Tensor, kernel: Pair) -> None:
    """Switches of the dtype that the window calls for."""
    planes(op, "switches", switches)
    if switches.dtype != switch_dtype(kernel):
        found = f"switches are {switches.dtype}"
        raise InputError(f"{op}: {found}; those of a {kernel[0]}x{kernel[1]} window are {switch_dtype(kernel)}")


def mask_of(op: str, mask: torch.Tensor) -> None:
    """A flat mask of a dtype that can hold plane indices; the halves cannot beyond 2048 and 256."""
    planes(op, "mask", mask)
    if mask.dtype not in (torch.int32, torch.int64, torch.float32, torch.float64):
        raise InputError(f"{op}: mask is {mask.dtype}; expected int32, int64, float32 or float64")


def same_shape(op: str, a_name: str, a: torch.Tensor, b_name: str, b: torch.Tensor) -> None:
    """Two tensors of one shape on one device."""
    if a.shape != b.shape:
        raise InputError(f"{op}: {a_name} has shape {tuple(a.shape)} and {b_name} {tuple(b.shape)}; expected one shape")
    if a.device != b.device:
        raise InputError(f"{op}: {a_name} is on {a.device} and {b_name} on {b.device}; expected one device")


def memory_format(x: torch.Tensor) -> torch.memory_format:
    """The layout the kernels answer in: channels_last for a channels_last tensor, else plain NCHW."""
    if not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def empty(x: torch.Tensor, size: Sequence[int], dtype: torch.dtype | None = None) -> torch.Tensor:
    """An uninitialised tensor as a kernel allocates it: like ``x`` in device and layout. For the fake kernels."""
    return torch.empty(tuple(size), dtype=dtype or x.dtype, device=x.device, memory_format=memory_format(x))


def _is_int(value: object) -> bool:
    return isinstance(value, (int, torch.SymInt, np.integer)) and not isinstance(value, bool)
