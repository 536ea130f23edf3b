"""Unpooling: values back to where pooling took them from, or spread over their windows."""

from __future__ import annotations

from typing import Any

import torch

from repro.ops import _arguments as arguments
from repro.ops._arguments import PairLike
from repro.ops._transforms import call, differentiates, refusal
from repro.ops.pool import gather

_ops = torch.ops.repro


def max_unpool_switches(
    x: torch.Tensor,
    switches: torch.Tensor,
    output_size: PairLike,
    kernel: PairLike,
    stride: PairLike,
    pad: PairLike = 0,
) -> torch.Tensor:
    """Each value of x goes where its switch points; every other element of the output is zero.

    x: (N, C, PH, PW) floating; switches: same shape, from ``max_pool_switches`` with the same kernel, stride and pad.
    output_size: H or (H, W) of the planes. Returns (N, C, H, W) in x's dtype and memory format.

    Where overlapping windows point at one element the last in scan order stays, and the gradient gives each of them
    that element's gradient, both as the original does; so with such duplicates the gradient is the original's, not the
    derivative. Empty windows contribute nothing. The gradient can be differentiated again.

    Raises InputError, also for a switch that points to nothing inside the output (on a GPU, where looking would mean
    waiting for the device, such a switch contributes nothing). Source: ``unpooling_layer.cpp`` of HyeonwooNoh/caffe.
    """
    name = "max_unpool_switches"
    arguments.values(name, "x", x)
    k, s, p = arguments.window(name, kernel, stride, pad)
    arguments.switches_of(name, switches, k)
    arguments.same_shape(name, "x", x, "switches", switches)
    return call(
        _ops.max_unpool_switches.default, x, switches, arguments.pair(name, "output_size", output_size, 0), k, s, p
    )


def unpool_mask(x: torch.Tensor, mask: torch.Tensor, output_size: PairLike) -> torch.Tensor:
    """Each value of x goes to the flat index ``h*W + w`` of its output plane that the mask names; zero elsewhere.

    x: (N, C, PH, PW) floating; mask: same shape, any origin, int32, int64, float32 or float64 (truncated towards
    zero as the original does). Returns (N, C, H, W), contiguous.

    -1, the mark of an empty window, contributes nothing (the original would write before the plane); any other index
    outside the plane is an InputError naming the index's position and the plane. Duplicates: the last in scan order
    stays, and each gets that element's gradient. The gradient cannot be differentiated again: use
    ``max_unpool_switches`` for that. On a GPU the check waits for the device; ``max_unpool_switches`` does not.
    Source: ``unpooling_layer.cpp`` of HyeonwooNoh/caffe, MAX with a mask.
    """
    name = "unpool_mask"
    arguments.values(name, "x", x)
    arguments.mask_of(name, mask)
    arguments.same_shape(name, "x", x, "mask", mask)
    return call(_ops.unpool_mask.default, x, mask, arguments.pair(name, "output_size", output_size, 0))


def corner_unpool(x: torch.Tensor, output_size: PairLike, kernel: PairLike, stride: PairLike) -> torch.Tensor:
    """Max-unpooling without a mask: each value goes to its window's top-left element, clipped to the output.

    x: (N, C, PH, PW) floating; the kernel plays no part but its range. Returns (N, C, H, W). The rest as
    ``unpool_mask``.
    Source: ``unpooling_layer.cpp`` of HyeonwooNoh/caffe, MAX with one bottom.
    """
    name = "corner_unpool"
    arguments.values(name, "x", x)
    _, (stride_h, stride_w), _ = arguments.window(name, kernel, stride, 0)
    height, width = arguments.pair(name, "output_size", output_size, 1)
    rows = (torch.arange(x.shape[2], device=x.device) * stride_h).clamp(max=height - 1)
    columns = (torch.arange(x.shape[3], device=x.device) * stride_w).clamp(max=width - 1)
    return unpool_mask(x, (rows[:, None] * width + columns).expand(x.shape), (height, width))


def avg_unpool(x: torch.Tensor, output_size: PairLike, kernel: PairLike, stride: PairLike) -> torch.Tensor:
    """Each value is divided by its window's size and added to every element of the window.

    x: (N, C, PH, PW) floating. Returns (N, C, H, W) in x's dtype and memory format; elements no window covers are zero.
    The size is that of the window clipped to the output, for which 0 is possible: the gradient of a window that lies
    outside the output is then 0/0, as in the original. The original's CPU code never clears its output, so a second
    forward adds to the first; this one clears.
    Raises InputError. Source: ``unpooling_layer.cpp`` of HyeonwooNoh/caffe, AVE.
    """
    return _spread("avg_unpool", x, output_size, kernel, stride, average=True)


def tile_unpool(x: torch.Tensor, output_size: PairLike, kernel: PairLike, stride: PairLike) -> torch.Tensor:
    """Each value is added whole to every element of its window.

    As ``avg_unpool``, without the division. The gradient is the original's, which divides by the window's size all the
    same, and so is not the derivative. Raises InputError. Source: ``unpooling_layer.cpp`` of HyeonwooNoh/caffe, TILE.
    """
    return _spread("tile_unpool", x, output_size, kernel, stride, average=False)


def _spread(
    name: str, x: torch.Tensor, output_size: PairLike, kernel: PairLike, stride: PairLike, average: bool
) -> torch.Tensor:
    arguments.values(name, "x", x)
    k, s, _ = arguments.window(name, kernel, stride, 0)
    return call(_ops.spread_unpool.default, x, arguments.pair(name, "output_size", output_size, 0), k, s, average)


@torch.library.register_fake("repro::max_unpool_switches")
def _(x: torch.Tensor, switches: torch.Tensor, output_size: Any, kernel: Any, stride: Any, pad: Any) -> torch.Tensor:
    return arguments.empty(x, (*x.shape[:2], *output_size))


@torch.library.register_fake("repro::unpool_mask")
def _(x: torch.Tensor, mask: torch.Tensor, output_size: Any) -> torch.Tensor:
    return x.new_empty((*x.shape[:2], *output_size))


@torch.library.register_fake("repro::unpool_mask_backward")
def _(grad: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return grad.new_empty(mask.shape)


@torch.library.register_fake("repro::spread_unpool")
def _(x: torch.Tensor, output_size: Any, kernel: Any, stride: Any, average: bool) -> torch.Tensor:
    return arguments.empty(x, (*x.shape[:2], *output_size))


@torch.library.register_fake("repro::spread_unpool_backward")
def _(grad: torch.Tensor, input_size: Any, kernel: Any, stride: Any) -> torch.Tensor:
    return arguments.empty(grad, (*grad.shape[:2], *input_size))


def _save_unpool(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> tuple[torch.Tensor]:
    _, switches, ctx.output_size, ctx.kernel, ctx.stride, ctx.pad = inputs
    return (switches,)


def _unpool_gradient(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    (switches,) = ctx.saved_tensors
    return gather(ctx, grad, switches), None, None, None, None, None


def _unpool_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
    (switches,) = ctx.saved_tensors
    op = _ops.max_unpool_switches.default
    return call(op, tangent, switches, ctx.output_size, ctx.kernel, ctx.stride, ctx.pad)


def _save_mask(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> tuple[torch.Tensor]:
    ctx.output_size = inputs[2] if len(inputs) > 2 else None
    return (inputs[1],)


def _mask_gradient(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    (mask,) = ctx.saved_tensors
    return call(_ops.unpool_mask_backward.default, grad, mask), None, None


def _mask_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
    (mask,) = ctx.saved_tensors
    return call(_ops.unpool_mask.default, tangent, mask, ctx.output_size)


def _mask_gather_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
    (mask,) = ctx.saved_tensors
    return call(_ops.unpool_mask_backward.default, tangent, mask)


def _save_spread(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> tuple[()]:
    x, ctx.output_size, ctx.kernel, ctx.stride, ctx.average = inputs
    ctx.input_size = tuple(x.shape[2:])
    return ()


def _spread_gradient(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    return _window_means(ctx, grad), None, None, None, None


def _spread_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
    return call(_ops.spread_unpool.default, tangent, ctx.output_size, ctx.kernel, ctx.stride, ctx.average)


def _save_means(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> tuple[()]:
    grad, ctx.input_size, ctx.kernel, ctx.stride = inputs
    ctx.output_size = tuple(grad.shape[2:])
    return ()


def _means_gradient(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    # Both modes' gradient is a sum over the window divided by its size, whose adjoint is the averaging spread.
    return call(_ops.spread_unpool.default, grad, ctx.output_size, ctx.kernel, ctx.stride, True), None, None, None


def _means_tangent(ctx: Any, tangent: torch.Tensor, *_: Any) -> torch.Tensor:
    return _window_means(ctx, tangent)


def _window_means(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
    return call(_ops.spread_unpool_backward.default, grad, ctx.input_size, ctx.kernel, ctx.stride)


_refuse_second = refusal(
    "unpool_mask: its gradient cannot be differentiated again (a sum over arbitrary indices has no deterministic "
    "GPU kernel here); mask_to_switches and max_unpool_switches can"
)

differentiates("max_unpool_switches", 2, _save_unpool, _unpool_gradient, _unpool_tangent)
differentiates("unpool_mask", 2, _save_mask, _mask_gradient, _mask_tangent)
differentiates("unpool_mask_backward", 2, _save_mask, _refuse_second, _mask_gather_tangent)
differentiates("spread_unpool", 1, _save_spread, _spread_gradient, _spread_tangent)
differentiates("spread_unpool_backward", 1, _save_means, _means_gradient, _means_tangent)
