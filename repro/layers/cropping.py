"""The crops of other forks: SimpleCrop, MergeCrop.

Source: `simple_crop_layer.cpp` of Fei Yin's and Chris Tensmeyer's forks, `mergecrop_layer.cpp/.cu` of naibaf7/caffe.
"""

from __future__ import annotations

from fractions import Fraction

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, need_4d, option
from repro.layers.later import torch
from repro.layers.registry import register


@register("SimpleCrop")
class SimpleCrop(Layer):
    """The top-left corner of bottom 0, as high and wide as bottom 1 (or the blob `crop_param { blob_name }` says)."""

    has_exact = True
    bottoms = (1, 2)
    size_bottoms = (1,)
    fresh_tops = False

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if len(bottom_shapes) != 2:
            self.fail("needs the blob to crop to: a second bottom, or crop_param { blob_name }")
        (n, c, *have), (*_, th, tw) = need_4d(self, bottom_shapes[0]), bottom_shapes[1]
        if have[0] < th or have[1] < tw:
            self.fail(f"bottom 0 is {have[0]}x{have[1]}, smaller than '{self.spec.bottoms[1]}', {th}x{tw}")
        return [(n, c, th, tw)]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        h, w = bottoms[1].shape[2:]
        return (bottoms[0][:, :, :h, :w],)


@register("MergeCrop", "Mergecrop")
class MergeCrop(Layer):
    """Bottom 0 and the centre of the larger bottom 1: their channels one after the other (STACK) or their sum (ADD).

    Bottom 1 gets no gradient unless `backward` says so. Any number of spatial axes.
    """

    has_exact = True
    bottoms = (2, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.flow = {"forward": [1, 1], "backward": [1, 0]}
        self.operation = "STACK"
        if "mergecrop_param" in self.spec.message.message_type.fields:
            options = self.spec.options("mergecrop_param")
            for name, flags in self.flow.items():
                given = [int(v) for v in option(options, name, [])]
                flags[: len(given)] = given[:2]
            self.operation = str(option(options, "operation", "STACK"))
        if self.operation not in ("STACK", "ADD"):
            self.fail(f"operation is {self.operation}, must be STACK or ADD")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        small, large = bottom_shapes
        if (
            len(small) != len(large)
            or small[0] != large[0]
            or any(a > b for a, b in zip(small[2:], large[2:], strict=True))
        ):
            self.fail(f"bottom 1 {large} does not cover bottom 0 {small}")
        if self.operation == "ADD" and small[1] != large[1]:
            self.fail(f"bottoms have {small[1]} and {large[1]} channels; ADD needs the same number")
        return [(small[0], small[1] + (large[1] if self.operation == "STACK" else 0), *small[2:])]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return Affine(shift=Fraction(0)), Affine(shift=Fraction(0))

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        small, large = bottoms
        for axis in range(2, small.dim()):
            large = large.narrow(axis, (large.shape[axis] - small.shape[axis]) // 2, small.shape[axis])
        parts = []
        for place, part in enumerate((small, large)):
            kept = part if self.flow["backward"][place] else part.detach()
            parts.append(kept if self.flow["forward"][place] else torch.zeros_like(kept))
        return (torch.cat(parts, 1) if self.operation == "STACK" else parts[0] + parts[1],)
