"""The same numbers in other axes: Reshape, Permute, Tile, Reduction.

Source: the layers of these names in BVLC Caffe 1.0; `permute_layer.cpp` of weiliu89/caffe (SSD).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, axis_of
from repro.layers.later import exact, torch
from repro.layers.registry import register


class _NewAxes(Layer):
    """No pixel of the top has a place in the bottom."""

    fresh_tops = False

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None


@register("Reshape")
class Reshape(_NewAxes):
    """The `num_axes` axes from `axis` on (-1: all) get new sizes: 0 copies the bottom's, one -1 is inferred."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("reshape_param")
        self.dims = [int(d) for d in options.shape.dim]
        rank = len(bottom_shapes[0])
        # -1 is the place behind the last axis
        self.first = int(options.axis) if options.axis >= 0 else rank + int(options.axis) + 1
        if not 0 <= self.first <= rank:
            self.fail(f"axis {options.axis} is outside the bottom's {rank} axes")
        count = int(options.num_axes)
        if count < -1:
            self.fail(f"num_axes is {count}, must be -1 (all that follow) or more")
        self.last = rank if count == -1 else self.first + count
        if self.last > rank:
            self.fail(f"axis {self.first} and {count} axes go beyond the bottom's {rank}")
        if any(d < -1 for d in self.dims) or self.dims.count(-1) > 1:
            self.fail(f"shape {self.dims} has a size below -1, or -1 more than once")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape = bottom_shapes[0]
        new: list[int] = []
        for place, dim in enumerate(self.dims):
            if dim == 0 and self.first + place >= len(shape):
                self.fail(f"dim 0 at place {place} copies axis {self.first + place}, bottom has shape {shape}")
            new.append(shape[self.first + place] if dim == 0 else dim)
        head, tail = shape[: self.first], shape[self.last :]
        if -1 in new:
            known = math.prod(d for d in (*head, *new, *tail) if d != -1)
            if known == 0 or math.prod(shape) % known:
                self.fail(f"cannot infer the -1: {math.prod(shape)} values of bottom {shape} over {known}")
            new[new.index(-1)] = math.prod(shape) // known
        top = (*head, *new, *tail)
        if math.prod(top) != math.prod(shape):
            self.fail(f"shape {top} has {math.prod(top)} values, bottom {shape} has {math.prod(shape)}")
        return [top]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (bottoms[0].reshape(self.infer([tuple(bottoms[0].shape)])[0]),)


@register("Permute")
class Permute(_NewAxes):
    """Top axis i is bottom axis order[i]; axes not named follow in their order."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        rank = len(bottom_shapes[0])
        order = [int(a) for a in self.options("permute_param").order]
        if len(set(order)) != len(order) or any(a >= rank for a in order):
            self.fail(f"order {order} repeats an axis or names one beyond the bottom's {rank}")
        self.order = (*order, *[a for a in range(rank) if a not in order])

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        return [tuple(bottom_shapes[0][a] for a in self.order)]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (bottoms[0].permute(self.order).contiguous(),)


@register("Tile")
class Tile(_NewAxes):
    """`tiles` copies one after the other along `axis`."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("tile_param")
        self.tiles = int(options.tiles)
        if self.tiles < 1:
            self.fail(f"tiles is {self.tiles}, must be at least 1")
        self.axis = axis_of(self, int(options.axis), len(bottom_shapes[0]))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape = bottom_shapes[0]
        return [(*shape[: self.axis], shape[self.axis] * self.tiles, *shape[self.axis + 1 :])]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (torch.cat(exact.split(bottoms[0], self.tiles), self.axis),)
        return (torch.cat([bottoms[0]] * self.tiles, self.axis),)


_REDUCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "SUM": lambda x: x.sum(-1),
    "ASUM": lambda x: x.abs().sum(-1),
    "SUMSQ": lambda x: x.square().sum(-1),
    "MEAN": lambda x: x.mean(-1),
}


@register("Reduction")
class Reduction(_NewAxes):
    """coeff * SUM, ASUM (of magnitudes), SUMSQ (of squares) or MEAN over all axes from `axis` on."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("reduction_param")
        self.operation, self.coeff = options.operation, float(options.coeff)
        self.axis = axis_of(self, int(options.axis), len(bottom_shapes[0]))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        return [bottom_shapes[0][: self.axis]]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            shape = bottoms[0].shape[: self.axis]
            return (exact.reduction(bottoms[0].reshape(shape.numel(), -1), self.operation, self.coeff).reshape(shape),)
        return (self.coeff * _REDUCTIONS[self.operation](bottoms[0].flatten(self.axis)),)
