"""Statistics and factors per channel or per item: BatchNorm, MVN, Scale, Bias, PReLU.

Source: `batch_norm_layer.cpp`, `mvn_layer.cpp`, `scale_layer.cpp`, `bias_layer.cpp` and `prelu_layer.cpp` of BVLC
Caffe 1.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.arrays import GradientSum, array, ones
from repro.exact.blas import axpby, dot, gemv


def batch_norm(
    x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, eps: float, stored: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(x - mean) / sqrt(variance + eps) per channel of x (N, C, ...), and the mean and (biased) variance used.

    stored: with the statistics given, which then take no part in the gradient; else with the batch's own.
    """
    return _BatchNorm.apply(x, mean, variance, float(np.float32(eps)), stored)


def mvn(x: torch.Tensor, by_variance: bool, across: bool, eps: float) -> torch.Tensor:
    """x minus its mean, over (standard deviation + eps) if `by_variance`; per channel, or per item if `across`."""
    return _MVN.apply(x, by_variance, across, float(np.float32(eps)))


def scale(x: torch.Tensor, factor: torch.Tensor, axis: int) -> torch.Tensor:
    """x times a factor that has x's axes from `axis` on, as many as it has itself."""
    return _Scale.apply(x, factor, axis)


def bias(x: torch.Tensor, shift: torch.Tensor, axis: int) -> torch.Tensor:
    """x plus a shift that has x's axes from `axis` on, as many as it has itself."""
    return _Bias.apply(x, shift, axis)


def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """max(x, 0) + slope * min(x, 0), both terms always added; slope one per channel, or one."""
    return _PReLU.apply(x, slope)


def _sum(values: np.ndarray, n: int, factor: float = 1.0) -> np.ndarray:
    """(N*C, area) -> (C,): over space times the factor, then over the batch."""
    rows, area = values.shape
    spatial = gemv(values, ones(area), np.empty(rows, np.float32), alpha=factor)
    return gemv(spatial.reshape(n, rows // n), ones(n), np.empty(rows // n, np.float32), transpose=True)


def _rows(per_channel: np.ndarray, n: int) -> np.ndarray:
    return np.tile(per_channel, n).reshape(-1, 1)


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, mean: Any, variance: Any, eps: float, stored: bool) -> tuple[torch.Tensor, ...]:
        n = x.shape[0]
        values = array(x).reshape(n * x.shape[1], -1)
        share = 1.0 / (n * values.shape[1])
        used_mean = array(mean) if stored else _sum(values, n, share)
        centred = values - _rows(used_mean, n)
        used_variance = array(variance) if stored else _sum(centred * centred, n, share)
        deviation = np.sqrt(used_variance + np.float32(eps))
        y = centred / _rows(deviation, n)
        ctx.normal, ctx.deviation, ctx.stored = y, deviation, stored
        tops = torch.from_numpy(y.reshape(x.shape)), torch.from_numpy(used_mean), torch.from_numpy(used_variance)
        ctx.mark_non_differentiable(*tops[1:])
        return tops

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        normal, n = ctx.normal, grads[0].shape[0]
        dy = array(grads[0]).reshape(normal.shape)
        deviation = _rows(ctx.deviation, n)
        if ctx.stored:
            return torch.from_numpy((dy / deviation).reshape(grads[0].shape)), None, None, None, None
        dx = normal * _rows(_sum(normal * dy, n), n) + _rows(_sum(dy, n), n)
        axpby(1.0, dy, -1.0 / (n * dy.shape[1]), dx)
        dx /= deviation
        return torch.from_numpy(dx.reshape(grads[0].shape)), None, None, None, None


class _MVN(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, by_variance: bool, across: bool, eps: float) -> torch.Tensor:
        values = array(x).reshape(x.shape[0] if across else x.shape[0] * x.shape[1], -1)
        ctx.by_variance = by_variance
        y = values - _mean(values)
        if by_variance:
            ctx.deviation = _power(_mean(_power(y, 2)), 0.5) + np.float32(eps)
            y = y / ctx.deviation
        ctx.normal = y
        return torch.from_numpy(y.reshape(x.shape))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        y = ctx.normal
        dy = array(grads[0]).reshape(y.shape)
        if ctx.by_variance:
            dx = y * _total(y * dy) + _total(dy)
            axpby(1.0, dy, -1.0 / y.shape[1], dx)
            dx /= ctx.deviation
        else:
            dx = dy - _mean(dy)
        return torch.from_numpy(dx.reshape(grads[0].shape)), None, None, None


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    return libm.power(torch.from_numpy(np.ascontiguousarray(values)), exponent).numpy()


def _mean(values: np.ndarray) -> np.ndarray:
    return _total(values, 1.0 / values.shape[1])


def _total(values: np.ndarray, factor: float = 1.0) -> np.ndarray:
    rows, columns = values.shape
    return gemv(values, ones(columns), np.empty(rows, np.float32), alpha=factor).reshape(-1, 1)


def _spread(small: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    return small.detach().reshape(*small.shape, *[1] * (x.dim() - axis - small.dim()))


def _three(x: np.ndarray, small: torch.Tensor, axis: int) -> np.ndarray:
    """(outer, the small operand's values, inner)."""
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    return np.ascontiguousarray(x).reshape(outer, small.numel(), -1)


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, factor: Any, axis: int) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.factor, ctx.axis = factor, axis
        return x * _spread(factor, x, axis)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        dfactor = None
        if ctx.needs_input_grad[1]:
            dfactor = _factor_gradient(_three(array(x) * array(grads[0]), ctx.factor, ctx.axis), ctx.factor)
        return grads[0] * _spread(ctx.factor, x, ctx.axis), dfactor, None


def _factor_gradient(product: np.ndarray, factor: torch.Tensor) -> torch.Tensor | None:
    """Over the inner axes, then over the outer ones; with no outer axes it overwrites what is there, as in Caffe."""
    outer, size, inner = product.shape
    scalar = outer == size == 1
    total = GradientSum(factor, overwrite=outer == 1 and not (scalar and inner > 1))
    flat = total.array.reshape(-1)
    if inner == 1:
        sums = product.reshape(-1)
    elif outer * size == 1:
        flat += dot(product.reshape(-1), ones(inner))
        return total.result
    else:
        sums = gemv(product.reshape(-1, inner), ones(inner), np.empty(outer * size, np.float32))
    if outer == 1:
        flat[...] = sums
    elif size == 1:
        flat += dot(ones(outer), sums)
    else:
        gemv(sums.reshape(outer, size), ones(outer), flat, beta=1, transpose=True)
    return total.result


class _Bias(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, shift: Any, axis: int) -> torch.Tensor:
        ctx.shift, ctx.axis = shift, axis
        return x + _spread(shift, x, axis)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        dshift = None
        if ctx.needs_input_grad[1]:
            total = GradientSum(ctx.shift)
            for plane in _three(array(grads[0]), ctx.shift, ctx.axis):
                gemv(plane, ones(plane.shape[1]), total.array.reshape(-1), beta=1)
            dshift = total.result
        return grads[0], dshift, None


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, slope: Any) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return x.masked_fill(x < 0, 0) + _per_channel(slope, x) * x.masked_fill(x > 0, 0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        dslope = None
        if ctx.needs_input_grad[1]:
            total = GradientSum(ctx.slope)
            flat = total.array.reshape(-1)
            terms = array(grads[0] * x * (x <= 0).to(x)).reshape(x.shape[0], x.shape[1], -1)
            # value by value onto what is there
            groups = terms.reshape(1, 1, -1) if flat.size == 1 else terms.transpose(1, 0, 2)
            for k, values in enumerate(groups):
                flat[k] = np.cumsum(np.append(flat[k], values.ravel()), dtype=np.float32)[-1]
            dslope = total.result
        dx = grads[0] * ((x > 0).to(x) + _per_channel(ctx.slope, x) * (x <= 0).to(x))
        return dx, dslope


def _per_channel(slope: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return slope.detach().reshape(1, -1, *[1] * (x.dim() - 2))
