"""A channel's scale and shift, ReLU and max pooling in one pass over the map."""

from __future__ import annotations

from typing import Any

import torch

from repro.errors import InputError
from repro.ops import _arguments as arguments
from repro.ops._arguments import PairLike
from repro.ops._transforms import call, differentiates, leading
from repro.ops.pool import gather, pooled_size, scatter

_ops = torch.ops.repro


def scale_shift_relu_pool(
    x: torch.Tensor,
    scale: torch.Tensor | None,
    shift: torch.Tensor | None,
    kernel: PairLike,
    stride: PairLike,
    pad: PairLike = 0,
    round_mode: str = "ceil",
    relu: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``max_pool_switches`` of ``relu(x * scale + shift)``, in one pass: batch norm at inference, ReLU and pooling.

    x, kernel, stride, pad, round_mode and both results as in ``max_pool_switches``. scale, shift: (C,) of x's dtype, or
    None for none. relu: whether negative values become zero.

    The bits are those of the three ops one after another: the product is rounded to x's dtype, then the sum is (no
    fused multiply-add), then values below zero become +0 while NaN stays NaN and -0 stays -0, as in ``torch.relu``. In
    float16 and bfloat16 each step is computed in float32 and rounded, as torch does.

    Meant for inference: in training a batch norm needs the values in between. It has a derivative all the same, in x,
    scale and shift, any number of times: that of the separate ops. For x it has the same bits; the sums of scale and
    shift are torch's own. Keeps x and both results for it.

    Raises InputError.
    """
    name = "scale_shift_relu_pool"
    arguments.values(name, "x", x)
    k, s, p = arguments.window(name, kernel, stride, pad)
    pooled_size(x, k, s, p, round_mode)
    for what, given in (("scale", scale), ("shift", shift)):
        if given is not None:
            _check_per_channel(name, what, given, x)
    op = _ops.scale_shift_relu_pool.default
    return call(op, x, scale, shift, k, s, p, round_mode == "ceil", relu)


def _check_per_channel(op: str, name: str, given: torch.Tensor, x: torch.Tensor) -> None:
    if not isinstance(given, torch.Tensor) or tuple(given.shape) != (x.shape[1],):
        what = str(tuple(given.shape)) if isinstance(given, torch.Tensor) else type(given).__name__
        raise InputError(f"{op}: {name} is {what}; expected one number for each of the {x.shape[1]} channels of x")
    if given.dtype != x.dtype or given.device != x.device:
        found = f"{name} is {given.dtype} on {given.device} and x {x.dtype} on {x.device}"
        raise InputError(f"{op}: {found}; expected one dtype and device")


@torch.library.register_fake("repro::scale_shift_relu_pool")
def _(
    x: torch.Tensor, scale: Any, shift: Any, kernel: Any, stride: Any, pad: Any, ceil_mode: bool, relu: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    size = (*x.shape[:2], *pooled_size(x, kernel, stride, pad, "ceil" if ceil_mode else "floor"))
    return arguments.empty(x, size), arguments.empty(x, size, arguments.switch_dtype(kernel))


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    x, scale, shift, ctx.kernel, ctx.stride, ctx.pad, _, ctx.relu = inputs
    ctx.input_size = tuple(x.shape[2:])
    ctx.scaled, ctx.shifted = scale is not None, shift is not None
    return (x, *output, *((scale,) if ctx.scaled else ()))


def _gradient(ctx: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
    x, y, switches, *scale = ctx.saved_tensors
    if ctx.relu:
        # all windows that share an element agree on its sign
        grad = torch.where(y > 0, grad, 0)
    prepared = scatter(ctx, grad, switches)
    by_x = prepared * scale[0][:, None, None] if ctx.scaled else prepared
    by_scale = (prepared * x).sum((0, 2, 3)) if ctx.scaled else None
    by_shift = prepared.sum((0, 2, 3)) if ctx.shifted else None
    return by_x, by_scale, by_shift, None, None, None, None, None


def _tangent(ctx: Any, x_tangent: Any, scale_tangent: Any, shift_tangent: Any, *_: Any) -> tuple[torch.Tensor, None]:
    x, y, switches, *scale = ctx.saved_tensors
    moved = torch.zeros_like(x)
    if x_tangent is not None:
        moved = moved + (x_tangent * scale[0][:, None, None] if ctx.scaled else x_tangent)
    if scale_tangent is not None:
        moved = moved + x * scale_tangent[:, None, None]
    if shift_tangent is not None:
        moved = moved + shift_tangent[:, None, None]
    tangent = gather(ctx, moved, switches)
    return (torch.where(y > 0, tangent, 0) if ctx.relu else tangent), None


def _batched(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
    # Each has its own scale and shift, so the mapped dimension joins the channels.
    size = info.batch_size
    x, *each = (None if a is None else leading(a, d, size) for a, d in zip(args[:3], in_dims, strict=False))
    assert x is not None
    flat = [None if a is None else a.flatten() for a in each]
    out = call(_ops.scale_shift_relu_pool.default, x.movedim(0, 1).flatten(1, 2), *flat, *args[3:])
    return tuple(t.unflatten(1, (size, x.shape[2])) for t in out), (1, 1)


differentiates("scale_shift_relu_pool", _batched, _save, _gradient, _tangent)
