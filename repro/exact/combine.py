"""Several blobs into one, and one into several: Eltwise and Split.

Source: `eltwise_layer.cpp`, `split_layer.cpp` of BVLC Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from repro.exact.arrays import array
from repro.exact.blas import axpy


def split(x: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    """x `count` times; the gradients are added in that order, which autograd alone does not promise."""
    return _Split.apply(x, count)


def eltwise_sum(bottoms: Sequence[torch.Tensor], coefficients: Sequence[float]) -> torch.Tensor:
    """Sum of coefficient * bottom, each added by one axpy onto zeros."""
    return _Sum.apply(tuple(float(np.float32(c)) for c in coefficients), *bottoms)


def eltwise_product(bottoms: Sequence[torch.Tensor], stable_gradient: bool = True) -> torch.Tensor:
    """Product; its gradient is the product of the others, or (not stable) the product over the bottom itself."""
    return _Product.apply(stable_gradient, *bottoms)


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
        return tuple(x.view_as(x) for _ in range(count))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = grads[0]
        for grad in grads[1:]:
            total = total + grad
        return total, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coefficients: tuple[float, ...], *bottoms: torch.Tensor) -> torch.Tensor:
        ctx.coefficients = coefficients
        total = np.zeros(bottoms[0].shape, np.float32)
        for coefficient, x in zip(coefficients, bottoms, strict=True):
            axpy(coefficient, array(x), total)
        return torch.from_numpy(total)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, *(grads[0] * c if c != 1 else grads[0] for c in ctx.coefficients)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, stable: bool, *bottoms: torch.Tensor) -> torch.Tensor:
        product = bottoms[0]
        for x in bottoms[1:]:
            product = product * x
        ctx.stable = stable
        ctx.save_for_backward(product, *bottoms)
        return product

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        product, *bottoms = ctx.saved_tensors
        return None, *(_others(product, bottoms, k, ctx.stable) * grads[0] for k in range(len(bottoms)))


def _others(product: torch.Tensor, bottoms: Sequence[torch.Tensor], k: int, stable: bool) -> torch.Tensor:
    if not stable:
        return product / bottoms[k]
    others = [x for j, x in enumerate(bottoms) if j != k]
    total = others[0]
    for x in others[1:]:
        total = total * x
    return total
