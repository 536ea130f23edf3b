"""Max pooling that remembers, in one byte per output, which element of its window won."""

from __future__ import annotations

from typing import Any

import torch

from repro.ops import _arguments as arguments
from repro.ops._arguments import Pair, PairLike
from repro.ops._transforms import batches, call, differentiates
from repro.ops.sizes import pool_output_size

_ops = torch.ops.repro


def max_pool_switches(
    x: torch.Tensor, kernel: PairLike, stride: PairLike, pad: PairLike = 0, round_mode: str = "ceil"
) -> tuple[torch.Tensor, torch.Tensor]:
    """The maximum of every window, and its switch: where in the window it was.

    x: (N, C, H, W) float32, float64, float16 or bfloat16, contiguous or channels_last (kept), else copied.
    kernel, stride, pad: integer or (h, w); pad < kernel; at most 32767 elements in a window.

    Returns y (N, C, PH, PW), x's dtype, and the switches, same shape: ``dh*kw + dw`` counted from the window's
    unclipped start, uint8 (255: empty) for windows of up to 255 elements, else int16 (-1: empty).

    Comparison is strict from the lowest finite value of the type: the first maximum in row-major order wins, NaN never
    does, and a window without a winner (outside the plane, or only -inf, lowest and NaN) gives the lowest value and the
    empty mark. torch's max_pool2d differs in both. The gradient sums where windows overlap, always in scan order, and
    ignores empty windows; it can be differentiated again any number of times.

    Raises InputError. Source: ``pooling_layer.cpp``, ``Forward_cpu``/``Backward_cpu``, MAX.
    """
    name = "max_pool_switches"
    arguments.values(name, "x", x)
    k, s, p = arguments.window(name, kernel, stride, pad)
    pooled_size(x, k, s, p, round_mode)
    return call(_ops.max_pool_switches.default, x, k, s, p, round_mode == "ceil")


def switches_to_mask(
    switches: torch.Tensor, input_size: PairLike, kernel: PairLike, stride: PairLike, pad: PairLike = 0
) -> torch.Tensor:
    """Switches as Caffe's mask: the flat index ``h*W + w`` of each maximum in its input plane.

    switches: (N, C, PH, PW) uint8 or int16 from ``max_pool_switches`` with the same kernel, stride and pad on planes of
    ``input_size``. Returns int32, or int64 where a plane has 2**31 elements or more; -1 for an empty window (and for a
    switch that points outside the plane). Raises InputError.
    """
    name = "switches_to_mask"
    k, s, p = arguments.window(name, kernel, stride, pad)
    arguments.switches_of(name, switches, k)
    return call(_ops.switches_to_mask.default, switches, arguments.pair(name, "input_size", input_size, 0), k, s, p)


def mask_to_switches(
    mask: torch.Tensor, input_size: PairLike, kernel: PairLike, stride: PairLike, pad: PairLike = 0
) -> torch.Tensor:
    """Caffe's mask as switches; the inverse of ``switches_to_mask``.

    mask: (N, C, PH, PW) int32, int64, float32 or float64 (truncated towards zero), -1 for an empty window.
    Raises InputError naming the first index that does not lie inside its own window (a mask of another origin).
    """
    name = "mask_to_switches"
    k, s, p = arguments.window(name, kernel, stride, pad)
    arguments.mask_of(name, mask)
    return call(_ops.mask_to_switches.default, mask, arguments.pair(name, "input_size", input_size, 0), k, s, p)


def pooled_size(x: torch.Tensor, kernel: Pair, stride: Pair, pad: Pair, round_mode: str) -> Pair:
    """Rows and columns of windows of an (N, C, H, W) tensor."""
    clip = pad[0] > 0 or pad[1] > 0
    return (
        pool_output_size(x.shape[2], kernel[0], stride[0], pad[0], round_mode, clip=clip),
        pool_output_size(x.shape[3], kernel[1], stride[1], pad[1], round_mode, clip=clip),
    )


@torch.library.register_fake("repro::max_pool_switches")
def _(x: torch.Tensor, kernel: Any, stride: Any, pad: Any, ceil_mode: bool) -> tuple[torch.Tensor, torch.Tensor]:
    size = (*x.shape[:2], *pooled_size(x, kernel, stride, pad, "ceil" if ceil_mode else "floor"))
    return arguments.empty(x, size), arguments.empty(x, size, arguments.switch_dtype(kernel))


@torch.library.register_fake("repro::max_pool_switches_backward")
def _(grad: torch.Tensor, switches: torch.Tensor, input_size: Any, kernel: Any, stride: Any, pad: Any) -> torch.Tensor:
    return arguments.empty(grad, (*grad.shape[:2], *input_size))


@torch.library.register_fake("repro::max_unpool_switches_backward")
def _(grad: torch.Tensor, switches: torch.Tensor, kernel: Any, stride: Any, pad: Any) -> torch.Tensor:
    return arguments.empty(grad, switches.shape)


@torch.library.register_fake("repro::switches_to_mask")
def _(switches: torch.Tensor, input_size: Any, kernel: Any, stride: Any, pad: Any) -> torch.Tensor:
    wide = input_size[0] * input_size[1] > 2**31 - 1
    return arguments.empty(switches, switches.shape, torch.int64 if wide else torch.int32)


@torch.library.register_fake("repro::mask_to_switches")
def _(mask: torch.Tensor, input_size: Any, kernel: Any, stride: Any, pad: Any) -> torch.Tensor:
    return arguments.empty(mask, mask.shape, arguments.switch_dtype(kernel))


def _save_pool(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor]:
    x, ctx.kernel, ctx.stride, ctx.pad, _ = inputs
    ctx.input_size = tuple(x.shape[2:])
    return (output[1],)


def _pool_gradient(ctx: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
    (switches,) = ctx.saved_tensors
    return scatter(ctx, grad, switches), None, None, None, None


def _pool_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> tuple[torch.Tensor, None]:
    (switches,) = ctx.saved_tensors
    return gather(ctx, tangent, switches), None


def _save_scatter(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> tuple[torch.Tensor]:
    _, switches, ctx.input_size, ctx.kernel, ctx.stride, ctx.pad = inputs
    return (switches,)


def _scatter_gradient(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    # The scatter is linear in its gradient argument and its adjoint is the gather.
    (switches,) = ctx.saved_tensors
    return gather(ctx, grad, switches), None, None, None, None, None


def _scatter_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
    (switches,) = ctx.saved_tensors
    return scatter(ctx, tangent, switches)


def _save_gather(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> tuple[torch.Tensor]:
    grad, switches, ctx.kernel, ctx.stride, ctx.pad = inputs
    ctx.input_size = tuple(grad.shape[2:])
    return (switches,)


def _gather_gradient(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    # The gather is linear in its gradient argument and its adjoint is the scatter, the gradient of the pooling.
    (switches,) = ctx.saved_tensors
    return scatter(ctx, grad, switches), None, None, None, None


def _gather_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
    (switches,) = ctx.saved_tensors
    return gather(ctx, tangent, switches)


def scatter(ctx: Any, grad: torch.Tensor, switches: torch.Tensor) -> torch.Tensor:
    """The gradient of the pooling whose geometry is in `ctx`."""
    op = _ops.max_pool_switches_backward.default
    return call(op, grad, switches, ctx.input_size, ctx.kernel, ctx.stride, ctx.pad)


def gather(ctx: Any, grad: torch.Tensor, switches: torch.Tensor) -> torch.Tensor:
    """Its adjoint: what the switches point at."""
    return call(_ops.max_unpool_switches_backward.default, grad, switches, ctx.kernel, ctx.stride, ctx.pad)


differentiates("max_pool_switches", 1, _save_pool, _pool_gradient, _pool_tangent)
differentiates("max_pool_switches_backward", 2, _save_scatter, _scatter_gradient, _scatter_tangent)
differentiates("max_unpool_switches_backward", 2, _save_gather, _gather_gradient, _gather_tangent)
batches("switches_to_mask", 1)
batches("mask_to_switches", 1)
