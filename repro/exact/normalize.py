"""The L2 Normalize of ParseNet and SSD. Source: `normalize_layer.cpp` of weiliu89/caffe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.arrays import GradientSum, array, ones
from repro.exact.blas import asum, dot, gemv, scal


def normalize(x: torch.Tensor, factor: torch.Tensor, whole: bool, eps: float) -> torch.Tensor:
    """x (N, C, H, W) over its norm, of each position's channels or of the `whole` item, times a factor () or (C,)."""
    return _Normalize.apply(x, factor, whole, float(np.float32(eps)))


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    return libm.power(torch.from_numpy(np.ascontiguousarray(values)), exponent).numpy()


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, factor: Any, whole: bool, eps: float) -> torch.Tensor:
        given = array(x).reshape(*x.shape[:2], -1)
        out, norms = np.empty_like(given), []
        column = array(factor).reshape(-1, 1)
        for image, y in zip(given, out, strict=True):
            square = image * image
            if whole:
                # the power of two numbers is taken in float64
                norm: Any = np.float32(float(np.float32(asum(square)) + np.float32(eps)) ** 0.5)
            else:
                start = np.full(image.shape[1], eps, np.float32)
                norm = _power(gemv(square, ones(len(image)), start, beta=1, transpose=True), 0.5)
            norms.append(norm)
            y[...] = scal(float(np.float32(1) / norm), image.copy()) if whole else image / norm
            y *= column
        ctx.factor, ctx.whole, ctx.norms, ctx.given, ctx.out = factor, whole, norms, given, out
        return torch.from_numpy(out.reshape(x.shape))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient = array(grads[0]).reshape(ctx.given.shape)
        dfactor = None
        if ctx.needs_input_grad[1]:
            total = GradientSum(ctx.factor)
            flat = total.array.reshape(-1)
            for y, dy in zip(ctx.out, gradient, strict=True):
                if ctx.factor.dim():
                    flat += gemv(y * dy, ones(y.shape[1]), np.empty(len(y), np.float32)) / array(ctx.factor)
                else:
                    flat += np.float32(dot(y, np.ascontiguousarray(dy))) / array(ctx.factor).reshape(-1)
            dfactor = total.result
        if not ctx.needs_input_grad[0]:
            return None, dfactor, None, None
        column = array(ctx.factor).reshape(-1, 1)
        back = np.empty_like(ctx.given)
        for image, dy, norm, dx in zip(ctx.given, gradient, ctx.norms, back, strict=True):
            if ctx.whole:
                share = np.float32(dot(image, np.ascontiguousarray(dy))) / norm / norm
                dx[...] = (dy - image * share) * (np.float32(1) / norm)
            else:
                along = gemv(image * dy, ones(len(image)), np.empty(image.shape[1], np.float32), transpose=True)
                dx[...] = (dy - image * along / _power(norm, 2)) / norm
            dx *= column
        return torch.from_numpy(back.reshape(grads[0].shape)), dfactor, None, None
