"""Unpooling of the DeconvNet fork. Source: `unpooling_layer.cpp` of HyeonwooNoh/caffe."""

from __future__ import annotations

import math
from typing import Any

from repro.errors import InputError
from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, Shape, at_least, need_4d, pair
from repro.layers.later import ops, torch
from repro.layers.pool import Switches
from repro.layers.reach import Reaches, spread_reach
from repro.layers.registry import register


@register("Unpooling")
class Unpooling(Layer):
    """MAX: each value back to where its mask says (without a mask: the window's corner). AVE, TILE: spread, adding."""

    has_exact = True
    accepts_switches = True
    bottoms = (1, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("unpooling_param")
        self.method = options.unpool
        if self.method not in ("MAX", "AVE", "TILE"):
            self.fail(f"unpool is {self.method}, must be MAX, AVE or TILE")
        if self.method != "MAX" and len(self.spec.bottoms) > 1:
            self.fail(f"{self.method} unpooling takes no mask, found bottom '{self.spec.bottoms[1]}'")
        self.kernel = at_least(
            self, "kernel", pair(self, options, "kernel_size", default=None, h="kernel_h", w="kernel_w"), 1
        )
        self.stride = at_least(self, "stride", pair(self, options, "stride", default=1), 1)
        if pair(self, options, "pad", default=0) != (0, 0):
            self.fail("pad must be 0 (the original refuses it too)")
        self.output = at_least(
            self, "unpool_size", pair(self, options, "unpool_size", default=None, h="unpool_h", w="unpool_w"), 1
        )

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        if len(bottom_shapes) > 1 and (bottom_shapes[1][:2] != (n, c) or math.prod(bottom_shapes[1][2:]) < h * w):
            self.fail(f"mask '{self.spec.bottoms[1]}' has shape {bottom_shapes[1]}, the values {(n, c, h, w)}")
        return [(n, c, *self.output)]

    def coordinate_map(self) -> tuple[Affine, Affine]:
        h, w = (window_map(self.kernel[a], self.stride[a], 0).inverse() for a in (0, 1))
        return h, w

    def reach(self) -> Reaches:
        h, w = (spread_reach(self.kernel[a], self.stride[a], 0) for a in (0, 1))
        return h, w

    def forward(self, *bottoms: Any) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        try:
            if self.method == "AVE":
                return (ops.avg_unpool(x, self.output, self.kernel, self.stride),)
            if self.method == "TILE":
                return (ops.tile_unpool(x, self.output, self.kernel, self.stride),)
            if len(bottoms) == 1:
                return (ops.corner_unpool(x, self.output, self.kernel, self.stride),)
            mask = bottoms[1]
            plane = mask.positions if isinstance(mask, Switches) else mask
            if plane.shape[2:] != x.shape[2:]:
                # a mask of more places: as in the original, a value's place counts from the plane's beginning
                whole = mask.mask() if isinstance(mask, Switches) else mask
                mask = whole.flatten(2)[:, :, : x.shape[2] * x.shape[3]].reshape(x.shape)
            if not isinstance(mask, Switches):
                return (ops.unpool_mask(x, mask, self.output),)
            if mask.input_size == self.output:
                return (ops.max_unpool_switches(x, mask.positions, self.output, mask.kernel, mask.stride, mask.pad),)
            # another plane than the pool's: only the plane index says where to; integers, so no limit of 2**24
            index = ops.switches_to_mask(mask.positions, mask.input_size, mask.kernel, mask.stride, mask.pad)
            return (ops.unpool_mask(x, index, self.output),)
        except InputError as error:
            self.fail_input(str(error))
