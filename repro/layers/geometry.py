"""Crop and Flatten.

Source: `crop_layer.cpp` of the DeconvNet fork (offset from the layers' coordinate maps) and of BVLC Caffe
(axis and offset given); `flatten_layer.cpp`.
"""

from __future__ import annotations

import math
from fractions import Fraction

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, axis_of, need_4d
from repro.layers.later import torch
from repro.layers.registry import register

# forks of 2015 in which a Crop has no options
_ALIGNING = frozenset(("deconvnet", "crfasrnn"))


@register("Crop", "AutoCrop")
class Crop(Layer):
    """Cut bottom 0 to the size of bottom 1.

    The form of 2015 (no crop_param; later AutoCrop) aligns the two by where their pixels lie in a common ancestor and
    refuses half pixels; BVLC's form cuts the axes from `axis` on at `offset` (one for all, or one each).
    """

    has_exact = True
    bottoms = (2, 2)
    size_bottoms = (1,)
    fresh_tops = False

    def setup(self, bottom_shapes: list[Shape]) -> None:
        old = self.context.dialect in _ALIGNING and not self.spec.message.has("crop_param")
        self.aligned = old or self.spec.type == "AutoCrop"
        rank = len(bottom_shapes[0])
        if len(bottom_shapes[1]) != rank:
            self.fail(f"bottoms have {rank} and {len(bottom_shapes[1])} axes; the same number is needed")
        if self.aligned:
            need_4d(self, bottom_shapes[0])
            self.axis, self.offsets = 2, self._aligned_offsets()
            return
        options = self.spec.options("crop_param")
        self.axis = int(options.axis) + (rank if options.axis < 0 else 0)
        if not 0 <= self.axis < rank:
            self.fail(f"axis {options.axis} is outside the bottom's {rank} axes")
        offsets = [int(o) for o in options.offset] or [0]
        if len(offsets) not in (1, rank - self.axis):
            self.fail(f"gives {len(offsets)} offsets for {rank - self.axis} cropped axes; give one, or one each")
        self.offsets = tuple(offsets * (rank - self.axis) if len(offsets) == 1 else offsets)

    def _aligned_offsets(self) -> tuple[int, ...]:
        maps = self.context.align(*self.spec.bottoms)
        if maps is None:
            self.fail(f"'{self.spec.bottoms[0]}' and '{self.spec.bottoms[1]}' have no common ancestor to align them by")
        found = []
        for axis, affine in zip("hw", maps, strict=True):
            if affine.scale != 1:
                self.fail(f"one pixel of '{self.spec.bottoms[1]}' is {affine.scale} of bottom 0 in {axis}")
            if affine.shift.denominator != 1:
                self.fail(f"the offset in {axis} is {float(affine.shift)}, not a whole number of pixels")
            if affine.shift < 0:
                self.fail(f"the offset in {axis} is {affine.shift}: bottom 0 does not cover '{self.spec.bottoms[1]}'")
            found.append(int(affine.shift))
        return tuple(found)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        source, target = bottom_shapes
        for k, offset in enumerate(self.offsets):
            axis = self.axis + k
            if offset + target[axis] > source[axis]:
                self.fail(f"offset {offset} + {target[axis]} exceeds the {source[axis]} of bottom 0 on axis {axis}")
        return [(*source[: self.axis], *target[self.axis :])]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        if len(self.offsets) < 2:
            return None
        h, w = (Affine(shift=Fraction(o)) for o in self.offsets[-2:])
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = bottoms[0]
        for k, offset in enumerate(self.offsets):
            size = bottoms[1].shape[self.axis + k]
            if size != y.shape[self.axis + k]:
                # the gradient of a slice is a copy of it in the middle of new zeros: not where nothing is cut
                y = y.narrow(self.axis + k, offset, size)
        return (y,)


@register("Flatten")
class Flatten(Layer):
    """Axes `axis` to `end_axis` in one."""

    has_exact = True
    fresh_tops = False

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("flatten_param")
        rank = len(bottom_shapes[0])
        self.first = axis_of(self, int(options.axis), rank)
        self.last = axis_of(self, int(options.end_axis), rank, "end_axis")
        if self.last < self.first:
            self.fail(f"end_axis {options.end_axis} comes before axis {options.axis}")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape = bottom_shapes[0]
        return [(*shape[: self.first], math.prod(shape[self.first : self.last + 1]), *shape[self.last + 1 :])]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (bottoms[0].flatten(self.first, self.last),)
