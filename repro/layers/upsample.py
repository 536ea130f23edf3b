"""SegNet's Upsample: each value back to where its pooling mask says.

Source: `upsample_layer.cpp` of alexgkendall/caffe-segnet.
"""

from __future__ import annotations

from typing import Any

from repro.errors import InputError
from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, Shape, need_4d
from repro.layers.later import ops, torch
from repro.layers.pool import Switches
from repro.layers.reach import Reaches, spread_reach
from repro.layers.registry import register


@register("Upsample")
class Upsample(Layer):
    """Max unpooling by a mask (bottom 1). Output: `upsample_h` x `upsample_w`, else `scale` times the input.

    `pad_out_h`, `pad_out_w` take one row or column off the scaled size (an odd size was pooled to it); scale 2 only.
    """

    has_exact = True
    accepts_switches = True
    bottoms = (2, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("upsample_param")
        self.size: tuple[int, int] | None = None
        if options.has("upsample_h") and options.has("upsample_w"):
            self.size = int(options.upsample_h), int(options.upsample_w)
            self.scale = tuple(max(1, round(o / i)) for o, i in zip(self.size, bottom_shapes[0][2:], strict=False))
            if min(self.size) <= 1:
                self.fail(f"upsample_h x upsample_w is {self.size[0]}x{self.size[1]}, must be more than 1")
            return
        if options.has("scale_h") != options.has("scale_w") or (options.has("scale") and options.has("scale_h")):
            self.fail("needs upsample_h and upsample_w, or scale, or scale_h and scale_w")
        both = options.has("scale_h")
        self.scale = (int(options.scale_h), int(options.scale_w)) if both else (int(options.scale),) * 2
        self.pad_out = bool(options.pad_out_h), bool(options.pad_out_w)
        for scale, pad in zip(self.scale, self.pad_out, strict=True):
            if scale <= 1 or (pad and scale != 2):
                self.fail(f"scale is {scale}, must be more than 1, and 2 with pad_out")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        if bottom_shapes[1] != (n, c, h, w):
            self.fail(f"mask '{self.spec.bottoms[1]}' has shape {bottom_shapes[1]}, the values {(n, c, h, w)}")
        if self.size:
            return [(n, c, *self.size)]
        return [(n, c, h * self.scale[0] - self.pad_out[0], w * self.scale[1] - self.pad_out[1])]

    def coordinate_map(self) -> tuple[Affine, Affine]:
        h, w = (window_map(s, s, 0).inverse() for s in self.scale)
        return h, w

    def reach(self) -> Reaches:
        h, w = (spread_reach(s, s, 0) for s in self.scale)
        return h, w

    def forward(self, *bottoms: Any) -> tuple[torch.Tensor, ...]:
        x, mask = bottoms
        output = self.infer([tuple(x.shape), tuple(x.shape)])[0][2:]
        try:
            if not isinstance(mask, Switches):
                return (ops.unpool_mask(x, mask, output),)
            if mask.input_size == output:
                return (ops.max_unpool_switches(x, mask.positions, output, mask.kernel, mask.stride, mask.pad),)
            # another plane than the pool's: only the plane index says where to
            index = ops.switches_to_mask(mask.positions, mask.input_size, mask.kernel, mask.stride, mask.pad)
            return (ops.unpool_mask(x, index, output),)
        except InputError as error:
            self.fail_input(str(error))
