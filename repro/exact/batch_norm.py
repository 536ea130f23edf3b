"""The DeconvNet fork's BN: statistics by two matrix-vector products, everything else by broadcast and element.

Source: `bn_layer.cpp` of HyeonwooNoh/caffe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.arrays import GradientSum, array, ones
from repro.exact.blas import axpby, gemv


def bn_inference(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, in_place: bool = False) -> torch.Tensor:
    """scale * x + shift in two roundings; x (N, C, H, W), parameters (1, C, 1, 1).

    in_place: the scale's gradient takes the overwritten bottom for x, which is the original's own error.
    """
    return _Inference.apply(x, scale, shift, in_place)


def bn_learn(
    x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalised by the batch's statistics, then scaled and shifted; also the mean and the variance (without eps).

    The variance is E[x²] - E[x]² in float32: negative values give NaN, as in the original.
    """
    return _Learn.apply(x, scale, shift, eps)


def _sum(values: np.ndarray, n: int, weights: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """(N*C, H*W) -> (C,): over space times weights[0], then over the batch times weights[1]."""
    rows, area = values.shape
    spatial = gemv(values, ones(area), np.empty(rows, np.float32), alpha=weights[0])
    channels = rows // n
    return gemv(spatial.reshape(n, channels), ones(n), np.empty(channels, np.float32), alpha=weights[1], transpose=True)


def _rows(per_channel: np.ndarray, n: int) -> np.ndarray:
    """(C,) -> (N*C, 1): one value for every image and channel."""
    return np.tile(per_channel.reshape(-1), n).reshape(-1, 1)


def _parameter_gradients(ctx: Any, x: np.ndarray, dy: np.ndarray, n: int) -> list[torch.Tensor | None]:
    """Of scale and shift, overwritten and not added to (gemv with beta 0)."""
    found: list[torch.Tensor | None] = [None, None]
    for k, (parameter, values) in enumerate(((ctx.scale, x * dy), (ctx.shift, dy))):
        if ctx.needs_input_grad[1 + k]:
            total = GradientSum(parameter, overwrite=True)
            total.array.reshape(-1)[...] = _sum(np.ascontiguousarray(values), n)
            found[k] = total.result
    return found


class _Inference(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, scale: Any, shift: Any, in_place: bool) -> torch.Tensor:
        y = x * scale + shift
        ctx.save_for_backward(y if in_place else x)
        ctx.scale, ctx.shift = scale, shift
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        n, rows = x.shape[0], x.shape[0] * x.shape[1]
        given = _parameter_gradients(ctx, array(x).reshape(rows, -1), array(grads[0]).reshape(rows, -1), n)
        dx = grads[0] * ctx.scale.detach() if ctx.needs_input_grad[0] else None
        return dx, *given, None


class _Learn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, scale: Any, shift: Any, eps: float) -> tuple[torch.Tensor, ...]:
        n, channels = x.shape[:2]
        values = array(x).reshape(n * channels, -1)
        share = 1.0 / values.shape[1], 1.0 / n
        mean = _sum(values, n, share)
        variance = _sum(_power(values, 2), n, share) - _power(mean, 2)
        deviation = _power(variance + np.float32(eps), 0.5)
        normal = (values - _rows(mean, n)) / _rows(deviation, n)
        y = normal * _rows(array(scale), n) + _rows(array(shift), n)
        ctx.scale, ctx.shift, ctx.normal, ctx.deviation, ctx.images = scale, shift, normal, deviation, n
        tops = (
            torch.from_numpy(y.reshape(x.shape)),
            *(torch.from_numpy(s.reshape(1, -1, 1, 1)) for s in (mean, variance)),
        )
        ctx.mark_non_differentiable(*tops[1:])
        return tops

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        n, normal = ctx.images, ctx.normal
        dy = array(grads[0]).reshape(normal.shape)
        given = _parameter_gradients(ctx, normal, dy, n)
        if not ctx.needs_input_grad[0]:
            return None, *given, None
        scaled = dy * _rows(array(ctx.scale), n)
        through_variance = normal * _rows(_sum(normal * scaled, n), n)
        dx = np.ascontiguousarray(through_variance + _rows(_sum(scaled, n), n))
        axpby(1.0, scaled, -1.0 / normal.size * ctx.scale.numel(), dx)
        dx /= _rows(ctx.deviation, n)
        return torch.from_numpy(dx.reshape(grads[0].shape)), *given, None


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    return libm.power(torch.from_numpy(np.ascontiguousarray(values)), exponent).numpy()
