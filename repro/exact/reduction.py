"""Sums of whole slices by BLAS: Reduction, and the hinge loss that takes its sum in the same way.

Source: `reduction_layer.cpp`, `hinge_loss_layer.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact.arrays import array, ones
from repro.exact.blas import asum, dot, scal


def reduction(x: torch.Tensor, operation: str, coeff: float) -> torch.Tensor:
    """x (slices, values) -> (slices,): coeff times SUM, ASUM (of magnitudes), SUMSQ (of squares) or MEAN."""
    return _Reduction.apply(x, operation, float(np.float32(coeff)))


def hinge_loss(scores: torch.Tensor, labels: torch.Tensor, squared: bool) -> torch.Tensor:
    """Sum of max(0, 1 - s x), or of its squares, over N; scores (N, C), labels int64 (N, 1); a scalar."""
    return _Hinge.apply(scores, labels, squared)


class _Reduction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, operation: str, coeff: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        values = array(x)
        row = ones(values.shape[1])
        ctx.operation = operation
        ctx.coeff = np.float32(coeff) / np.float32(values.shape[1]) if operation == "MEAN" else np.float32(coeff)
        if operation == "ASUM":
            sums = [asum(v) for v in values]
        else:
            sums = [dot(v, v if operation == "SUMSQ" else row) for v in values]
        total = np.array(sums, np.float32)
        return torch.from_numpy(scal(float(ctx.coeff), total) if ctx.coeff != 1 else total)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        factors = array(grads[0]) * ctx.coeff
        if ctx.operation == "SUMSQ":
            factors = factors * np.float32(2)
        values = array(x)
        if ctx.operation in ("SUM", "MEAN"):
            values = np.ones_like(values)
        elif ctx.operation == "ASUM":
            values = np.sign(values)
        return torch.from_numpy(values * factors[:, None]), None, None


class _Hinge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, labels: torch.Tensor, squared: bool) -> torch.Tensor:
        sign = torch.ones_like(scores).scatter(1, labels, -1.0)
        margin = array((1 + sign * scores).clamp(min=0))
        ctx.sign, ctx.margin, ctx.squared = sign, margin, squared
        total = dot(margin, margin) if squared else asum(margin)
        return torch.tensor(float(np.float32(total) / np.float32(len(margin))))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight = np.float32(grads[0].item())
        if ctx.squared:
            back = array(torch.from_numpy(ctx.margin) * ctx.sign).copy()
            scal(float(weight * np.float32(2) / np.float32(len(back))), back)
        else:
            # the margin already carries the sign; its own sign times the weight over N
            back = array(torch.sign(torch.from_numpy(ctx.margin) * ctx.sign)).copy()
            scal(float(weight / np.float32(len(back))), back)
        return torch.from_numpy(back), None, None
