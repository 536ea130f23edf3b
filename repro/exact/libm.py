"""exp, log, tanh and pow of the C library, which Caffe calls element by element.

Their last bits belong to the library (glibc's are within 1 ULP of the true value and use fused multiply-adds where the
CPU has them); the reference data were made with glibc 2.36.
"""

from __future__ import annotations

import torch

from repro.ops._library import call


def exp(x: torch.Tensor) -> torch.Tensor:
    """expf of every element; float32 on the CPU."""
    return call(torch.ops.repro.libm_exp.default, x)


def log(x: torch.Tensor) -> torch.Tensor:
    """logf of every element; float32 on the CPU."""
    return call(torch.ops.repro.libm_log.default, x)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """tanhf of every element; float32 on the CPU."""
    return call(torch.ops.repro.libm_tanh.default, x)


def power(x: torch.Tensor, exponent: float) -> torch.Tensor:
    """powf of every element; float32 on the CPU."""
    return call(torch.ops.repro.libm_pow.default, x, exponent)
