"""The vector arithmetic of Caffe's solvers, in place on tensors. Source: `math_functions.cpp` of BVLC Caffe."""

from __future__ import annotations

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


def square(x: torch.Tensor) -> torch.Tensor:
    """x² by the C library's powf."""
    return libm.power(x, 2)


def root(x: torch.Tensor) -> torch.Tensor:
    """The square root by the C library's powf."""
    return libm.power(x, 0.5)


def _in_place(out: torch.Tensor) -> np.ndarray:
    if not out.is_contiguous():
        raise UnsupportedError(f"numerics 'exact' updates contiguous tensors, got strides {out.stride()}")
    return array(out)
