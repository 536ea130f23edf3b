"""InnerProduct. Source: `inner_product_layer.cpp` of BVLC Caffe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact.arrays import GradientSum, array, ones
from repro.exact.blas import gemm, gemv


def inner_product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, transposed: bool = False
) -> torch.Tensor:
    """x (rows, inputs) times weight (outputs, inputs), or (inputs, outputs) if `transposed`; float32 on the CPU."""
    return _InnerProduct.apply(x, weight, bias, transposed)


class _InnerProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, transposed: bool) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.weight, ctx.bias, ctx.transposed = weight, bias, transposed
        rows, outputs = x.shape[0], weight.shape[1 if transposed else 0]
        y = np.empty((rows, outputs), np.float32)
        gemm(array(x), array(weight), y, transpose_b=not transposed)
        if bias is not None:
            gemm(ones(rows).reshape(-1, 1), array(bias).reshape(1, -1), y, beta=1)
        return torch.from_numpy(y)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        given, dy = array(x), array(grads[0])
        dx = dw = db = None
        if ctx.needs_input_grad[1]:
            total = GradientSum(ctx.weight)
            first, second = (given, dy) if ctx.transposed else (dy, given)
            gemm(first, second, total.array, beta=1, transpose_a=True)
            dw = total.result
        if ctx.needs_input_grad[2]:
            total = GradientSum(ctx.bias)
            gemv(dy, ones(len(dy)), total.array.reshape(-1), beta=1, transpose=True)
            db = total.result
        if ctx.needs_input_grad[0]:
            back = gemm(dy, array(ctx.weight), np.empty_like(given), transpose_b=ctx.transposed)
            dx = torch.from_numpy(back)
        return dx, dw, db, None
