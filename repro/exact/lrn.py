"""Local response normalisation, across channels and within one. Source: `lrn_layer.cpp` of BVLC Caffe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.activation import power
from repro.exact.arrays import array
from repro.exact.blas import axpy
from repro.exact.combine import eltwise_product, split
from repro.exact.pooling import average_pool


def lrn_across(x: torch.Tensor, size: int, alpha: float, beta: float, k: float) -> torch.Tensor:
    """x * (k + alpha/size * sum of squares over `size` channels)^-beta; the sum slides, adding one and taking one."""
    return _Across.apply(x, size, *(float(np.float32(v)) for v in (alpha, beta, k)))


def lrn_within(x: torch.Tensor, size: int, alpha: float, beta: float) -> torch.Tensor:
    """x * (1 + alpha * mean of squares over a size x size window)^-beta; the original ignores k here."""
    kept, squared = split(x, 2)
    pad = (size - 1) // 2
    mean = average_pool(power(squared, 2, 1, 0), (size, size), (1, 1), (pad, pad), (x.shape[2], x.shape[3]))
    return eltwise_product((kept, power(mean, -beta, alpha, 1)))


class _Across(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> torch.Tensor:
        values = array(x)
        n, channels = values.shape[:2]
        share = float(np.float32(alpha) / np.float32(size))
        before = (size - 1) // 2
        scale = np.full(values.shape, k, np.float32)
        for image in range(n):
            squares = np.zeros((channels + size - 1, *values.shape[2:]), np.float32)
            squares[before : before + channels] = values[image] * values[image]
            for c in range(size):
                axpy(share, squares[c], scale[image, 0])
            for c in range(1, channels):
                scale[image, c] = scale[image, c - 1]
                axpy(share, squares[c + size - 1], scale[image, c])
                axpy(-share, squares[c - 1], scale[image, c])
        y = libm.power(torch.from_numpy(scale), -beta) * x
        ctx.options = size, alpha, beta
        ctx.save_for_backward(x, y, torch.from_numpy(scale))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, y, scale = ctx.saved_tensors
        size, alpha, beta = ctx.options
        n, channels = x.shape[:2]
        ratio_weight = float(np.float32(2.0) * np.float32(alpha) * np.float32(beta) / np.float32(size))
        before = size - (size + 1) // 2
        values = array(x)
        dx = array(libm.power(scale, -beta) * grads[0])
        ratios = array(grads[0] * y / scale)
        for image in range(n):
            padded = np.zeros((channels + size - 1, *values.shape[2:]), np.float32)
            padded[before : before + channels] = ratios[image]
            sliding = np.zeros(values.shape[2:], np.float32)
            for c in range(size - 1):
                axpy(1.0, padded[c], sliding)
            for c in range(channels):
                axpy(1.0, padded[c + size - 1], sliding)
                axpy(-ratio_weight, values[image, c] * sliding, dx[image, c])
                axpy(-1.0, padded[c], sliding)
        return torch.from_numpy(dx), None, None, None, None
