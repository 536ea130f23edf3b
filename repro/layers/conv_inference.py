"""Convolutions on a CPU in `native` where no gradient is asked for: by other means than torch's where they win.

The rule, in this order; what fits none of it is torch's:

- a kernel that covers the whole input (fully connected layers: fc6, fc7), or a deconvolution of a single pixel, is a
  matrix product;
- 1x1 of stride 1 over a map of `FEWEST_POSITIONS` and more is a matrix product per image;
- 3x3 of stride 1, no dilation, no groups, at least `FEWEST` outputs per position and a pad the transposed form allows
  is Winograd's, with what follows in place (BN of mode INFERENCE, Scale, ReLU) done as the values are written;
- an input with NaN, infinite or huge values, or such weights, goes to torch all the same: Winograd's tiles would spread
  them to outputs whose own 3x3 window is sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.layers.base import Layer, PerChannel, joined
from repro.ops.dense import dense
from repro.ops.winograd import LARGEST_WEIGHT, fingerprint, winograd_conv, winograd_pack

FEWEST = 16  # output channels below which packing and transforms cost what the products save
FEWEST_POSITIONS = 1024  # of a map; below, torch's 1x1 convolutions win for batches
LARGEST_BATCH = 64  # rows up to which reading the weights decides, as `ops.dense` is made for


class Sizes(NamedTuple):
    """What `plan` needs to know of a layer; kernel, stride, pad, dilation as (h, w)."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]
    group: int
    transposed: bool


@dataclass
class _Packed:
    mark: int
    outputs: int
    weights: Tensor | None  # None: not fit for Winograd


_kept: WeakKeyDictionary[Layer, _Packed] = WeakKeyDictionary()


def applies(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether this is plain inference on a CPU in float32."""
    if x.dtype != torch.float32 or weight.dtype != torch.float32 or x.device.type != "cpu" or x.dim() != 4:
        return False
    if weight.device.type != "cpu" or torch.compiler.is_compiling() or x.numel() == 0:
        return False
    if torch.is_autocast_enabled("cpu"):
        return False  # asks for another precision, which torch's own calls give
    if type(x) is not Tensor or type(weight.data) is not Tensor:
        return False  # fake and other wrapped tensors have no memory to read
    return not (torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias)))


def run(
    layer: Layer, x: Tensor, weight: Tensor, bias: Tensor | None, sizes: Sizes, following: Sequence[PerChannel] = ()
) -> tuple[Tensor, int] | None:
    """The layer's top and how many of `following` are done in it already; None where torch's own way is to be taken.

    Only where `applies`.
    """
    product = _dense(x, weight, bias, sizes)
    if product is None:
        product = _pointwise(x, weight, bias, sizes)
    if product is not None:
        return product, 0
    if not _is_winograd(weight, sizes):
        return None
    packed = _packed(layer, weight, sizes.transposed)
    if packed.weights is None:
        return None
    pad = tuple(2 - p for p in sizes.pad) if sizes.transposed else sizes.pad
    after, done = joined(following)
    y, unfit = winograd_conv(x, packed.weights, packed.outputs, pad, bias, after.scale, after.shift, after.relu)
    return None if bool(unfit) else (y, done)


def _dense(x: Tensor, weight: Tensor, bias: Tensor | None, sizes: Sizes) -> Tensor | None:
    if sizes.group != 1 or max(sizes.pad) or max(sizes.dilation) != 1:
        return None
    if not sizes.transposed:
        if tuple(x.shape[2:]) != sizes.kernel:
            return None
        y = _product(x.flatten(1), weight.flatten(1), False)
        return (y if bias is None else y.add_(bias))[..., None, None]
    if tuple(x.shape[2:]) != (1, 1):
        return None
    y = _product(x.flatten(1), weight.flatten(1), True).view(x.shape[0], weight.shape[1], *sizes.kernel)
    return y if bias is None else y.add_(bias[:, None, None])


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor | None, sizes: Sizes) -> Tensor | None:
    ones = {*sizes.kernel, *sizes.stride} == {1} and sizes.group == 1 and not max(sizes.pad)
    if not ones or sizes.transposed or x.shape[2] * x.shape[3] < FEWEST_POSITIONS:
        return None
    y = torch.matmul(weight.flatten(1), x.flatten(2))
    return (y if bias is None else y.add_(bias[:, None])).unflatten(2, x.shape[2:])


def _product(x: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    if len(x) > LARGEST_BATCH:
        return x @ weight if transposed else F.linear(x, weight)
    return dense(x, weight, transposed)


def _is_winograd(weight: Tensor, sizes: Sizes) -> bool:
    threes = sizes.kernel == (3, 3) and sizes.stride == (1, 1) and sizes.dilation == (1, 1)
    return (
        threes
        and sizes.group == 1
        and weight.shape[1 if sizes.transposed else 0] >= FEWEST
        and not (sizes.transposed and max(sizes.pad) > 2)
    )


def _packed(layer: Layer, weight: Tensor, transposed: bool) -> _Packed:
    """Kept per layer for as long as the weights' bytes stay as they are.

    The version counter would not do: numpy views of parameters (net surgery) and `.data` pass it by.
    """
    weight = weight.detach()
    mark = fingerprint(weight)
    kept = _kept.get(layer)
    if kept is None or kept.mark != mark:
        # NaN compares false
        fit = bool(weight.abs().amax() < LARGEST_WEIGHT)
        packed = winograd_pack(weight, transposed) if fit else None
        kept = _kept[layer] = _Packed(mark, weight.shape[1 if transposed else 0], packed)
    return kept
