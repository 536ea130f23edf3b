"""This project's ops in torch's own, for programs that must run without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from repro.ops._arguments import LARGEST_UINT8_WINDOW, Pair
from repro.ops.sizes import pool_output_size


def standard_forms() -> dict[Any, Callable[..., Any]]:
    """Op -> the function of torch's own ops that `run_decompositions` puts in its place."""
    ops = torch.ops.repro
    return {
        ops.max_pool_switches.default: _max_pool_switches,
        ops.switches_to_mask.default: _switches_to_mask,
        ops.max_unpool_switches.default: _max_unpool_switches,
        ops.unpool_mask.default: _unpool_mask,
        ops.spread_unpool.default: _spread_unpool,
    }


def _max_pool_switches(
    x: torch.Tensor, kernel: Pair, stride: Pair, pad: Pair, ceil_mode: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    clip, mode = max(pad) > 0, "ceil" if ceil_mode else "floor"
    sides = int(x.shape[2]), int(x.shape[3])
    out = [pool_output_size(*s, mode, clip=clip) for s in zip(sides, kernel, stride, pad, strict=True)]
    needed = [(o - 1) * t + k for o, t, k in zip(out, stride, kernel, strict=True)]
    behind = [max(0, n - p - s) for n, p, s in zip(needed, pad, sides, strict=True)]
    lowest = torch.finfo(x.dtype).min
    padded = F.pad(x, (pad[1], behind[1], pad[0], behind[0]), value=lowest)
    y, flat = F.max_pool2d(padded, kernel, stride, return_indices=True)
    y, flat = y[:, :, : out[0], : out[1]], flat[:, :, : out[0], : out[1]]
    width = sides[1] + pad[1] + behind[1]
    rows = torch.arange(out[0], device=x.device)[:, None] * stride[0]
    columns = torch.arange(out[1], device=x.device)[None, :] * stride[1]
    place = (torch.div(flat, width, rounding_mode="floor") - rows) * kernel[1] + (flat % width - columns)
    small = kernel[0] * kernel[1] <= LARGEST_UINT8_WINDOW
    place = torch.where(y > lowest, place, 255 if small else -1)
    return y, place.to(torch.uint8 if small else torch.int16)


def _plane_index(switches: torch.Tensor, size: Pair, kernel: Pair, stride: Pair, pad: Pair) -> torch.Tensor:
    """h*W + w in planes of this size; -1 for an empty window and for a place outside."""
    place = switches.to(torch.int64)
    rows = torch.arange(switches.shape[2], device=switches.device)[:, None] * stride[0] - pad[0]
    columns = torch.arange(switches.shape[3], device=switches.device)[None, :] * stride[1] - pad[1]
    row = rows + torch.div(place, kernel[1], rounding_mode="floor")
    column = columns + place % kernel[1]
    empty = place == 255 if switches.dtype == torch.uint8 else place < 0
    outside = (row < 0) | (row >= size[0]) | (column < 0) | (column >= size[1]) | empty
    return torch.where(outside, -1, row * size[1] + column)


def _switches_to_mask(switches: torch.Tensor, size: Pair, kernel: Pair, stride: Pair, pad: Pair) -> torch.Tensor:
    wide = size[0] * size[1] > 2**31 - 1
    return _plane_index(switches, size, kernel, stride, pad).to(torch.int64 if wide else torch.int32)


def _scatter(x: torch.Tensor, index: torch.Tensor, size: Pair, distinct: bool) -> torch.Tensor:
    """Values at their plane index, -1 nowhere; of several for one place the last stays."""
    plane, count = size[0] * size[1], x.shape[2] * x.shape[3]
    lead = x.shape[:2]
    values, flat = x.reshape(*lead, count), index.reshape(*lead, count)
    flat = torch.where(flat < 0, plane, flat)
    if distinct:
        y = x.new_zeros(*lead, plane + 1).scatter(2, flat, values)
    else:
        numbers = torch.arange(count, device=x.device).expand(*lead, count)
        nobody = torch.full((*lead, plane + 1), -1, dtype=torch.int64, device=x.device)
        last = nobody.scatter_reduce(2, flat, numbers, "amax")
        y = torch.where(last >= 0, values.gather(2, last.clamp(min=0)), 0.0)
    return y[:, :, :plane].reshape(*lead, *size)


def _max_unpool_switches(
    x: torch.Tensor, switches: torch.Tensor, output_size: Pair, kernel: Pair, stride: Pair, pad: Pair
) -> torch.Tensor:
    distinct = all(k <= t for k, t in zip(kernel, stride, strict=True))
    index = _plane_index(switches, output_size, kernel, stride, pad)
    # several empty windows share the place that is cut off again, where it does not matter who writes
    return _scatter(x, index, output_size, distinct)


def _unpool_mask(x: torch.Tensor, mask: torch.Tensor, output_size: Pair) -> torch.Tensor:
    return _scatter(x, mask.to(torch.int64), output_size, distinct=False)


def _spread_unpool(x: torch.Tensor, output_size: Pair, kernel: Pair, stride: Pair, average: bool) -> torch.Tensor:
    channels = x.shape[1]
    if average:
        counts = torch.ones((), device=x.device)
        for side, k, t, most in zip(x.shape[2:], kernel, stride, output_size, strict=True):
            starts = (torch.arange(side, device=x.device) * t).clamp(max=most)
            counts = counts[..., None] * ((starts + k).clamp(max=most) - starts)
        x = x / counts.clamp(min=1).to(x)
    y = F.conv_transpose2d(x, x.new_ones(channels, 1, *kernel), stride=stride, groups=channels)
    y = y[:, :, : output_size[0], : output_size[1]]
    return F.pad(y, (0, output_size[1] - y.shape[3], 0, output_size[0] - y.shape[2]))
