"""Element by element: ReLU, Sigmoid, TanH, Power.

Source: `relu_layer.cpp`, `sigmoid_layer.cpp`, `tanh_layer.cpp`, `power_layer.cpp` of the DeconvNet fork.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.arrays import array
from repro.exact.blas import axpby, scal


def relu(x: torch.Tensor, slope: float = 0.0) -> torch.Tensor:
    """max(x, 0) + slope * min(x, 0), both terms always added: -inf gives NaN (0 * -inf), -0 and NaN stay."""
    return _Relu.apply(x, float(np.float32(slope)))


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + exp(-x)), exp in float32, the rest in float64."""
    return _Sigmoid.apply(x)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """tanh(x)."""
    return _Tanh.apply(x)


def power(x: torch.Tensor, exponent: float, scale: float, shift: float) -> torch.Tensor:
    """(shift + scale * x) ** exponent."""
    return _Power.apply(x, *(float(np.float32(v)) for v in (exponent, scale, shift)))


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        # std::max(x, 0) and std::min(x, 0): a NaN is not less than 0, so it is the first argument that stays
        return x.masked_fill(x < 0, 0) + slope * x.masked_fill(x > 0, 0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * ((x > 0).to(x) + ctx.slope * (x <= 0).to(x)), None


def sigmoid_gradient(grad: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """grad * y * (1 - y) as every age of Caffe rounds it."""
    return ((grad * y).double() * (1 - y.double())).float()


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        y = (1 / (1 + libm.exp(-x).double())).float()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (y,) = ctx.saved_tensors
        return sigmoid_gradient(grads[0], y)


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        y = libm.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (y,) = ctx.saved_tensors
        return grads[0] * (1 - y * y)


class _Power(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, exponent: float, scale: float, shift: float) -> torch.Tensor:
        ctx.options = exponent, scale, shift
        if np.float32(exponent) * np.float32(scale) == 0:
            y = torch.full_like(x, 1.0 if exponent == 0 else float(np.float32(shift) ** np.float32(exponent)))
        else:
            y = _affine(x, scale, shift)
            y = libm.power(y, exponent) if exponent != 1 else y
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, y = ctx.saved_tensors
        exponent, scale, shift = ctx.options
        slope = float(np.float32(exponent) * np.float32(scale))
        if slope == 0 or exponent == 1:
            derivative = torch.full_like(x, slope)
        elif exponent == 2:
            twice = axpby(float(np.float32(slope) * np.float32(scale)), array(x), 0, np.zeros(x.shape, np.float32))
            derivative = torch.from_numpy(twice)
            if shift != 0:
                derivative = derivative + float(np.float32(slope) * np.float32(shift))
        elif shift == 0:
            derivative = torch.from_numpy(scal(exponent, array(y / x)))
        else:
            derivative = y / _affine(x, scale, shift)
            if slope != 1:
                derivative = torch.from_numpy(scal(slope, array(derivative)))
        return grads[0] * derivative, None, None, None


def _affine(x: torch.Tensor, scale: float, shift: float) -> torch.Tensor:
    """shift + scale * x in two roundings; what would change nothing is not done."""
    y = x * scale if scale != 1 else x.clone()
    return y + shift if shift != 0 else y
