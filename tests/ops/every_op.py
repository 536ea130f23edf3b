"""Calls of every op that has CUDA kernels, on inputs of five kinds; the arguments are CPU tensors.

The tests give them to the CPU op and to what must have its bits: the CUDA op, or its rehearsal without a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from repro.ops.lattice import PermutohedralLattice

KINDS = ("random", "tied", "nan", "golden", "empty")
SCORES = Path(__file__).resolve().parents[1] / "golden" / "data" / "crf" / "crop60x80_deconvnet.npz"
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
# kernel, stride, pad, ceil_mode; overlapping, clipped, with gaps, and one whose switches are int16
WINDOWS = (
    ([2, 2], [2, 2], [0, 0], True),
    ([3, 3], [2, 2], [1, 1], True),
    ([3, 2], [1, 3], [0, 1], False),
    ([17, 16], [5, 4], [2, 0], True),
)


class Call(NamedTuple):
    """An op's name and its arguments. ``exact``: its results must have the CPU's bits, else agree but for roundings."""

    op: str
    arguments: tuple[Any, ...]
    exact: bool = True


def values(kind: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """float64 values: all different, few different, with NaN and infinities among them, or DeconvNet's of a picture."""
    if kind == "golden":
        scores = torch.from_numpy(np.load(SCORES)["U"]).double().flatten()
        return scores[(torch.arange(math.prod(shape)) + 4800 * seed) % len(scores)].reshape(shape)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind == "tied":
        return (drawn * 2).round()
    if kind == "nan":
        chance = torch.rand(shape, generator=generator)
        for value, share in ((float("nan"), 0.2), (float("-inf"), 0.1), (float("inf"), 0.05)):
            drawn[chance < share] = value
    return drawn


def calls(kind: str) -> Iterator[Call]:
    """Every op, on one kind of input. Empty: zero images; the lattice refuses no points, so it is not there."""
    yield from _pooling(kind)
    yield from _masks(kind)
    yield from _spreading(kind)
    yield from _folding(kind)
    if kind != "empty":
        yield from _lattices(kind)


def _tensors(kind: str, channels: int, h: int, w: int, seed: int) -> Iterator[torch.Tensor]:
    images = 0 if kind == "empty" else 2
    drawn = values(kind, (images, channels, h, w), seed)
    for dtype in DTYPES:
        yield drawn.to(dtype)
        yield drawn.to(dtype).contiguous(memory_format=torch.channels_last)


def _pooling(kind: str) -> Iterator[Call]:
    ops = torch.ops.repro
    # the last: windows that fill vectors of 16 bytes, along the row and along the channels
    for shape, (kernel, stride, pad, ceil_mode) in (*(((3, 23, 29), w) for w in WINDOWS), ((8, 6, 32), WINDOWS[0])):
        for x in _tensors(kind, *shape, seed=1):
            yield Call("max_pool_switches", (x, kernel, stride, pad, ceil_mode))
            scale = values("random", shape[:1], seed=22).to(x.dtype)
            for scale_and_shift in ((scale, scale.flip(0), True), (scale, None, False), (None, None, True)):
                *both, relu = scale_and_shift
                yield Call("scale_shift_relu_pool", (x, *both, kernel, stride, pad, ceil_mode, relu))
            y, switches = ops.max_pool_switches(x, kernel, stride, pad, ceil_mode)
            grad = torch.empty_like(y).copy_(values("random", tuple(y.shape), seed=2))  # in the layout of x
            size = list(x.shape[2:])
            yield Call("max_pool_switches_backward", (grad, switches, size, kernel, stride, pad))
            yield Call("max_unpool_switches", (y, switches, size, kernel, stride, pad))
            yield Call("max_unpool_switches_backward", (x, switches, kernel, stride, pad))
        yield Call("switches_to_mask", (switches, size, kernel, stride, pad))
        mask = ops.switches_to_mask(switches, size, kernel, stride, pad)
        for dtype in (torch.int32, torch.int64, torch.float32, torch.float64):
            yield Call("mask_to_switches", (mask.to(dtype), size, kernel, stride, pad))


def _masks(kind: str) -> Iterator[Call]:
    for x in _tensors(kind, 3, 7, 5, seed=3):
        mask = torch.randint(-1, 13 * 11, x.shape, generator=torch.Generator().manual_seed(4))  # with duplicates
        grad = values(kind, (x.shape[0], 3, 13, 11), seed=5).to(x.dtype)
        for dtype in (torch.int32, torch.int64, torch.float32, torch.float64):
            yield Call("unpool_mask", (x, mask.to(dtype), [13, 11]))
            yield Call("unpool_mask_backward", (grad, mask.to(dtype)))


def _spreading(kind: str) -> Iterator[Call]:
    for kernel, stride in (([2, 2], [2, 2]), ([3, 4], [2, 3])):
        for x in _tensors(kind, 3, 6, 5, seed=6):
            for average in (True, False):
                yield Call("spread_unpool", (x, [13, 14], kernel, stride, average))
            grad = values(kind, (x.shape[0], 3, 13, 14), seed=7).to(x.dtype)
            yield Call("spread_unpool_backward", (grad, [6, 5], kernel, stride))


def _folding(kind: str) -> Iterator[Call]:
    corners = torch.tensor([[-4, -3], [0, 0], [9, 6], [30, 2], [5, 5]])
    boxes = torch.cat([corners, corners + torch.tensor([[11, 9], [28, 22], [3, 40], [6, 6], [0, 0]])], dim=1)
    count = 0 if kind == "empty" else len(boxes)
    for dtype in DTYPES:
        canvas, maps = (
            values("random", (4, 23, 29), seed=20).to(dtype),
            values(kind, (count, 4, 7, 8), seed=21).to(dtype),
        )
        for flavour in range(3):
            for start in (canvas, canvas.permute(1, 2, 0).contiguous().permute(2, 0, 1)):
                for op in ("aggregate_max_", "aggregate_sum_"):
                    yield Call(op, (start, maps, boxes[:count], flavour))


def _lattices(kind: str) -> Iterator[Call]:
    for dtype in (torch.float32, torch.float64):
        for d in range(1, 9):
            # Cells over 2^15 or more along each axis: keys of 128 bits, where a coordinate may grow so large at all.
            widest = 17 if dtype == torch.float32 else 27
            for spread in (1.0, 2.0 ** min(widest, 100 // d) / 4):
                # A point that is not finite is refused, so NaN are in the values alone.
                features = (values("tied" if kind == "tied" else "random", (2, 83, d), seed=d) * spread).to(dtype)
                yield Call("lattice_build", (features, d % 2 == 0))
            grad_weights = values(kind, (*features.shape[:2], d + 1), seed=12).to(dtype)
            yield Call("lattice_features_backward", (grad_weights, features))
            if d in (2, 5):
                yield from _filtering(kind, features, dtype)
        yield from _mean_field(dtype)


def _filtering(kind: str, features: torch.Tensor, dtype: torch.dtype) -> Iterator[Call]:
    points = features.shape[0] * features.shape[1]
    arrays = PermutohedralLattice(features).arrays.tensors()
    channels = values(kind, (points, 5), seed=8).to(dtype)
    grad = values(kind, (points, 5), seed=9).to(dtype)
    scales = [values("random", (points,), seed=10 + i).to(dtype).abs() for i in range(2)]
    for before, after in ((None, None), (scales[0], None), (scales[0], scales[1])):
        for transpose in (False, True):
            yield Call("lattice_filter", (channels, before, after, *arrays, transpose))
            # The CPU adds up some channels at a time, and rounds in between.
            yield Call("lattice_weights_backward", (grad, channels, before, after, *arrays, transpose), exact=False)


def _mean_field(dtype: torch.dtype) -> Iterator[Call]:
    exact = dtype == torch.float32  # whose exponential is our own; the double one is each library's
    labels, points, padded = 21, 96, 24
    rows = values("random", (points, padded), seed=13).to(dtype) * 3
    message = values("random", (points, padded), seed=14).to(dtype)
    weights = [torch.tensor(2.5), torch.rand(padded), torch.rand(labels, padded)]
    weights = [w.to(dtype) for w in weights]
    yield Call("meanfield_step", (rows, [], [], labels), exact)
    yield Call("meanfield_step", (rows, [message] * 3, weights, labels), exact)
    features = [values("random", (points, d), seed=15 + d).to(dtype) for d in (2, 5, 3)]
    arrays = [t for f in features for t in PermutohedralLattice(f).arrays.tensors()]
    none, scale = torch.empty(0, dtype=dtype), torch.rand(points, dtype=dtype)
    energies = rows[:, :labels].T.contiguous()
    scales = [none, scale, scale, none, scale, scale]
    for relaxation in (1.0, 0.6):
        yield Call("meanfield_infer", (energies, arrays[:12], scales[:4], weights[:2], relaxation, 3), exact)
        yield Call("meanfield_infer", (energies, arrays, scales, weights, relaxation, 3), exact)


def run(name: str, arguments: tuple[Any, ...], device: str = "cpu", namespace: str = "repro") -> list[torch.Tensor]:
    """An op's results on a device, on the CPU again; an op that writes into its first argument gives that."""
    given = moved(arguments, device)
    if name.endswith("_"):
        given = (given[0].clone(memory_format=torch.preserve_format), *given[1:])
    found = getattr(getattr(torch.ops, namespace), name).default(*given)
    found = given[0] if found is None else found
    return [t.cpu() for t in ([found] if isinstance(found, torch.Tensor) else found)]


def moved(argument: Any, device: str) -> Any:
    """An argument, or a sequence of them, with its tensors on a device."""
    if isinstance(argument, torch.Tensor):
        return argument.to(device)
    if isinstance(argument, (list, tuple)):
        return type(argument)(moved(item, device) for item in argument)
    return argument


def agree(a: torch.Tensor, b: torch.Tensor, exact: bool) -> bool:
    """Same shape, dtype, memory order and values: bit for bit (a NaN is a NaN), or within some roundings."""
    if (a.shape, a.dtype, a.stride()) != (b.shape, b.dtype, b.stride()):
        return False
    if not exact:
        few = 32 * torch.finfo(a.dtype).eps
        return torch.allclose(a, b, rtol=few, atol=few, equal_nan=True)
    if not a.is_floating_point():
        return torch.equal(a, b)
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    return bool(((a.view(bits) == b.view(bits)) | (a.isnan() & b.isnan())).all())


def described(call: Call) -> str:
    """The arguments for a message: tensors by shape and dtype."""
    return str([(tuple(a.shape), a.dtype) if isinstance(a, torch.Tensor) else a for a in call.arguments])
