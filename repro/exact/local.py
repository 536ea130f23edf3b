"""Local, a convolution without shared weights: one product and one row of ones per output channel.

Source: `local_layer.cpp` of BVLC/caffe pull request 1271.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact.arrays import GradientSum, array, ones
from repro.exact.blas import axpby, gemm
from repro.exact.columns import Window, col2im, im2col


def local(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window) -> torch.Tensor:
    """x (N, C, H, W), weight (M, 1, C*k*k, places), bias (1, 1, M, places) -> (N, M, h, w); float32 on the CPU."""
    return _Local.apply(x, weight, bias, window)


class _Local(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, window: Window) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.weight, ctx.bias, ctx.window = weight, bias, window
        w = array(weight)[:, 0]
        out = np.empty((x.shape[0], *w.shape[::2]), np.float32)
        row = ones(w.shape[1]).reshape(1, -1)
        for image, y in zip(array(x), out, strict=True):
            columns = im2col(image, window)
            for m, weights in enumerate(w):
                gemm(row, columns * weights, y[m : m + 1])
            if bias is not None:
                y += array(bias).reshape(y.shape)
        return torch.from_numpy(out.reshape(*out.shape[:2], *window.places((x.shape[2], x.shape[3]))))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        given, dy, w = array(x), array(grads[0]).reshape(*grads[0].shape[:2], -1), array(ctx.weight)[:, 0]
        dx = dw = db = None
        if ctx.needs_input_grad[2]:
            # set to zero at the start of each pass, unlike the weight's
            total = GradientSum(ctx.bias, overwrite=True)
            for response in dy:
                total.array[...] += response.reshape(total.array.shape)
            db = total.result
        if ctx.needs_input_grad[1]:
            total = GradientSum(ctx.weight)
            for image, response in zip(given, dy, strict=True):
                columns = im2col(image, ctx.window)
                for m, row in enumerate(response):
                    axpby(1.0, columns * row, 1.0, total.array[m, 0])
            dw = total.result
        if ctx.needs_input_grad[0]:
            back = np.empty_like(given)
            for image, response in zip(back, dy, strict=True):
                columns = np.zeros(w.shape[1:], np.float32)
                for weights, row in zip(w, response, strict=True):
                    axpby(1.0, weights * row, 1.0, columns)
                image[...] = col2im(columns, image.shape[0], image.shape[1:], ctx.window)
            dx = torch.from_numpy(back)
        return dx, dw, db, None
