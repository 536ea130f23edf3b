"""Scale and Bias: a blob of parameters, or a second bottom, spread over the axes it does not have.

Source: `scale_layer.cpp`, `bias_layer.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import Any

from repro.layers.base import Layer, PerChannel, Shape, axis_of, filler_of
from repro.layers.later import exact, torch
from repro.layers.registry import register


class _Spread(Layer):
    """Where the small operand's axes lie in the bottom: `axis` on, `num_axes` of them (-1: all that follow)."""

    bottoms = (1, 2)

    def small_shape(self, options: Any, bottom_shapes: list[Shape]) -> Shape:
        """Shape of the small operand; sets `self.axis`."""
        shape = bottom_shapes[0]
        if len(bottom_shapes) > 1:
            small = bottom_shapes[1]
            # a scalar meets every axis, wherever axis points
            self.axis = axis_of(self, int(options.axis), len(shape)) if small else 0
            return small
        count = int(options.num_axes)
        if count < -1:
            self.fail(f"num_axes is {count}, must be -1 (all that follow) or more")
        self.axis = axis_of(self, int(options.axis), len(shape)) if count else 0
        last = len(shape) if count == -1 else self.axis + count
        if last > len(shape):
            self.fail(f"axis {self.axis} and {count} axes go beyond the bottom's shape {shape}")
        return shape[self.axis : last]

    def check(self, small: Shape, shape: Shape) -> None:
        """NetError where the small operand does not fit."""
        if shape[self.axis : self.axis + len(small)] != small:
            self.fail(f"an operand of shape {small} at axis {self.axis} does not fit bottom {shape}")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        small = bottom_shapes[1] if len(bottom_shapes) > 1 else self.small
        self.check(small, bottom_shapes[0])
        return [bottom_shapes[0]]

    def spread(self, small: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return small.view(*small.shape, *[1] * (x.dim() - self.axis - small.dim()))

    small: Shape


@register("Scale")
class Scale(_Spread):
    """x * scale, + bias with `bias_term`; blobs scale (filler: 1) and bias (0), of the shape of the axes they span.

    With a second bottom that one is the scale, and the only blob is the bias.
    """

    has_exact = True

    scale: torch.Tensor | None
    bias: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("scale_param")
        self.small = self.small_shape(options, bottom_shapes)
        self.scale = self.bias = None
        if len(bottom_shapes) == 1:
            del self.scale
            self.add_blob("scale", self.small, filler_of(options, "filler", 1.0))
        if options.bias_term:
            del self.bias
            self.add_blob("bias", self.small, filler_of(options, "bias_filler"))

    def overwrite(self, x: torch.Tensor) -> torch.Tensor | None:
        if self.scale is None or self.exact:
            return None
        x.mul_(self.spread(self.scale, x))
        return x if self.bias is None else x.add_(self.spread(self.bias, x))

    def per_channel(self) -> PerChannel | None:
        if self.scale is None or self.axis != 1 or self.scale.dim() != 1:
            return None
        return PerChannel(self.scale, self.bias)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        scale = bottoms[1] if len(bottoms) > 1 else self.scale
        assert scale is not None
        if self.exact:
            y = exact.scale(x, scale, self.axis)
            return (y if self.bias is None else exact.bias(y, self.bias, self.axis),)
        y = x * self.spread(scale, x)
        return (y if self.bias is None else y + self.spread(self.bias, x),)


@register("Bias")
class Bias(_Spread):
    """x + bias; the bias is a blob (filler: 0) or the second bottom."""

    has_exact = True

    bias: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("bias_param")
        self.small = self.small_shape(options, bottom_shapes)
        if len(bottom_shapes) == 1:
            self.add_blob("bias", self.small, filler_of(options, "filler"))
        else:
            self.bias = None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        bias = bottoms[1] if len(bottoms) > 1 else self.bias
        assert bias is not None
        if self.exact:
            return (exact.bias(bottoms[0], bias, self.axis),)
        return (bottoms[0] + self.spread(bias, bottoms[0]),)
