"""Softmax and its loss. Source: `softmax_layer.cpp`, `softmax_loss_layer.cpp` of the DeconvNet fork."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.arrays import array, ones
from repro.exact.blas import gemm, gemv, scal, strided_dots

FLT_MIN = np.finfo(np.float32).tiny


def softmax(x: torch.Tensor, axis: int = 1) -> torch.Tensor:
    """exp(x - max) over its sum along the axis; the maximum is subtracted and the sum taken by BLAS."""
    return _Softmax.apply(x, axis % x.dim())


def softmax_loss(
    scores: torch.Tensor, labels: torch.Tensor, axis: int, ignore: int | None, divisor: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Minus the sum of log(max(p, FLT_MIN)) of the labelled classes, over the divisor; and the probabilities.

    labels: integers, one per position of the scores without their axis, in that order; `ignore` counts nothing.
    The sum is taken in float32, position by position.
    """
    return _SoftmaxLoss.apply(scores, labels, axis % scores.dim(), ignore, divisor)


def _probabilities(x: np.ndarray) -> np.ndarray:
    """(items, classes, positions) -> the same."""
    out = np.empty_like(x)
    for values, y in zip(x, out, strict=True):
        top = values[0]
        for row in values:
            top = np.where(top < row, row, top)  # std::max(top, row): of a NaN the first argument stays
        y[...] = values
        gemm(ones(len(values)).reshape(-1, 1), np.ascontiguousarray(top).reshape(1, -1), y, alpha=-1, beta=1)
        y[...] = libm.exp(torch.from_numpy(y)).numpy()
        y /= gemv(y, ones(len(values)), np.empty(y.shape[1], np.float32), transpose=True)
    return out


def _three_axes(x: np.ndarray, axis: int) -> np.ndarray:
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], -1)


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, axis: int) -> torch.Tensor:
        y = torch.from_numpy(_probabilities(_three_axes(array(x), axis)).reshape(x.shape))
        ctx.save_for_backward(y)
        ctx.axis = axis
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (y,) = ctx.saved_tensors
        p = _three_axes(array(y), ctx.axis)
        dx = _three_axes(array(grads[0]), ctx.axis).copy()
        for d, q in zip(dx, p, strict=True):
            dots = strided_dots(d, q)
            gemm(ones(len(d)).reshape(-1, 1), dots.reshape(1, -1), d, alpha=-1, beta=1)
        return torch.from_numpy((dx * p).reshape(y.shape)), None


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Any, labels: Any, axis: int, ignore: int | None, divisor: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        p = _probabilities(_three_axes(array(scores), axis))
        classes = labels.numpy().reshape(len(p), 1, -1)
        counted = np.ones(classes.shape, bool) if ignore is None else classes != ignore
        index = np.where(counted, classes, 0)
        picked = np.take_along_axis(p, index, 1)[counted]
        logs = libm.log(torch.from_numpy(np.where(picked < FLT_MIN, FLT_MIN, picked))).numpy()
        # cumsum adds one by one, where sum would add in pairs
        total = -np.cumsum(logs, dtype=np.float32)[-1] if logs.size else np.float32(0)
        with np.errstate(invalid="ignore"):
            loss = total / np.float32(divisor)
        ctx.p, ctx.index, ctx.counted, ctx.divisor, ctx.shape = p, index, counted, divisor, scores.shape
        probabilities = torch.from_numpy(p.reshape(scores.shape))
        ctx.mark_non_differentiable(probabilities)
        return torch.tensor(float(loss)), probabilities

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        dx = ctx.p.copy()
        own = np.take_along_axis(dx, ctx.index, 1)
        np.put_along_axis(dx, ctx.index, own - np.float32(1), 1)
        dx = np.where(ctx.counted, dx, np.float32(0))
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.float32(grads[0].item()) / np.float32(ctx.divisor)
        scal(float(weight), dx)
        return torch.from_numpy(dx.reshape(ctx.shape)), None, None, None, None
