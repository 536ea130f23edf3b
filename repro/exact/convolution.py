"""Convolution and Deconvolution: one matrix product per image and group, and their gradients.

Source: `conv_layer.cpp`, `deconv_layer.cpp`, `base_conv_layer.cpp` of BVLC Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from repro.errors import UnsupportedError
from repro.exact.arrays import GradientSum, array, ones
from repro.exact.blas import gemm, gemv
from repro.exact.columns import Sizes, Window, col2im, im2col


def convolution(
    bottoms: Sequence[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None, window: Window, group: int
) -> tuple[torch.Tensor, ...]:
    """Cross-correlation of each bottom (N, C, *size) with weight (M, C/group, *kernel) -> (N, M, *places).

    All float32 on the CPU. The gradients of weight and bias are summed bottom by bottom, image by image.
    UnsupportedError for a bottom of another number of axes than the window's.
    """
    _require_axes(bottoms, window)
    return _Convolution.apply(weight, bias, window, group, *bottoms)


def deconvolution(
    bottoms: Sequence[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None, window: Window, group: int
) -> tuple[torch.Tensor, ...]:
    """The transpose: each bottom (N, C, *places) with weight (C, M/group, *kernel) -> (N, M, *size), size the least."""
    _require_axes(bottoms, window)
    return _Deconvolution.apply(weight, bias, window, group, *bottoms)


def _require_axes(bottoms: Sequence[torch.Tensor], window: Window) -> None:
    for x in bottoms:
        if x.dim() != len(window.kernel) + 2:
            raise UnsupportedError(
                f"a bottom of shape {tuple(x.shape)} has {x.dim() - 2} spatial axes, the window {len(window.kernel)}"
            )


def _correlate(image: np.ndarray, weight: np.ndarray, window: Window, group: int) -> np.ndarray:
    """(C, H, W) and weight (group, M/group, C/group*kh*kw) -> (M, positions)."""
    columns = im2col(image, window).reshape(group, weight.shape[2], -1)
    out = np.empty((group, weight.shape[1], columns.shape[2]), np.float32)
    for g in range(group):
        gemm(weight[g], columns[g], out[g])
    return out.reshape(-1, columns.shape[2])


def _spread(
    image: np.ndarray, weight: np.ndarray, window: Window, group: int, channels: int, size: Sizes
) -> np.ndarray:
    """The transpose of `_correlate`: (M, h, w) -> (channels, *size)."""
    rows = image.reshape(group, weight.shape[1], -1)
    columns = np.empty((group, weight.shape[2], rows.shape[2]), np.float32)
    for g in range(group):
        gemm(weight[g], rows[g], columns[g], transpose_a=True)
    return col2im(columns.reshape(-1, rows.shape[2]), channels, size, window)


def _add_weight_gradient(
    total: np.ndarray, image: np.ndarray, response: np.ndarray, window: Window, group: int
) -> None:
    """total (group, M/group, C/group*kh*kw) += response times the columns of the image."""
    columns = im2col(image, window).reshape(group, total.shape[2], -1)
    rows = response.reshape(group, total.shape[1], -1)
    for g in range(group):
        gemm(rows[g], columns[g], total[g], beta=1, transpose_b=True)


def _grouped(weight: np.ndarray, group: int) -> np.ndarray:
    return weight.reshape(group, weight.shape[0] // group, -1)


def _add_bias(out: np.ndarray, bias: torch.Tensor | None) -> None:
    """Onto (M, positions): a product of rank one added to what is there, as Caffe writes it."""
    if bias is not None:
        gemm(array(bias).reshape(-1, 1), ones(out.shape[1]).reshape(1, -1), out, beta=1)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Any, bias: Any, window: Window, group: int, *bottoms: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(*bottoms)
        ctx.weight, ctx.bias, ctx.window, ctx.group = weight, bias, window, group
        w = _grouped(array(weight), group)
        tops = []
        for x in bottoms:
            y = np.empty((x.shape[0], weight.shape[0], *window.places(tuple(x.shape[2:]))), np.float32)
            for image, out in zip(array(x), y, strict=True):
                flat = _correlate(image, w, window, group)
                _add_bias(flat, bias)
                out[...] = flat.reshape(out.shape)
            tops.append(torch.from_numpy(y))
        return tuple(tops)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        window, group = ctx.window, ctx.group
        pairs = [(array(x), array(dy)) for x, dy in zip(ctx.saved_tensors, grads, strict=True)]
        # the window slides over the bottom, its responses are the top
        dw, db = _parameter_gradients(ctx, pairs, [dy for _, dy in pairs])
        w = _grouped(array(ctx.weight), group)
        wanted = ctx.needs_input_grad[4:]
        back = [
            np.stack([_spread(d, w, window, group, x.shape[1], x.shape[2:]) for d in dy]) if want else None
            for (x, dy), want in zip(pairs, wanted, strict=True)
        ]
        return dw, db, None, None, *(None if dx is None else torch.from_numpy(dx) for dx in back)


class _Deconvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Any, bias: Any, window: Window, group: int, *bottoms: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(*bottoms)
        ctx.weight, ctx.bias, ctx.window, ctx.group = weight, bias, window, group
        w, channels = _grouped(array(weight), group), weight.shape[1] * group
        tops = []
        for x in bottoms:
            size = window.span(tuple(x.shape[2:]))
            y = np.empty((x.shape[0], channels, *size), np.float32)
            for image, out in zip(array(x), y, strict=True):
                out[...] = _spread(image, w, window, group, channels, size)
                _add_bias(out.reshape(channels, -1), bias)
            tops.append(torch.from_numpy(y))
        return tuple(tops)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        window, group = ctx.window, ctx.group
        pairs = [(array(x), array(dy)) for x, dy in zip(ctx.saved_tensors, grads, strict=True)]
        # the window slides over the top, its responses are the bottom
        dw, db = _parameter_gradients(ctx, [(dy, images) for images, dy in pairs], [dy for _, dy in pairs])
        w = _grouped(array(ctx.weight), group)
        wanted = ctx.needs_input_grad[4:]
        back = [
            np.stack([_correlate(d, w, window, group).reshape(x.shape[1:]) for d in dy]) if want else None
            for (x, dy), want in zip(pairs, wanted, strict=True)
        ]
        return dw, db, None, None, *(None if dx is None else torch.from_numpy(dx) for dx in back)


def _parameter_gradients(
    ctx: Any, slid: list[tuple[np.ndarray, np.ndarray]], top_gradients: list[np.ndarray]
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Of weight and bias. slid: per bottom, what the window slides over and the responses there, (N, C, H, W) each."""
    dw = db = None
    if ctx.needs_input_grad[0]:
        total = GradientSum(ctx.weight)
        for over, responses in slid:
            for image, response in zip(over, responses, strict=True):
                _add_weight_gradient(_grouped(total.array, ctx.group), image, response, ctx.window, ctx.group)
        dw = total.result
    if ctx.needs_input_grad[1]:
        total = GradientSum(ctx.bias)
        for dy in top_gradients:
            for image in dy.reshape(dy.shape[0], dy.shape[1], -1):
                gemv(image, ones(image.shape[1]), total.array.reshape(-1), beta=1)
        db = total.result
    return dw, db
