"""Bilinear resampling with aligned corners. Source: `util/interp.cpp` of DeepLab's and PSPNet's Caffe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact.arrays import array

Pair = tuple[int, int]


def interp(x: torch.Tensor, size: Pair) -> torch.Tensor:
    """x (N, C, H, W) -> (N, C, *size); a size that stays is copied."""
    return _Interp.apply(x, size)


def _axis(inner: int, outer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each outer place: the inner place before it, the one after it, and the weights of both, in float32."""
    ratio = np.float32(inner - 1) / np.float32(outer - 1) if outer > 1 else np.float32(0)
    at = ratio * np.arange(outer, dtype=np.float32)
    low = at.astype(np.int64)
    far = at - low.astype(np.float32)
    return low, low + (low < inner - 1), np.float32(1) - far, far


class _Interp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, size: Pair) -> torch.Tensor:
        ctx.shape, ctx.size = tuple(x.shape), size
        if tuple(x.shape[2:]) == size:
            return x.clone()
        values = array(x)
        (top, bottom, h0, h1), (left, right, w0, w1) = (_axis(i, o) for i, o in zip(x.shape[2:], size, strict=True))
        rows = [w0 * values[:, :, at][..., left] + w1 * values[:, :, at][..., right] for at in (top, bottom)]
        return torch.from_numpy(h0[:, None] * rows[0] + h1[:, None] * rows[1])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, None]:
        n, c, h, w = ctx.shape
        if (h, w) == ctx.size:
            return grads[0], None
        (top, bottom, h0, h1), (left, right, w0, w1) = (_axis(i, o) for i, o in zip((h, w), ctx.size, strict=True))
        dy = array(grads[0]).reshape(n * c, -1).T
        places, parts = [], []
        for row, a in ((top, h0), (bottom, h1)):
            for column, b in ((left, w0), (right, w1)):
                places.append((row[:, None] * w + column[None, :]).reshape(-1))
                parts.append((a[:, None] * b[None, :]).reshape(-1, 1) * dy)
        total = np.zeros((h * w, n * c), np.float32)
        # place after place, each with its four neighbours, one after the other
        np.add.at(total, np.stack(places, 1).reshape(-1), np.stack(parts, 1).reshape(-1, n * c))
        return torch.from_numpy(np.ascontiguousarray(total.T).reshape(ctx.shape)), None
