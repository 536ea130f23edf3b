"""The same numbers in another order: Transpose, ShuffleChannel, Reverse; and Axpy, which scales channels and adds.

Source: `transpose_layer.cpp` of the OCR forks, `shuffle_channel_layer.cpp` of farmingyard/ShuffleNet,
`reverse_layer.cpp` of Intel's Caffe, `axpy_layer.cpp` of hujie-frank/SENet.
"""

from __future__ import annotations

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, axis_of, need_4d
from repro.layers.later import torch
from repro.layers.registry import register


@register("Transpose")
class Transpose(Layer):
    """Top axis i is bottom axis dim[i]; all axes are named."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.order = [int(d) for d in self.options("transpose_param").dim]
        if sorted(self.order) != list(range(len(bottom_shapes[0]))):
            self.fail(f"dim {self.order} must name each of the bottom's {len(bottom_shapes[0])} axes once")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        return [tuple(bottom_shapes[0][d] for d in self.order)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (bottoms[0].permute(self.order).contiguous(),)


@register("ShuffleChannel")
class ShuffleChannel(Layer):
    """Channels as a table of `group` rows, read column by column."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.group = int(self.options("shuffle_channel_param").group)
        channels = need_4d(self, bottom_shapes[0])[1]
        if self.group < 1 or channels % self.group:
            self.fail(f"group {self.group} does not divide {channels} channels")

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        return (x.unflatten(1, (self.group, -1)).transpose(1, 2).reshape(x.shape),)


@register("Reverse")
class Reverse(Layer):
    """The bottom backwards along `axis` (0 by default): time, for the second direction of a recurrent net."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.axis = axis_of(self, int(self.options("reverse_param").axis), len(bottom_shapes[0]))

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (bottoms[0].flip(self.axis),)


@register("Axpy")
class Axpy(Layer):
    """a * x + y: bottoms a (N, C, 1, 1), one factor per channel, x and y (N, C, H, W)."""

    bottoms = (3, 3)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        factor, x, y = bottom_shapes
        if x != y or factor[:2] != x[:2] or any(d != 1 for d in factor[2:]):
            self.fail(f"bottoms have shapes {factor}, {x} and {y}; expected (N, C, 1, 1) and twice (N, C, H, W)")
        return [x]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        factor, x, y = bottoms
        return (factor.reshape(*x.shape[:2], *[1] * (x.dim() - 2)) * x + y,)
