"""AVE pooling. MAX pooling and unpooling are exact in `repro.ops` already.

Source: `pooling_layer.cpp` of BVLC Caffe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact.arrays import array

Pair = tuple[int, int]


def average_pool(x: torch.Tensor, kernel: Pair, stride: Pair, pad: Pair, places: Pair) -> torch.Tensor:
    """Mean of each window of x (N, C, H, W) -> (N, C, *places): elements are added in row-major order.

    Divided by the window clipped to image + pad; an empty window gives 0 over its negative size, -0.
    """
    return _Average.apply(x, kernel, stride, pad, places)


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, kernel: Pair, stride: Pair, pad: Pair, places: Pair) -> torch.Tensor:
        ctx.shape, ctx.window = tuple(x.shape), (kernel, stride, pad, places)
        padded = _room(ctx.shape, *ctx.window)
        _inside(padded, ctx.shape, pad)[...] = array(x)
        total = np.zeros((*x.shape[:2], *places), np.float32)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                total += _seen(padded, i, j, stride, places)
        return torch.from_numpy(total / _sizes(ctx.shape, *ctx.window))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kernel, stride, pad, places = ctx.window
        share = array(grads[0]) / _sizes(ctx.shape, *ctx.window)
        padded = _room(ctx.shape, *ctx.window)
        # windows in scan order: an element's first window is the one that sees it furthest from its own start
        for i in reversed(range(kernel[0])):
            for j in reversed(range(kernel[1])):
                _seen(padded, i, j, stride, places)[...] += share
        return torch.from_numpy(_inside(padded, ctx.shape, pad).copy()), None, None, None, None


def _room(shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair, places: Pair) -> np.ndarray:
    """Zeros for the image with its padding and all a last window may reach."""
    sides = [max(shape[2 + a] + pad[a], (places[a] - 1) * stride[a] - pad[a] + kernel[a]) + pad[a] for a in (0, 1)]
    return np.zeros((*shape[:2], *sides), np.float32)


def _inside(padded: np.ndarray, shape: tuple[int, ...], pad: Pair) -> np.ndarray:
    return padded[:, :, pad[0] : pad[0] + shape[2], pad[1] : pad[1] + shape[3]]


def _seen(padded: np.ndarray, i: int, j: int, stride: Pair, places: Pair) -> np.ndarray:
    """What all windows have at offset (i, j)."""
    rows, columns = (slice(o, o + stride[a] * (places[a] - 1) + 1, stride[a]) for a, o in ((0, i), (1, j)))
    return padded[:, :, rows, columns]


def _sizes(shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair, places: Pair) -> np.ndarray:
    lengths = []
    for a in (0, 1):
        starts = np.arange(places[a]) * stride[a] - pad[a]
        lengths.append(np.minimum(starts + kernel[a], shape[2 + a] + pad[a]) - starts)
    return (lengths[0][:, None] * lengths[1][None, :]).astype(np.float32)
