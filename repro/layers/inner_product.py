"""InnerProduct. Source: `inner_product_layer.cpp` of BVLC Caffe."""

from __future__ import annotations

import math
from collections.abc import Sequence

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape
from repro.layers.later import F, exact, torch
from repro.layers.registry import register


@register("InnerProduct")
class InnerProduct(Layer):
    """y = W x + b over all axes from `axis` on; weight (num_output, inputs), or its transpose with `transpose`."""

    has_exact = True
    weight: torch.Tensor
    bias: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("inner_product_param")
        self.num_output = int(options.num_output)
        if self.num_output <= 0:
            self.fail(f"num_output is {self.num_output}, must be at least 1")
        rank = len(bottom_shapes[0])
        self.axis = int(options.axis) + (rank if options.axis < 0 else 0)
        if not 0 <= self.axis < rank:
            self.fail(f"axis {options.axis} is outside the bottom's {rank} axes")
        self.transposed = bool(options.transpose)
        self.inputs = math.prod(bottom_shapes[0][self.axis :])
        shape = (self.inputs, self.num_output) if self.transposed else (self.num_output, self.inputs)
        self.add_blob("weight", shape, options.weight_filler if options.has("weight_filler") else None)
        if options.bias_term:
            self.add_blob("bias", (self.num_output,), options.bias_filler if options.has("bias_filler") else None)
        else:
            self.bias = None

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape = bottom_shapes[0]
        if math.prod(shape[self.axis :]) != self.inputs:
            self.fail(
                f"bottom has shape {shape}: {math.prod(shape[self.axis :])} inputs, the weights are for {self.inputs}"
            )
        return [(*shape[: self.axis], self.num_output)]

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        return math.prod(bottom_shapes[0]) * self.num_output

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            x = bottoms[0]
            rows = x.reshape(math.prod(x.shape[: self.axis]), -1)
            y = exact.inner_product(rows, self.weight, self.bias, self.transposed)
            return (y.reshape(*x.shape[: self.axis], self.num_output),)
        weight = self.weight.t() if self.transposed else self.weight
        return (F.linear(bottoms[0].flatten(self.axis), weight, self.bias),)
