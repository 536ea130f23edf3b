"""The vector arithmetic of Caffe's solvers, in place on tensors. Source: `math_functions.cpp` of BVLC Caffe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from repro.errors import UnsupportedError
from repro.exact import blas, libm
from repro.exact.arrays import array


def axpy(alpha: float, x: torch.Tensor, out: torch.Tensor) -> None:
    """out += alpha * x."""
    blas.axpy(alpha, array(x), _in_place(out))


def axpby(alpha: float, x: torch.Tensor, beta: float, out: torch.Tensor) -> None:
    """out = alpha * x + beta * out."""
    blas.axpby(alpha, array(x), beta, _in_place(out))


def scale(alpha: float, out: torch.Tensor) -> None:
    """out *= alpha."""
    blas.scal(alpha, _in_place(out))


def square(x: torch.Tensor) -> torch.Tensor:
    """x² by the C library's powf."""
    return libm.power(x, 2)


def root(x: torch.Tensor) -> torch.Tensor:
    """The square root by the C library's powf."""
    return libm.power(x, 0.5)


def norm(tensors: Sequence[torch.Tensor]) -> float:
    """Length of all of them together, a float32: the root of the sum of their dot products, in their order."""
    total = np.float32(0)
    for tensor in tensors:
        values = array(tensor)
        total += np.float32(blas.dot(values, values))
    return float(np.sqrt(total))


def _in_place(out: torch.Tensor) -> np.ndarray:
    if not out.is_contiguous():
        raise UnsupportedError(f"numerics 'exact' updates contiguous tensors, got strides {out.stride()}")
    return array(out)
