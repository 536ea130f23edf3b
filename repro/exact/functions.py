"""More functions of one element: AbsVal, BNLL, ELU, Exp, Log, Sigmoid of 1.0, Swish.

Source: the layers of these names in BVLC Caffe 1.0. In their code ``exp`` and ``log`` of a float stay in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.activation import sigmoid_gradient


def absolute(x: torch.Tensor) -> torch.Tensor:
    """|x|; at 0 the gradient is 0."""
    return _Absolute.apply(x)


def bnll(x: torch.Tensor) -> torch.Tensor:
    """log(1 + exp(x)) without overflow."""
    return _Bnll.apply(x)


def elu(x: torch.Tensor, alpha: float) -> torch.Tensor:
    """max(x, 0) + alpha * (exp(min(x, 0)) - 1)."""
    return _Elu.apply(x, float(np.float32(alpha)))


def exponential(x: torch.Tensor, inner: float, outer: float) -> torch.Tensor:
    """outer * exp(inner * x); a factor of 1 is not multiplied."""
    return _Exp.apply(x, float(np.float32(inner)), float(np.float32(outer)))


def logarithm(x: torch.Tensor, scale: float, shift: float, log_base: float) -> torch.Tensor:
    """log(scale * x + shift) times 1 / log_base; what would change nothing is not done."""
    return _Log.apply(x, *(float(np.float32(v)) for v in (scale, shift, log_base)))


def sigmoid_by_tanh(x: torch.Tensor) -> torch.Tensor:
    """0.5 * tanh(0.5 * x) + 0.5, the products in float64: the sigmoid of Caffe 1.0."""
    return _Sigmoid.apply(x)


def swish(x: torch.Tensor, beta: float) -> torch.Tensor:
    """x * sigmoid(beta * x)."""
    return _Swish.apply(x, float(np.float32(beta)))


class _Absolute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.abs()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return x.sign() * grads[0]


class _Bnll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        # the sum and the logarithm in float64, of an exponential in float32
        positive = x.double() + (1.0 + libm.exp(-x).double()).log()
        return torch.where(x > 0, positive, (1.0 + libm.exp(x).double()).log()).float()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        power = libm.exp(x.clamp(max=50))
        return ((grads[0] * power).double() / (power.double() + 1.0)).float()


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, alpha: float) -> torch.Tensor:
        y = x.clamp(min=0) + alpha * (libm.exp(x.clamp(max=0)) - 1)
        ctx.save_for_backward(x, y)
        ctx.alpha = alpha
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, y = ctx.saved_tensors
        return grads[0] * ((x > 0).to(x) + (ctx.alpha + y) * (x <= 0).to(x)), None


class _Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, inner: float, outer: float) -> torch.Tensor:
        y = libm.exp(x if inner == 1 else x * inner)
        y = y if outer == 1 else y * outer
        ctx.save_for_backward(y)
        ctx.inner = inner
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (y,) = ctx.saved_tensors
        dx = y * grads[0]
        return dx if ctx.inner == 1 else dx * ctx.inner, None, None


class _Log(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: float, shift: float, log_base: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.options = scale, shift, log_base
        outer = float(np.float32(1) / np.float32(log_base))
        y = libm.log(_affine(x, scale, shift))
        return y if outer == 1 else y * outer

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        scale, shift, log_base = ctx.options
        slope = 1 / _affine(x, scale, shift)
        factor = float(np.float32(scale) / np.float32(log_base))
        slope = slope if factor == 1 else slope * factor
        return grads[0] * slope, None, None, None


def _affine(x: torch.Tensor, scale: float, shift: float) -> torch.Tensor:
    y = x if scale == 1 else x * scale
    return y if shift == 0 else y + shift


def _logistic(x: torch.Tensor) -> torch.Tensor:
    return (0.5 * (0.5 * x.double()).tanh() + 0.5).float()


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        y = _logistic(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (y,) = ctx.saved_tensors
        return sigmoid_gradient(grads[0], y)


class _Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, beta: float) -> torch.Tensor:
        gate = _logistic(x if beta == 1 else x * beta)
        y = x * gate
        ctx.save_for_backward(gate, y)
        ctx.beta = beta
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        gate, y = ctx.saved_tensors
        scaled = (y * ctx.beta).double()
        return (grads[0].double() * (scaled + gate.double() * (1.0 - scaled))).float(), None
