"""Rows picked by number: Embed, Filter, BatchReindex.

Source: the layers of these names in BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, filler_of
from repro.layers.later import F, torch
from repro.layers.registry import register


def _indices(layer: Layer, blob: torch.Tensor, name: str, count: int) -> torch.Tensor:
    """The blob's numbers truncated to indices; InputError outside 0..count-1 (the original reads beyond its arrays)."""
    index = blob.detach().to(torch.int64)
    if bool(((index < 0) | (index >= count)).any()):
        layer.fail_input(
            f"'{name}' has an index of {int(index.min())} or {int(index.max())}; expected 0 to {count - 1}"
        )
    return index


class _Lookup(Layer):
    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None


@register("Embed")
class Embed(_Lookup):
    """The row of the weight (input_dim, num_output) that each number names, plus a bias (num_output,)."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("embed_param")
        self.num_output, self.input_dim = int(options.num_output), int(options.input_dim)
        if min(self.num_output, self.input_dim) < 1:
            self.fail(f"num_output is {self.num_output}, input_dim {self.input_dim}; both must be at least 1")
        self.add_blob("weight", (self.input_dim, self.num_output), filler_of(options, "weight_filler"))
        if options.bias_term:
            self.add_blob("bias", (self.num_output,), filler_of(options, "bias_filler"))
        else:
            self.bias = None

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        return [(*bottom_shapes[0], self.num_output)]

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        return math.prod(bottom_shapes[0]) * self.num_output if self.bias is not None else 0

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        index = _indices(self, bottoms[0], self.spec.bottoms[0], self.input_dim)
        rows = F.embedding(index, self.weight)
        return (rows if self.bias is None else rows + self.bias,)


@register("Filter")
class Filter(_Lookup):
    """Of every bottom but the last, the items whose selector (the last bottom, (N, 1...)) is not 0.

    How many that are is known only when it runs; until then the tops' shapes are those of the bottoms.
    """

    has_exact = True

    bottoms = (2, None)
    tops = (1, None)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if len(self.spec.tops) != len(bottom_shapes) - 1:
            self.fail(f"has {len(bottom_shapes) - 1} bottoms beside the selector and {len(self.spec.tops)} tops")
        selector = bottom_shapes[-1]
        if math.prod(selector[1:]) != 1:
            self.fail(f"the selector '{self.spec.bottoms[-1]}' has shape {selector}, expected one value per item")
        for name, shape in zip(self.spec.bottoms, bottom_shapes, strict=True):
            if shape[0] != selector[0]:
                self.fail(f"bottom '{name}' has {shape[0]} items, the selector {selector[0]}")
        return bottom_shapes[:-1]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        chosen = bottoms[-1].detach().flatten().nonzero().flatten()
        return tuple(x.index_select(0, chosen) for x in bottoms[:-1])


@register("BatchReindex")
class BatchReindex(_Lookup):
    """Items of bottom 0 in the order that bottom 1 says; an item may come again or not at all."""

    has_exact = True

    bottoms = (2, 2)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if len(bottom_shapes[1]) != 1:
            self.fail(f"the order '{self.spec.bottoms[1]}' has shape {bottom_shapes[1]}, expected one axis")
        return [(*bottom_shapes[1], *bottom_shapes[0][1:])]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (bottoms[0].index_select(0, _indices(self, bottoms[1], self.spec.bottoms[1], bottoms[0].shape[0])),)
